"""A network's answers to all photos of a split."""

import keras
import numpy as np
from numpy.typing import NDArray

from tasks.contract.pace import Pace
from tasks.contract.pace import photos as photos_amount
from tasks.contract.photos import PhotoSet
from tasks.train.data import Batches


def forward_batch(image_size: int) -> int:
    """How many photos to pass through the network at once when nothing is learned from them.

    Constant memory: about 64 photos of 224 pixels, never more.
    """
    return max(1, min(64, 64 * 224**2 // image_size**2))


def answers(model: keras.Model, photos: PhotoSet, work: str) -> NDArray[np.float32]:
    """What the model says to every photo of a split, in inference mode: float32 (photos, outputs).

    Args:
        work: what this is for; begins the log's lines.
    """
    size = forward_batch(photos.image_size)
    batches = Batches(photos, size)
    pace = Pace(work, len(photos), photos_amount, every=15.0)
    found = np.empty((len(photos), model.output_shape[-1]), np.float32)
    for index in range(len(batches)):
        answer = np.asarray(model.predict_on_batch(batches[index][0]))
        found[index * size : index * size + len(answer)] = answer
        pace(index * size + len(answer))
    return found
