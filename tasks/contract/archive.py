"""Photo archives: what lies inside, read entry by entry. Nothing is ever extracted to disk.

A photo's class is the name of the folder it lies in, however deep the archive nests its folders
(Oregon Wildlife nests two). What operating systems leave behind (``__MACOSX``, ``.DS_Store``,
``Thumbs.db``) and files beside the class folders (a README) are not photos and are passed over.
"""

import lzma
import threading
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from tasks.contract.errors import InputError

#: An optional file at the archive's root that says what the data set is.
DATASET_FILE = "dataset.json"
#: The most bytes that one entry may decompress to; a photo that is larger is refused.
MAX_ENTRY_BYTES = 256 << 20

#: All that zipfile raises for an entry that is damaged, encrypted or of an unknown method.
_UNREADABLE = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    RuntimeError,
    NotImplementedError,
    EOFError,
    OSError,
    ValueError,
)

_LITTER_FOLDERS = {"__MACOSX"}
_LITTER_FILES = {"thumbs.db", "desktop.ini"}
_IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"}


class DatasetCard(BaseModel):
    """What ``dataset.json`` may say. ``synthetic`` data is labelled so wherever it shows."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    name: str = ""
    synthetic: bool = False
    note: str = ""


@dataclass(frozen=True)
class Entry:
    """A photo's place in the archive. ``size`` is in bytes, decompressed, as declared."""

    name: str
    class_name: str
    size: int


class Archive:
    """A zip file of class folders, open for reading. Use as a context manager."""

    def __init__(self, path: Path, name: str) -> None:
        """Open an archive.

        Args:
            name: what to call it in messages.

        Raises:
            InputError: it is no zip file, or a broken one.
        """
        self.name = name
        self._lock = threading.Lock()
        try:
            self._zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, NotImplementedError, UnicodeDecodeError, OSError) as error:
            raise InputError(
                f"{name} is not a readable zip archive ({error}): upload a zip with one folder "
                "of photos per class"
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()

    def card(self) -> DatasetCard:
        """What the archive says of itself; an empty card if it says nothing usable."""
        try:
            with self._zip.open(DATASET_FILE) as file:
                return DatasetCard.model_validate_json(file.read(1 << 16))
        except (KeyError, ValidationError, *_UNREADABLE):
            return DatasetCard()

    def entries(self) -> list[Entry]:
        """Every photo, in name order.

        A file is taken for a photo if it lies in a class folder: one that has at least one file
        with an image's suffix directly in it. Its own suffix may lie, so it is no filter.
        """
        # By name: an archive that was added to may list a file twice, and the last one counts.
        infos = {info.filename: info for info in self._zip.infolist()}
        paths = {
            name: path
            for name in infos
            if not name.endswith("/") and not _is_litter(path := _path(name))
        }
        class_folders = {
            path.parent
            for path in paths.values()
            if path.suffix.lower() in _IMAGE_SUFFIXES and path.parent.name not in ("", "..")
        }
        return [
            Entry(name, path.parent.name, infos[name].file_size)
            for name, path in sorted(paths.items())
            if path.parent in class_folders
        ]

    def read(self, entry: Entry) -> bytes:
        """The bytes of one entry, checksum verified. May be called from several threads at once.

        Raises:
            EntryError: they cannot be read, or are too many.
        """
        try:
            with self._opened(entry.name) as file:
                content = file.read(MAX_ENTRY_BYTES + 1)
        except _UNREADABLE as error:
            raise EntryError(f"the archive's entry cannot be read: {error}") from error
        if len(content) > MAX_ENTRY_BYTES:
            raise EntryError(f"the entry is larger than {MAX_ENTRY_BYTES >> 20} MiB")
        return content

    @contextmanager
    def _opened(self, name: str) -> Iterator[IO[bytes]]:
        """Opening and closing count the file's users, and zipfile promises threads nothing."""
        with self._lock:
            file = self._zip.open(name)
        try:
            yield file
        finally:
            with self._lock:
                file.close()


class EntryError(Exception):
    """One entry of the archive cannot be read; the rest may be fine."""


def _path(name: str) -> PurePosixPath:
    """An entry's path; some Windows programs write backslashes into archives."""
    return PurePosixPath(name.replace("\\", "/"))


def _is_litter(path: PurePosixPath) -> bool:
    return (
        bool(_LITTER_FOLDERS.intersection(path.parts))
        or path.name.startswith(".")
        or path.name.lower() in _LITTER_FILES
    )
