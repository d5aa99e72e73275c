"""The prepared data set: one row per photo, and the pixels in fixed-size uint8 records.

``photos.jsonl`` and ``refused.jsonl`` say what became of every photo of the archive;
``photos-<number>.rgb`` hold the kept ones, record after record of height x width x 3 bytes (RGB,
0..255), decoded once in preprocessing so that training needs no decoder and can read any photo at
random. A label is the place of the class in the sorted list of classes, 0..N-1.

``contact/*.jpg`` are contact sheets for people: thumbnails of a sample of each class, and of the
refused photos.
"""

import math
import os
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from tasks.contract.config import Split
from tasks.contract.errors import InputError

PHOTOS_FILE = "photos.jsonl"
REFUSED_FILE = "refused.jsonl"
#: The contact sheet of the refused photos; there is none if nothing was refused.
REFUSED_SHEET = "contact/refused.jpg"
#: The most photos that a class's contact sheet shows.
SHEET_PHOTOS = 24
#: Tiles of the refused photos' sheet; and of one reason, where they all look alike: crossed.
REFUSED_TILES, CROSSED_TILES = 48, 3
#: Reasons for which photos are refused that were decoded.
DECODED_REASONS = ("duplicate", "label conflict")

Pixels = NDArray[np.uint8]
Row = TypeVar("Row", bound=BaseModel)


class Photo(BaseModel):
    """A kept photo.

    Attributes:
        photo: SHA-256 (hex) of the decoded pixels; its identity for ever, whatever the image size.
        entry: where it lies in the archive.
        label: 0..N-1, the place of its class in the sorted classes.
        group: the ``photo`` that stands for its near duplicates; a group never crosses a split.
        shard, position: which record file, and which record in it.
        crc32: of the record's bytes.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    photo: str
    entry: str
    class_name: str
    label: int
    split: Split
    group: str
    width: int
    height: int
    shard: str
    position: int
    crc32: int


class Refusal(BaseModel):
    """A photo of the archive that is not used, and why.

    ``reason`` is one of a few words to count by; ``detail`` is for the reader. ``same_as`` is the
    entry whose pixels it has, if that is why; else empty.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    entry: str
    class_name: str
    reason: str
    detail: str
    same_as: str = ""


def refused_sheet_photos(refused: Mapping[str, int]) -> int:
    """How many photos the sheet of refused ones shows, of so many by reason."""
    shown = (
        count if reason in DECODED_REASONS else min(count, CROSSED_TILES)
        for reason, count in refused.items()
    )
    return min(sum(shown), REFUSED_TILES)


def class_sheet(label: int) -> str:
    """The file with the contact sheet of a class."""
    return f"contact/{label:03d}.jpg"


def write_rows(path: Path, rows: Iterable[BaseModel]) -> None:
    """JSON lines, one row each."""
    with path.open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(row.model_dump_json() + "\n")


def read_rows(path: Path, kind: type[Row]) -> list[Row]:
    """What ``write_rows`` wrote."""
    with path.open(encoding="utf-8") as file:
        return [kind.model_validate_json(line) for line in file]


def read_record(photo: Photo, image_size: int, read: Callable[[str, int, int], bytes]) -> Pixels:
    """The pixels of one photo, checked: uint8 (image_size, image_size, 3), read-only.

    Args:
        read: gives a record file's bytes, by its name, from a first to before a last one.

    Raises:
        InputError: the record is damaged.
    """
    size = image_size * image_size * 3
    record = read(photo.shard, photo.position * size, (photo.position + 1) * size)
    if zlib.crc32(record) != photo.crc32:
        raise _damaged(photo)
    return np.frombuffer(record, dtype=np.uint8).reshape(image_size, image_size, 3)


@dataclass(frozen=True)
class PhotoSet:
    """The photos of one split with random access to their pixels, which stay on disk.

    Records are read, not mapped: as fast from the page cache (100,000 records of 224 pixels a
    second), and what was read once is not counted as this process's memory.

    Attributes:
        photos: the rows, in the order of the labels and of the pixels.
        labels: int32, shape (len,).
    """

    photos: Sequence[Photo]
    labels: NDArray[np.int32]
    image_size: int
    _shards: Mapping[str, FileIO]

    @classmethod
    def open(
        cls, photos: Iterable[Photo], split: Split, image_size: int, path_of: Callable[[str], Path]
    ) -> Self:
        """Open one split's record files.

        Args:
            path_of: gives the local path of a record file by its name.

        Raises:
            InputError: the split has no photos, or a record file has another length.
        """
        rows = [photo for photo in photos if photo.split == split]
        if not rows:
            raise InputError(
                f"the {split} split has no photos: give the archive more photos per class, "
                f"or raise {split}_share"
            )
        shards = {}
        for shard in sorted({photo.shard for photo in rows}):
            shards[shard] = path_of(shard).open("rb", buffering=0)
            if os.fstat(shards[shard].fileno()).st_size % (image_size * image_size * 3):
                raise InputError(
                    f"{shard} does not hold whole {image_size}x{image_size} photos: "
                    "run preprocess again with force"
                )
        labels = np.array([photo.label for photo in rows], dtype=np.int32)
        return cls(rows, labels, image_size, shards)

    def __len__(self) -> int:
        return len(self.photos)

    def pixels(self, rows: Sequence[int] | NDArray[Any]) -> Pixels:
        """Read some photos, by their place in ``photos``: uint8 (len(rows), size, size, 3).

        Raises:
            InputError: a record file became shorter.
        """
        out = _aligned((len(rows), self.image_size, self.image_size, 3))
        for place, row in enumerate(rows):
            self._read(self.photos[row], out[place])
        return out

    def verify(self) -> None:
        """Check every record against its checksum.

        Raises:
            InputError: names the first photo whose record is damaged.
        """
        record = np.empty((self.image_size, self.image_size, 3), dtype=np.uint8)
        for photo in self.photos:
            self._read(photo, record)
            if zlib.crc32(record.data) != photo.crc32:
                raise _damaged(photo)

    def _read(self, photo: Photo, into: Pixels) -> None:
        shard = self._shards[photo.shard].fileno()
        if os.preadv(shard, [into.data], photo.position * into.nbytes) != into.nbytes:
            raise _damaged(photo)


def _aligned(shape: tuple[int, ...]) -> Pixels:
    """An empty array that begins at a multiple of 64 bytes: TensorFlow copies any other."""
    size = math.prod(shape)
    memory = np.empty(size + 64, dtype=np.uint8)
    start = -memory.ctypes.data % 64
    return memory[start : start + size].reshape(shape)


def _damaged(photo: Photo) -> InputError:
    return InputError(
        f"record {photo.position} of {photo.shard} ({photo.entry!r}) is damaged: "
        "run preprocess again with force"
    )
