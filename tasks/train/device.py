"""What a training runs on: one or several GPUs, or the processor."""

import logging
import os
import platform
from collections.abc import Sequence
from typing import Any, Literal

import keras
import tensorflow as tf

from tasks.train.quiet import hushed

log = logging.getLogger(__name__)


def prepare(
    seed: int, *, deterministic: bool = False, precision: Literal["auto", "float32"] = "auto"
) -> tf.distribute.Strategy:
    """Seed everything, choose the precision, and say what it runs on.

    GPU memory is taken as it is needed, not all of it at once.

    Args:
        deterministic: use only operations that give the same bits each time. It cannot be undone
            within a process.

    Returns:
        the strategy in whose scope networks must be made: over all GPUs that are visible.
    """
    with hushed():
        gpus = tf.config.list_physical_devices("GPU")
        for gpu in gpus:
            tf.config.experimental.set_memory_growth(gpu, True)
    keras.utils.set_random_seed(seed)
    if deterministic:
        tf.config.experimental.enable_op_determinism()
    policy = policy_for(gpus) if precision == "auto" else "float32"
    keras.mixed_precision.set_global_policy(policy)
    log.info("TensorFlow %s on %s, %s", tf.__version__, device(), policy)
    return strategy_over(tf.config.list_logical_devices("GPU"))


def policy_for(gpus: Sequence[Any]) -> str:
    """Keras' name of the fastest precision that all of these are made for.

    Tensor cores take float16 since compute capability 7.0 (Volta) and bfloat16, which has the range
    of float32 and needs no scaling of the loss, since 8.0 (Ampere). Variables stay float32.
    """
    known = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
    oldest = min((details.get("compute_capability", (0, 0)) for details in known), default=(0, 0))
    if oldest >= (8, 0):
        return "mixed_bfloat16"
    return "mixed_float16" if oldest >= (7, 0) else "float32"


def strategy_over(devices: Sequence[Any]) -> tf.distribute.Strategy:
    """Each gradient step is shared by all devices, each taking its part of the batch."""
    if len(devices) > 1:
        return tf.distribute.MirroredStrategy([device.name for device in devices])
    return tf.distribute.get_strategy()


def device() -> str:
    """What the training ran on, for readers."""
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        name = tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU")
        return f"{len(gpus)} x {name}" if len(gpus) > 1 else str(name)
    cores = len(os.sched_getaffinity(0))
    return f"CPU, {cores} cores ({platform.machine()})"
