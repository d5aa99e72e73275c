"""A checkpoint is read as arrays or not at all: a pickle must not run anything."""

import os
import pickle
import struct
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.contract.errors import InputError
from tasks.train.torch_checkpoint import read_checkpoint

HEADER = [0x1950A86A20F9469CFC6C, 1001, {"protocol_version": 1001, "little_endian": True}]


class Global:
    """Pickles as a bare name, as PyTorch's classes do."""

    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name


class Storage:
    """Pickles as PyTorch's reference to a storage."""

    def __init__(self, key: str, count: int, kind: str = "FloatStorage") -> None:
        self.identity = ("storage", Global("torch", kind), key, "cpu", count, None)


class Rebuilt:
    """Pickles as a call, as PyTorch's tensors do."""

    def __init__(self, module: str, name: str, *arguments: Any) -> None:
        self.target, self.arguments = Global(module, name), arguments


class Writer(pickle._Pickler):  # the one in Python, which can be taught new ways
    def persistent_id(self, value: Any) -> Any:
        return value.identity if isinstance(value, Storage) else None

    def save(self, value: Any, save_persistent_id: bool = True) -> None:
        if isinstance(value, Global):
            self.write(f"c{value.module}\n{value.name}\n".encode())
        elif isinstance(value, Rebuilt):
            self.save(value.target)
            self.save(value.arguments)
            self.write(pickle.REDUCE)
        else:
            super().save(value, save_persistent_id)


def tensor(key: str, offset: int, shape: Any, strides: Any, count: int) -> Rebuilt:
    arguments = (Storage(key, count), offset, shape, strides, False, OrderedDict())
    return Rebuilt("torch._utils", "_rebuild_tensor_v2", *arguments)


def checkpoint(path: Path, tensors: dict[str, Any], storages: dict[str, np.ndarray]) -> Path:
    """Write a file as PyTorch before 1.6 did."""
    with path.open("wb") as file:
        for part in (*HEADER, OrderedDict(tensors), sorted(storages)):
            Writer(file, 2).dump(part)
        for _, values in sorted(storages.items()):
            file.write(struct.pack("<q", len(values)) + values.tobytes())
    return path


SIX = np.arange(6, dtype="<f4")


def test_arrays_come_out_as_they_were_put_in(tmp_path: Path) -> None:
    tensors = {
        "plain": tensor("s", 0, (2, 3), (3, 1), 6),
        "transposed": tensor("s", 0, (3, 2), (1, 3), 6),
        "part": tensor("s", 4, (2,), (1,), 6),
        "scalar": tensor("s", 5, (), (), 6),
    }
    arrays = read_checkpoint(checkpoint(tmp_path / "x.pth", tensors, {"s": SIX}))
    np.testing.assert_array_equal(arrays["plain"], SIX.reshape(2, 3))
    np.testing.assert_array_equal(arrays["transposed"], SIX.reshape(2, 3).T)
    np.testing.assert_array_equal(arrays["part"], [4, 5])
    assert arrays["scalar"] == 5


@pytest.mark.parametrize(
    "evil",
    [
        Rebuilt("os", "system", "touch ran"),
        Rebuilt("posix", "system", "touch ran"),
        Rebuilt("builtins", "exec", "open('ran', 'w')"),
        Rebuilt("torch.storage", "_load_from_bytes", b"x"),
        Rebuilt("collections", "namedtuple", "a", "b"),
    ],
    ids=lambda evil: evil.target.name,
)
def test_a_file_that_would_run_something_is_refused(
    evil: Rebuilt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = checkpoint(tmp_path / "x.pth", {"w": evil}, {})
    named = f"{evil.target.module}.{evil.target.name}"
    with pytest.raises(InputError, match=f"x.pth is no PyTorch checkpoint.*it names {named}"):
        read_checkpoint(path)
    assert os.listdir(tmp_path) == ["x.pth"]  # noqa: PTH208


@pytest.mark.parametrize(
    ("offset", "shape", "strides"),
    [
        (0, (7,), (1,)),
        (3, (2, 2), (3, 1)),
        (0, (2,), (6,)),
        (-1, (2,), (1,)),
        (5, (2,), (-1,)),
        (0, (-1,), (1,)),
        (0, (2, 2), (1,)),
    ],
)
def test_a_tensor_that_reaches_beyond_its_storage_is_refused(
    offset: int, shape: tuple[int, ...], strides: tuple[int, ...], tmp_path: Path
) -> None:
    tensors = {"w": tensor("s", offset, shape, strides, 6)}
    path = checkpoint(tmp_path / "x.pth", tensors, {"s": SIX})
    with pytest.raises(InputError, match=r"x.pth is no PyTorch checkpoint"):
        read_checkpoint(path)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04zip", b"<html>", b"\x80\x02K\x01."])
def test_another_file_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.pth"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"x.pth is no PyTorch checkpoint"):
        read_checkpoint(path)


def test_a_file_that_is_gone_is_not_called_another_one(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_checkpoint(tmp_path / "evicted-meanwhile")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(cut=st.integers(0, 10_000), place=st.integers(0, 10_000), value=st.integers(0, 255))
def test_damage_gives_arrays_or_one_clear_line(
    cut: int, place: int, value: int, tmp_path: Path
) -> None:
    path = checkpoint(tmp_path / "x.pth", {"w": tensor("s", 0, (2, 3), (3, 1), 6)}, {"s": SIX})
    content = bytearray(path.read_bytes())
    content[place % len(content)] = value
    path.write_bytes(content[: len(content) - cut % 40])
    with suppress(InputError):  # any other exception fails
        assert all(isinstance(array, np.ndarray) for array in read_checkpoint(path).values())
