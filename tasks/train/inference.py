"""A network's answers to all photos of a split."""

import keras
import numpy as np
from numpy.typing import NDArray

from tasks.contract.pace import Pace
from tasks.contract.pace import photos as photos_amount
from tasks.contract.photos import PhotoSet


def forward_batch(image_size: int) -> int:
    """How many photos to pass through the network at once when nothing is learned from them.

    Constant memory: about 64 photos of 224 pixels, never more.
    """
    return max(1, min(64, 64 * 224**2 // image_size**2))


def answers(model: keras.Model, photos: PhotoSet, work: str) -> NDArray[np.float32]:
    """What the model says to every photo of a split, in inference mode: float32 (photos, outputs).

    All batches have one size, whatever the split's, the last being filled up with photos of the
    first: a network is traced, and on a GPU compiled, anew for each size.

    Args:
        work: what this is for; begins the log's lines.
    """
    size = forward_batch(photos.image_size)
    count = len(photos)
    pace = Pace(work, count, photos_amount, every=15.0)
    found = np.empty((count, model.output_shape[-1]), np.float32)
    for start in range(0, count, size):
        stop = min(start + size, count)
        batch = photos.pixels(np.arange(start, start + size) % count)
        found[start:stop] = np.asarray(model.predict_on_batch(batch))[: stop - start]
        pace(stop)
    return found
