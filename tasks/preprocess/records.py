"""Fixed-size pixel records: spooled to disk as photos are decoded, then written in their order."""

import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import BinaryIO

import numpy as np

from tasks.contract.config import Split
from tasks.contract.photos import Pixels

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
    shard_bytes: int = SHARD_BYTES,
) -> list[Place]:
    """Write chosen records to ``<split>-<number>.rgb`` files.

    Args:
        order: split and record number of each photo, split after split.

    Returns:
        The place of each, in the same order.
    """
    per_shard = max(1, shard_bytes // max(1, records[:1].nbytes))
    places = []
    for split, group in groupby(order, key=lambda item: item[0]):
        numbers = [number for _, number in group]
        for shard, start in enumerate(range(0, len(numbers), per_shard)):
            name = f"{split}-{shard:05}.rgb"
            with (folder / name).open("wb") as file:
                for position, number in enumerate(numbers[start : start + per_shard]):
                    content = records[number].tobytes()
                    file.write(content)
                    places.append(Place(name, position, zlib.crc32(content)))
    return places
