"""Light augmentation inside the training graph: another view of each photo in every epoch."""

from typing import Any

import keras
from keras import ops


class RandomViews(keras.layers.Layer):
    """Crops, stretches, mirrors and relights photos at random; in training only, or always.

    Float or uint8 (photos, side, side, 3) in 0..255 becomes float32 of the same shape and range.

    A view is a rectangle of the photo, of ``smallest_view`` to the whole of each side (independent
    draws stretch it), resampled bilinearly to the photo's own size. As a rectangle's rows and
    columns are resampled independently, that is two products with small matrices, and a mirror is
    the reversal of one of them: plain algebra that every backend compiles, XLA too, where Keras'
    own layers warp images with an operation that XLA does not know.

    The draws come from a seed whose state is a variable, so that a checkpoint keeps it.

    Args:
        smallest_view: the shortest side of a view, as a share of the photo's.
        light: by how much brightness and contrast may change, as a share.
        always: in inference, too. (A model overrides the ``training`` that a layer was called with
            when the model was made.)
    """

    def __init__(
        self,
        seed: int,
        smallest_view: float = 0.6,
        light: float = 0.2,
        *,
        always: bool = False,
        **kwargs: Any,
    ) -> None:
        # Half precision would round pixels to steps of two.
        super().__init__(dtype="float32", **kwargs)
        self._smallest_view = smallest_view
        self._light = light
        self._always = always
        self.seeds = keras.random.SeedGenerator(seed)

    def before(self, network: keras.Model) -> keras.Model:
        """A network that sees these views of its photos, and shares its weights."""
        pixels = keras.Input(network.input_shape[1:])
        return keras.Model(pixels, network(self(pixels)))

    def reseed(self, seed: int) -> None:
        """Draw from here on what a new layer of this seed draws."""
        self.seeds.state.assign(keras.random.SeedGenerator(seed).state)

    def call(self, photos: Any, training: bool = False) -> Any:
        photos = ops.cast(photos, "float32")
        if not (training or self._always):
            return photos
        count, side = ops.shape(photos)[0], photos.shape[1]
        draws = keras.random.uniform((7, count), seed=self.seeds)
        rows = self._resampling(draws[0], draws[1], side)
        columns = self._resampling(draws[2], draws[3], side)
        mirrored = ops.reshape(draws[4] < 0.5, (-1, 1, 1))
        columns = ops.where(mirrored, ops.flip(columns, axis=1), columns)
        views = ops.einsum("nij,njkc->nikc", rows, photos)
        views = ops.einsum("nlk,nikc->nilc", columns, views)
        return self._relit(views, draws[5], draws[6])

    def _resampling(self, extent: Any, place: Any, side: int) -> Any:
        """Matrices (photos, side, side) that resample one axis of each photo bilinearly."""
        extent = self._smallest_view + (1 - self._smallest_view) * extent
        start = place * (1 - extent) * side
        steps = ops.arange(side, dtype="float32") + 0.5
        sources = start[:, None] + extent[:, None] * steps[None, :] - 0.5
        sources = ops.clip(sources, 0, side - 1)  # beyond the edge is the edge
        pixels = ops.arange(side, dtype="float32")
        return ops.relu(1 - ops.abs(sources[:, :, None] - pixels[None, None, :]))

    def _relit(self, views: Any, brightness: Any, contrast: Any) -> Any:
        def factor(draw: Any) -> Any:
            return ops.reshape(1 + self._light * (2 * draw - 1), (-1, 1, 1, 1))

        middle = ops.mean(views, axis=(1, 2, 3), keepdims=True)
        views = (views - middle) * factor(contrast) + middle * factor(brightness)
        return ops.clip(views, 0, 255)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return input_shape
