"""Batches that do not fit into memory are refused with the size that would."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from tasks.contract.errors import InputError

#: Measured on two cores at 224 pixels: B0 in training took 3.6 GB with 16 photos, 5.7 GB with 32.
_PHOTO_BYTES = 132e6
_OTHER_BYTES = 1.45e9


def require_memory(batch_size: int, image_size: int) -> None:
    """See, before a training on the processor begins, that a batch will fit.

    Raises:
        InputError: names the batch size that would.
    """
    if tf.config.list_physical_devices("GPU"):
        return  # their memory is not the machine's: see ``told_if_too_large``
    photo = _PHOTO_BYTES * (image_size / 224) ** 2
    available = _available_bytes()
    if _OTHER_BYTES + batch_size * photo > available:
        largest = int((available - _OTHER_BYTES) / photo)
        raise _too_large(batch_size, largest, f"{available / 1e9:.1f} GB are free")


@contextmanager
def told_if_too_large(model: keras.Model, batch_size: int) -> Iterator[None]:
    """Within it, a training that exhausts a GPU's memory ends with one clear line.

    Raises:
        InputError: names the batch size that would fit, found by trying.
    """
    try:
        yield
    except tf.errors.ResourceExhaustedError as error:
        fitting = _largest_that_fits(model, batch_size // 2)
        raise _too_large(batch_size, fitting, "the device's memory is exhausted") from error


def _largest_that_fits(model: keras.Model, batch_size: int) -> int:
    """By halving; 0 if not even one photo fits."""
    while batch_size > 0:
        photos = np.zeros((batch_size, *model.input_shape[1:]), np.uint8)
        try:
            model.train_on_batch(photos, np.zeros(batch_size, np.int32))
        except tf.errors.ResourceExhaustedError:
            batch_size //= 2
        else:
            break
    return batch_size


def _too_large(batch_size: int, fitting: int, why: str) -> InputError:
    remedy = f"{fitting} would" if fitting > 0 else "not even one photo does: lower image_size"
    return InputError(f"a batch_size of {batch_size} does not fit ({why}): {remedy}")


def _available_bytes() -> float:
    """What this process may still take: of the machine's memory, or of its container's."""
    lines = Path("/proc/meminfo").read_text().splitlines() if Path("/proc/meminfo").exists() else []
    fields = dict(line.split(":", 1) for line in lines)
    free = float(fields["MemAvailable"].split()[0]) * 1024 if "MemAvailable" in fields else np.inf
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text().strip()
        used = Path("/sys/fs/cgroup/memory.current").read_text().strip()
        return min(free, float(limit) - float(used))  # "max" is no number
    except (OSError, ValueError):
        return free
