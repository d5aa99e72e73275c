"""Fixed-size pixel records, each written once, to where its number puts it."""

import os
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tasks.contract.files import write_at
from tasks.contract.photos import Pixels

#: About this many bytes go into one record file: large enough for a store, small enough to retry.
SHARD_BYTES = 64 << 20


@dataclass(frozen=True)
class Place:
    """Where a record was written; ``crc32`` is of its bytes."""

    shard: str
    position: int
    crc32: int


class Records:
    """Files ``photos-<number>.rgb`` of a folder.

    Records are not sorted by split: that is known only when all photos are, and to write them a
    second time would double the work of the disk. A number that nobody writes is a hole.
    """

    def __init__(self, folder: Path, image_size: int, shard_bytes: int = SHARD_BYTES) -> None:
        self._folder = folder
        self._shape = (image_size, image_size, 3)
        self._bytes = image_size * image_size * 3
        self._per_shard = max(1, shard_bytes // self._bytes)

    def write(self, number: int, pixels: Pixels) -> Place:
        """Keep a record, uint8 (size, size, 3). May be called from several threads at once."""
        shard, position = divmod(number, self._per_shard)
        name = f"photos-{shard:05}.rgb"
        content = np.ascontiguousarray(pixels).data
        file = os.open(self._folder / name, os.O_WRONLY | os.O_CREAT, 0o666)
        try:
            write_at(file, content, position * self._bytes)
        finally:
            os.close(file)
        return Place(name, position, zlib.crc32(content))

    def read(self, place: Place) -> Pixels:
        """What was written."""
        pixels = np.fromfile(
            self._folder / place.shard,
            np.uint8,
            count=self._bytes,
            offset=place.position * self._bytes,
        )
        return pixels.reshape(self._shape)
