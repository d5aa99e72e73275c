"""The new head of a pretrained network, and the features it is trained on."""

import math

import keras
import numpy as np
from numpy.typing import NDArray

from tasks.train.data import labelled
from tasks.train.features import Features

#: How many features B0 has without its top.
FEATURES = 1280


def new_head(classes: int) -> keras.Model:
    """Features to probabilities, the softmax in float32 whatever the precision."""
    return keras.Sequential(
        [
            keras.Input((FEATURES,)),
            keras.layers.Dense(classes, activation="softmax", dtype="float32", name="predictions"),
        ],
        name="head",
    )


class FeatureBatches(keras.utils.PyDataset):
    """Batches of (features, label), each photo by a view drawn anew in every epoch.

    With class weights, of (features, label, weight). Order and views depend on the seed and the
    epoch alone.

    Args:
        views: float32 (photos, 1280) each.
        seed: without, the photos keep their order, and the first view is taken.
    """

    def __init__(
        self,
        views: list[Features],
        labels: NDArray[np.int32],
        batch_size: int,
        seed: int | None = None,
        weights: NDArray[np.float32] | None = None,
    ) -> None:
        super().__init__()
        self._views = views
        self._labels = labels
        self._batch_size = batch_size
        self._seed = seed
        self._weights = weights
        self._epoch = 0
        self._draw()

    def __len__(self) -> int:
        return math.ceil(len(self._labels) / self._batch_size)

    def __getitem__(self, index: int) -> tuple[NDArray[np.generic], ...]:
        rows = self._order[index * self._batch_size : (index + 1) * self._batch_size]
        features = np.stack([self._views[self._view[row]][row] for row in rows])
        return labelled(features, self._labels[rows], self._weights)

    def on_epoch_begin(self) -> None:
        # Not on_epoch_end: Keras calls that one before the first epoch, too.
        self._draw()
        self._epoch += 1

    def _draw(self) -> None:
        count = len(self._labels)
        self._order, self._view = np.arange(count), np.zeros(count, int)
        if self._seed is not None:
            random = np.random.default_rng((self._seed, self._epoch))
            self._order = random.permutation(count)
            self._view = random.integers(len(self._views), size=count)
