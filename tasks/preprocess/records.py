"""Fixed-size pixel records: spooled to disk as photos are decoded, then written in their order."""

import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import BinaryIO

import numpy as np

from tasks.contract.config import Split
from tasks.contract.photos import Pixels
from tasks.preprocess.parallel import in_order

#: About this many bytes go into one record file: large enough for a store, small enough to retry.
SHARD_BYTES = 64 << 20


class Spool:
    """Records in the order in which they were decoded. On disk, because memory is smaller."""

    def __init__(self, path: Path, file: BinaryIO, image_size: int) -> None:
        self._path = path
        self._file = file
        self._shape = (image_size, image_size, 3)
        self._count = 0

    @classmethod
    @contextmanager
    def open(cls, path: Path, image_size: int) -> Iterator["Spool"]:
        with path.open("wb") as file:
            yield cls(path, file, image_size)
        path.unlink(missing_ok=True)

    def append(self, pixels: Pixels) -> int:
        """Keep a record; returns its number."""
        self._file.write(np.ascontiguousarray(pixels).data)
        self._count += 1
        return self._count - 1

    def records(self) -> Pixels:
        """All records so far, uint8 (count, size, size, 3), read from disk as they are touched."""
        self._file.flush()
        if not self._count:
            return np.empty((0, *self._shape), np.uint8)
        return np.memmap(self._path, np.uint8, "r", shape=(self._count, *self._shape))


@dataclass(frozen=True)
class Place:
    """Where a record was written; ``crc32`` is of its bytes."""

    shard: str
    position: int
    crc32: int


def write_shards(
    folder: Path,
    records: Pixels,
    order: Iterable[tuple[Split, int]],
    workers: int = 1,
    shard_bytes: int = SHARD_BYTES,
) -> list[Place]:
    """Write chosen records to ``<split>-<number>.rgb`` files.

    Args:
        order: split and record number of each photo, split after split.

    Returns:
        The place of each, in the same order.
    """
    per_shard = max(1, shard_bytes // max(1, records[:1].nbytes))
    shards = [
        (f"{split}-{number:05}.rgb", chosen)
        for split, group in groupby(order, key=lambda item: item[0])
        for number, chosen in enumerate(_cut([number for _, number in group], per_shard))
    ]

    def write(shard: tuple[str, Sequence[int]]) -> list[Place]:
        name, chosen = shard
        with (folder / name).open("wb") as file:
            return [
                Place(name, position, _write(file, records[number]))
                for position, number in enumerate(chosen)
            ]

    return [place for places in in_order(write, shards, workers) for place in places]


def _cut(numbers: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    for start in range(0, len(numbers), size):
        yield numbers[start : start + size]


def _write(file: BinaryIO, record: Pixels) -> int:
    """Append a record; returns its checksum."""
    file.write(record.data)
    return zlib.crc32(record.data)
