"""What an archive is, by its first bytes."""

import re
import tarfile
import zipfile
from pathlib import Path
from typing import BinaryIO

from tasks.contract.archive.archive import Archive
from tasks.contract.archive.members import unreadable
from tasks.contract.archive.tars import CompressedTarArchive, TarArchive
from tasks.contract.archive.zips import ZipArchive
from tasks.contract.config import ArchiveLimits

_COMPRESSED = {
    "gz": re.compile(rb"\x1f\x8b\x08"),
    "bz2": re.compile(rb"BZh[1-9]"),
    "xz": re.compile(rb"\xfd7zXZ\0"),
    "zst": re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18"),  # the second can be skipped
}
#: Every entry of a zip begins so; the directory, without which it cannot be read, is at its end.
_ZIP_ENTRY = b"PK\x03\x04"


def open_archive(path: Path, name: str, limits: ArchiveLimits) -> Archive:
    """Open an archive of any format that can be read.

    It is opened once, for another process may evict it from the cache at any time; what is open
    stays readable.

    Args:
        name: what to call it in messages.

    Raises:
        InputError: it is no archive, or a broken one.
        FileNotFoundError: it is not there, or not any more.
    """
    file = path.open("rb")
    try:
        return _recognised(file, name, limits)
    except BaseException:
        file.close()
        raise


def _recognised(file: BinaryIO, name: str, limits: ArchiveLimits) -> Archive:
    beginning = file.read(tarfile.BLOCKSIZE)
    for kind, magic in _COMPRESSED.items():
        if magic.match(beginning):
            return CompressedTarArchive(file, kind, name, limits)
    if _is_tar(beginning):
        return TarArchive(file, name, limits)
    if _is_zip(file):
        return ZipArchive(file, name, limits)
    if beginning.startswith(_ZIP_ENTRY):
        raise unreadable(name, "it begins like a zip and is cut short")
    raise unreadable(name, "it is neither a zip nor a tar")


def _is_tar(beginning: bytes) -> bool:
    try:
        tarfile.TarInfo.frombuf(beginning, "utf-8", "surrogateescape")
    except (tarfile.HeaderError, ValueError):
        return False
    return True


def _is_zip(file: BinaryIO) -> bool:
    """By its end: a program that unpacks it may come before it."""
    try:
        return zipfile.is_zipfile(file)
    except zipfile.BadZipFile:
        return True  # its reader will say what is wrong with it
