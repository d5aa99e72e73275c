"""Reading a PyTorch checkpoint without PyTorch, and without trusting it.

The format before PyTorch 1.6 is a row of pickles (a magic number, a version, the platform, the
tensors, the keys of their storages), then each storage as its number of elements and its bytes. A
pickle can run anything when it is loaded. This reader knows the four names that a dictionary of
tensors needs and refuses every other one.
"""

import collections
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import numpy as np
from numpy.typing import NDArray

from tasks.contract.errors import InputError

Arrays = dict[str, NDArray[Any]]

_MAGIC_NUMBER = 0x1950A86A20F9469CFC6C

#: All that a damaged or hostile pickle makes the unpickler, or the code below, raise.
_UNREADABLE = (
    pickle.UnpicklingError,
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    TypeError,
    ValueError,
)


def read_checkpoint(path: Path) -> Arrays:
    """The arrays of a checkpoint by name, each in the order and shape that PyTorch has it.

    Raises:
        InputError: it is no such checkpoint, or holds more than arrays.
        FileNotFoundError: it is not there, or not any more.
    """
    with path.open("rb") as file:
        try:
            return _read(file)
        except _UNREADABLE as error:
            raise InputError(
                f"{path.name} is no PyTorch checkpoint of plain arrays in the format before 1.6 "
                f"({error or type(error).__name__}): put the published file in its place"
            ) from error


def _read(file: BinaryIO) -> Arrays:
    if _Unpickler(file).load() != _MAGIC_NUMBER:
        raise ValueError("it begins otherwise")
    for _ in ("protocol version", "platform"):
        _Unpickler(file).load()
    unpickler = _Unpickler(file)
    tensors: dict[str, _Tensor] = unpickler.load()
    keys = _Unpickler(file).load()
    data = {key: _read_storage(file, *unpickler.storages[key]) for key in keys}
    return {name: tensor.array(data[tensor.storage]) for name, tensor in tensors.items()}


@dataclass(frozen=True)
class _Tensor:
    """Where in a storage a tensor lies, in elements; stands in for what PyTorch would build."""

    storage: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def array(self, data: NDArray[Any]) -> NDArray[Any]:
        if min((self.offset, *self.shape, *self.strides)) < 0:
            raise ValueError("a tensor lies before its storage")
        last = self.offset + sum(
            (count - 1) * stride for count, stride in zip(self.shape, self.strides, strict=True)
        )
        if last >= len(data):
            raise ValueError(f"a tensor of shape {self.shape} reaches beyond its storage")
        strides = [stride * data.itemsize for stride in self.strides]
        view = np.lib.stride_tricks.as_strided(
            data[self.offset :], self.shape, strides, writeable=False
        )
        return view.copy()


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
    content = file.read(count * kind.itemsize)
    if len(content) != count * kind.itemsize:
        raise ValueError("it ends too early")
    return np.frombuffer(content, kind)
