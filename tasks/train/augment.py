"""Light augmentation inside the training graph: another view of each photo in every epoch."""

from typing import Any

import keras
from keras import ops


class RandomViews(keras.layers.Layer):
    """Crops, stretches, mirrors and relights photos at random; in training only, or always.

    Float or uint8 (photos, side, side, 3) in 0..255 becomes float32 of the same range.

    A view is a rectangle of the photo, of ``smallest_view`` to the whole of each side (independent
    draws stretch it), resampled to ``side`` pixels: bilinearly, and over as many pixels as one of
    the view covers where it shrinks. As a rectangle's rows and columns are resampled independently,
    that is two products with small matrices, and a mirror is the reversal of one of them: plain
    algebra that every backend compiles, XLA too, where Keras' own layers warp images with an
    operation that XLA does not know.

    Out of training a photo is only resampled to ``side`` pixels, if it has another size.

    The draws come from a seed whose state is a variable, so that a checkpoint keeps it.

    Args:
        smallest_view: the shortest side of a view, as a share of the photo's.
        light: by how much brightness and contrast may change, as a share.
        side: of the views, in pixels; by default the photos'.
        always: in inference, too. (A model overrides the ``training`` that a layer was called with
            when the model was made.)
    """

    def __init__(
        self,
        seed: int,
        smallest_view: float = 0.6,
        light: float = 0.2,
        *,
        side: int | None = None,
        always: bool = False,
        **kwargs: Any,
    ) -> None:
        # Half precision would round pixels to steps of two.
        super().__init__(dtype="float32", **kwargs)
        self._smallest_view = smallest_view
        self._light = light
        self._side = side
        self._always = always
        self.seeds = keras.random.SeedGenerator(seed)

    def before(self, network: keras.Model, image_size: int) -> keras.Model:
        """A network that sees these views of photos of that size, and shares its weights."""
        pixels = keras.Input((image_size, image_size, 3))
        return keras.Model(pixels, network(self(pixels)))

    def reseed(self, seed: int) -> None:
        """Draw from here on what a new layer of this seed draws."""
        self.seeds.state.assign(keras.random.SeedGenerator(seed).state)

    def call(self, photos: Any, training: bool = False) -> Any:
        photos = ops.cast(photos, "float32")
        size = photos.shape[1]
        side = self._side or size
        if not (training or self._always):
            if side == size:
                return photos
            whole = _resampling(ops.ones(1), ops.zeros(1), size, side)[0]
            return _resampled(photos, whole, whole)
        draws = keras.random.uniform((7, ops.shape(photos)[0]), seed=self.seeds)
        extents = self._smallest_view + (1 - self._smallest_view) * draws[:2]
        rows = _resampling(extents[0], draws[2], size, side)
        columns = _resampling(extents[1], draws[3], size, side)
        mirrored = ops.reshape(draws[4] < 0.5, (-1, 1, 1))
        columns = ops.where(mirrored, ops.flip(columns, axis=1), columns)
        return self._relit(_resampled(photos, rows, columns), draws[5], draws[6])

    def _relit(self, views: Any, brightness: Any, contrast: Any) -> Any:
        def factor(draw: Any) -> Any:
            return ops.reshape(1 + self._light * (2 * draw - 1), (-1, 1, 1, 1))

        middle = ops.mean(views, axis=(1, 2, 3), keepdims=True)
        views = (views - middle) * factor(contrast) + middle * factor(brightness)
        return ops.clip(views, 0, 255)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        side = self._side or input_shape[1]
        return (input_shape[0], side, side, input_shape[3])


def _resampling(extent: Any, place: Any, size: int, side: int) -> Any:
    """Matrices (photos, side, size) that resample one axis of each photo.

    Args:
        extent: the share of the axis that is seen, (photos,).
        place: where that lies: 0 at one end, 1 at the other, (photos,).
    """
    start = place * (1 - extent) * size
    steps = (ops.arange(side, dtype="float32") + 0.5) / side
    sources = start[:, None] + extent[:, None] * size * steps[None, :] - 0.5
    sources = ops.clip(sources, 0, size - 1)  # beyond the edge is the edge
    reach = ops.maximum(extent * size / side, 1.0)[:, None, None]
    distances = ops.abs(sources[:, :, None] - ops.arange(size, dtype="float32")[None, None, :])
    weights = ops.relu(1 - distances / reach)
    return weights / ops.sum(weights, axis=2, keepdims=True)


def _resampled(photos: Any, rows: Any, columns: Any) -> Any:
    """Photos (photos, size, size, 3) by matrices (photos, side, size), or one (side, size)."""
    each = "n" if len(rows.shape) == 3 else ""
    half = ops.einsum(f"{each}ij,njkc->nikc", rows, photos)
    return ops.einsum(f"{each}lk,nikc->nilc", columns, half)
