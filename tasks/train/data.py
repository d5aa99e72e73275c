"""The prepared photos as a network takes them: splits, and batches of them in a drawn order."""

import math
import time
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from tasks.contract.config import SPLITS, Split, TrainOptions
from tasks.contract.errors import InputError
from tasks.contract.photos import PHOTOS_FILE, Photo, PhotoSet, read_rows
from tasks.contract.step import Job

#: B0 halves its input five times; anything smaller leaves its last layers nothing to look at.
MIN_IMAGE_SIZE = 32


@dataclass(frozen=True)
class Data:
    """The prepared photos, the names of the classes by label, how photos became square."""

    classes: list[str]
    image_size: int
    fit: str
    train: PhotoSet
    validation: PhotoSet
    test: PhotoSet

    def split(self, name: Split) -> PhotoSet:
        """The photos of a split by its name."""
        photos: PhotoSet = getattr(self, name)
        return photos

    def class_weights(self, options: TrainOptions) -> NDArray[np.float32] | None:
        """The weight of each class in the loss, float32 (classes,); None if photos count alike."""
        if not options.class_weights:
            return None
        return balanced_weights(self.train.labels, len(self.classes))

    @classmethod
    def of(cls, job: Job) -> "Data":
        """Map the splits of the job's input; the photos stay on disk.

        Raises:
            InputError: a split is empty or the photos are too small for the network.
        """
        prepared = job.inputs["preprocess"]
        size = int(prepared.facts["image_size"])
        if size < MIN_IMAGE_SIZE:
            raise InputError(
                f"photos of {size} x {size} pixels are too small for EfficientNet-B0: set "
                f"image_size to {MIN_IMAGE_SIZE} or more"
            )
        rows = read_rows(prepared.path(PHOTOS_FILE), Photo)
        splits = [PhotoSet.open(rows, split, size, prepared.path) for split in SPLITS]
        for photos in splits:
            photos.verify()
        fit = prepared.manifest.options.get("fit", "squash")
        return cls(list(prepared.facts["classes"]), size, fit, *splits)


class Batches(keras.utils.PyDataset):
    """Batches of (pixels, label), read at random from the records; never the whole set in memory.

    With class weights, of (pixels, label, weight).

    With a seed, every epoch has an order of its own over the whole set; the order depends on seed
    and epoch alone, so that a training can go on in the middle of an epoch.

    Args:
        weights: of each class in the loss, float32 (classes,); without, photos count alike.
        epoch: the first epoch that is asked for, from 0.
        done: how many of its batches are passed over. Only the rest of that one epoch can be asked
            for then: Keras takes every epoch to be as long as the first.

    Attributes:
        ready: when each batch of the epoch was last read, by its number, by the monotonic clock.
    """

    def __init__(
        self,
        photos: PhotoSet,
        batch_size: int,
        seed: int | None = None,
        weights: NDArray[np.float32] | None = None,
        epoch: int = 0,
        done: int = 0,
    ) -> None:
        super().__init__()
        self._photos = photos
        self._batch_size = batch_size
        self._seed = seed
        self._weights = weights
        self._next_epoch = epoch
        self._done = done
        self._order = self._ordered()
        self.ready: dict[int, float] = {}

    def __len__(self) -> int:
        return math.ceil(len(self._photos) / self._batch_size) - self._done

    def __getitem__(self, index: int) -> tuple[NDArray[Any], ...]:
        start = (self._done + index) * self._batch_size
        rows = self._order[start : start + self._batch_size]
        batch = labelled(self._photos.pixels(rows), self._photos.labels[rows], self._weights)
        self.ready[index] = time.monotonic()
        return batch

    def on_epoch_begin(self) -> None:
        # Not on_epoch_end: Keras calls that one before the first epoch, too.
        self._order = self._ordered()
        self._next_epoch += 1

    def _ordered(self) -> NDArray[np.int64]:
        if self._seed is None:
            return np.arange(len(self._photos))
        return np.random.default_rng((self._seed, self._next_epoch)).permutation(len(self._photos))


def labelled(
    inputs: NDArray[Any], labels: NDArray[np.int32], weights: NDArray[np.float32] | None
) -> tuple[NDArray[Any], ...]:
    """A batch as ``fit`` takes it: with the weight of each photo if classes have weights."""
    return (inputs, labels) if weights is None else (inputs, labels, weights[labels])


def balanced_weights(labels: NDArray[np.int32], classes: int) -> NDArray[np.float32]:
    """Weights by which all classes count alike and photos count 1 on average, float32 (classes,).

    The "balanced" heuristic of scikit-learn (King and Zeng 2001). A class without photos has
    weight 0.
    """
    counts = np.bincount(labels, minlength=classes)
    present = np.count_nonzero(counts)
    return np.where(counts > 0, len(labels) / (present * np.maximum(counts, 1)), 0).astype("f4")
