"""Tar archives. ``tarfile`` decodes single headers; what they add up to is found out here.

``tarfile`` itself trusts its input too far: releases of Python that this must run on go round in
circles on a negative size (CVE-2025-8194), take quadratic time over a header of digits
(CVE-2024-6232), recurse as deep as the file likes, read headers of any length into memory, and
take the damage after an intact entry for the end.
"""

import os
import tarfile
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO

from tasks.contract.archive.archive import Archive, is_card
from tasks.contract.archive.members import EntryError, Fault, Member, unreadable
from tasks.contract.archive.names import decoded
from tasks.contract.archive.streams import CompressedStream, PlainStream, Stream
from tasks.contract.archive.survey import Entry
from tasks.contract.config import ArchiveLimits

_BLOCK = 512
#: The most bytes of a header that extends another, for a long name or attributes.
_LARGEST_HEADER = 1 << 20
#: What is kept of a name: more than any that is accepted, not the megabyte that a header allows.
_LONGEST_NAME = 8192
#: Whatever size their headers give, nothing follows them.
_NO_DATA = (
    *(tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.DIRTYPE),
    *(tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE),
)
_SPARSE = Fault("sparse file", "parts of it are left out of the archive")


class TarArchive(Archive):
    """A plain tar: its entries are read with ``pread``, by any number of threads at once."""

    def __init__(self, file: BinaryIO, name: str, limits: ArchiveLimits) -> None:
        super().__init__(file, name, "tar", limits)

    def readers(self, entries: Collection[Entry]) -> Iterator[tuple[Entry, Callable[[], bytes]]]:
        for entry in sorted(entries, key=lambda entry: entry.position):
            yield entry, partial(self._content, entry.position, entry.size)

    def _scan(self) -> Iterator[Member]:
        yield from members_of(PlainStream(self._file, self.name), self.name)

    def _read(self, member: Member) -> bytes:
        return self._content(member.position, member.size)

    def _content(self, position: int, size: int) -> bytes:
        try:
            content = os.pread(self._file.fileno(), size, position)
        except OSError as error:
            raise EntryError("unreadable entry", f"it cannot be read: {error}") from error
        if len(content) < size:
            raise EntryError("unreadable entry", "the archive ends within it")
        return content


class CompressedTarArchive(Archive):
    """A tar compressed as a whole, which can only be read in sequence."""

    def __init__(self, file: BinaryIO, kind: str, name: str, limits: ArchiveLimits) -> None:
        """Take an open file.

        Args:
            kind: ``gz``, ``bz2``, ``xz`` or ``zst``.
        """
        super().__init__(file, name, f"tar.{kind}", limits)
        self._kind = kind
        self._limit = min(
            limits.archive_bytes, limits.expanded_bytes(os.fstat(file.fileno()).st_size)
        )
        self._cards: dict[int, bytes] = {}

    def readers(self, entries: Collection[Entry]) -> Iterator[tuple[Entry, Callable[[], bytes]]]:
        wanted = {entry.position: entry for entry in entries}
        stream = self._stream()
        for member in members_of(stream, self.name):
            if entry := wanted.get(member.position):
                yield entry, partial(bytes, stream.read(entry.size))

    def _scan(self) -> Iterator[Member]:
        stream = self._stream()
        for member in members_of(stream, self.name):
            if is_card(member):  # now, because coming back to it would mean to read all again
                self._cards[member.position] = stream.read(member.size)
            yield member

    def _read(self, member: Member) -> bytes:
        return self._cards[member.position]

    def _stream(self) -> Stream:
        return CompressedStream(self._file, self._kind, self._limit, self.name)


def members_of(stream: Stream, name: str) -> Iterator[Member]:
    """The entries of a tar; position is where their data begin.

    While one is held, its data can be read from the stream.

    Args:
        name: what to call the archive in messages.

    Raises:
        InputError: the tar is damaged or cut short.
    """
    extended = _Extended()
    while any(block := stream.read(_BLOCK)):
        header = _header(block, name)
        kind = header.type
        if kind in (tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE):
            content = stream.read(_sane(header.size, _LARGEST_HEADER, name))
            if kind == tarfile.GNUTYPE_LONGNAME:
                extended.name = extended.name or decoded(content.partition(b"\0")[0])
            else:
                extended.take(_records(content, name))
            stream.skip_to(_rounded(stream.position))
            continue
        size = header.size if extended.size is None else extended.size
        stored = 0 if kind in _NO_DATA else _sane(size, 1 << 62, name)
        if kind == tarfile.GNUTYPE_SPARSE:
            _skip_sparse_map(block, stream)
        end = _rounded(stream.position + stored)
        if kind not in (tarfile.GNUTYPE_LONGLINK, tarfile.XGLTYPE):  # which say nothing of interest
            own_name = extended.name or decoded(header.name.encode(errors="surrogateescape"))
            yield Member(
                name=own_name[:_LONGEST_NAME],
                size=size,
                position=stream.position,
                folder=kind == tarfile.DIRTYPE or own_name.endswith("/"),
                fault=_SPARSE if extended.sparse else _fault(kind),
            )
            extended = _Extended()
        stream.skip_to(end)
    stream.finish()


@dataclass
class _Extended:
    """What headers say of the entry after them."""

    name: str = ""
    size: int | None = None
    sparse: bool = False

    def take(self, records: dict[bytes, bytes]) -> None:
        """Read a header in pax format; a later one overrules it."""
        for key, value in records.items():
            if key in (b"path", b"GNU.sparse.name"):
                self.name = decoded(value)
            elif key == b"size" and value.isdigit() and len(value) < 20:
                self.size = int(value)
            self.sparse = self.sparse or key.startswith(b"GNU.sparse.")


def _header(block: bytes, name: str) -> tarfile.TarInfo:
    try:
        return tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except (tarfile.HeaderError, ValueError) as error:
        raise unreadable(name, f"a header in it is damaged: {error}") from error


def _records(content: bytes, name: str) -> dict[bytes, bytes]:
    """Records of a pax header: each a length, a blank, key=value and a line's end."""
    records = {}
    place = 0
    while place < len(content) and content[place]:
        length, _, _ = content[place : place + 20].partition(b" ")
        stop = place + int(length) if length.isdigit() else 0
        key, sign, value = content[place + len(length) + 1 : stop - 1].partition(b"=")
        if not sign or content[stop - 1 : stop] != b"\n":
            raise unreadable(name, "an extended header in it is damaged")
        records[key] = value
        place = stop
    return records


def _skip_sparse_map(block: bytes, stream: Stream) -> None:
    more = block[482]
    while more:
        more = stream.read(_BLOCK)[504]


def _fault(kind: bytes) -> Fault | None:
    if kind in (*tarfile.REGULAR_TYPES, tarfile.DIRTYPE) and kind != tarfile.GNUTYPE_SPARSE:
        return None
    if kind in (tarfile.LNKTYPE, tarfile.SYMTYPE):
        return Fault("link", "it leads to another file")
    if kind == tarfile.GNUTYPE_SPARSE:
        return _SPARSE
    return Fault("special file", "a device, a pipe or of an unknown kind")


def _sane(size: int, most: int, name: str) -> int:
    if not 0 <= size <= most:
        raise unreadable(name, f"a header in it gives a size of {size:,} bytes")
    return size


def _rounded(size: int) -> int:
    """Up to whole blocks."""
    return -(-size // _BLOCK) * _BLOCK
