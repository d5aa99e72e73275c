"""Archives of every format for tests, honest ones and others."""

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

from backports import zstd

from tasks.contract.archive import Entry, open_archive
from tasks.contract.config import ArchiveLimits

METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
LIMITS = ArchiveLimits()


def zipped(files: dict[str, bytes]) -> bytes:
    """A zip with these files, compressed by each method in turn."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number, (name, content) in enumerate(files.items()):
            info = zipfile.ZipInfo()
            info.filename = name  # afterwards, because it would be tidied up
            archive.writestr(info, content, METHODS[number % len(METHODS)])
    return buffer.getvalue()


def member(name: str, content: bytes = b"", **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    """An entry of a tar with any fields of its header."""
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, content


def tarred(
    files: dict[str, bytes] | Iterable[tuple[tarfile.TarInfo, bytes]],
    form: int = tarfile.PAX_FORMAT,
) -> bytes:
    if isinstance(files, dict):
        files = [member(name, content) for name, content in files.items()]
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for info, content in files:
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


COMPRESSED: dict[str, Callable[[bytes], bytes]] = {
    "tar.gz": lambda content: gzip.compress(content, mtime=0),
    "tar.bz2": bz2.compress,
    "tar.xz": lzma.compress,
    "tar.zst": zstd.compress,
}
FORMATS: dict[str, Callable[[dict[str, bytes]], bytes]] = {
    "zip": zipped,
    "tar": tarred,
    **{
        name: lambda files, compress=compress: compress(tarred(files))
        for name, compress in COMPRESSED.items()
    },
}


def contents_of(path: Path, limits: ArchiveLimits = LIMITS) -> dict[str, bytes]:
    """Each photo of an archive, read."""
    with open_archive(path, "the archive", limits) as archive:
        entries = archive.survey().entries
        return {entry.name: read() for entry, read in archive.readers(entries)}


def entries_of(path: Path, limits: ArchiveLimits = LIMITS) -> list[Entry]:
    with open_archive(path, "the archive", limits) as archive:
        return archive.survey().entries


def refused_of(path: Path, limits: ArchiveLimits = LIMITS) -> dict[str, str]:
    """The reason for each entry that must not be used."""
    with open_archive(path, "the archive", limits) as archive:
        return {refusal.entry: refusal.reason for refusal in archive.survey().refused}
