"""Zip archives. ``zipfile`` reads the directory; entries are read here.

``zipfile`` gives every reader the same lock, decompresses bzip2 and LZMA without any bound (four
kilobytes may become gigabytes), and only from late releases of Python on looks for entries that
overlap.
"""

import bz2
import io
import lzma
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator
from functools import partial
from typing import Any, BinaryIO

from backports import zstd

from tasks.contract.archive.archive import BYTES_PER_ENTRY, Archive, too_many_entries
from tasks.contract.archive.members import EntryError, Fault, Member, unreadable
from tasks.contract.archive.names import decoded
from tasks.contract.archive.survey import Entry
from tasks.contract.config import ArchiveLimits

_DIRECTORY_RECORD = b"PK\x01\x02"
_LOCAL_HEADER = struct.Struct("<4s22xHH")
_ENCRYPTED = 1 << 0 | 1 << 6 | 1 << 13
_UTF8 = 1 << 11
#: Memory for decompressing LZMA; its strongest common setting takes a fourth of it.
_LZMA_MEMORY = 256 << 20
#: All that ``zipfile`` raises for a damaged directory.
_DAMAGED = (
    zipfile.BadZipFile,
    NotImplementedError,
    ValueError,
    OverflowError,
    struct.error,
    OSError,
)


class ZipArchive(Archive):
    """Entries are read with ``pread``, which any number of threads may do at once."""

    def __init__(self, file: BinaryIO, name: str, limits: ArchiveLimits) -> None:
        """Read the directory of an open file.

        Raises:
            InputError: it is damaged, or has more entries than the limits allow.
        """
        super().__init__(file, name, "zip", limits)
        try:
            with zipfile.ZipFile(_Directory(file, name, limits)) as opened:
                self._infos = sorted(opened.infolist(), key=lambda info: info.header_offset)
                self._end = opened.start_dir
        except _DAMAGED as error:
            raise unreadable(name, error) from error

    def readers(self, entries: Collection[Entry]) -> Iterator[tuple[Entry, Callable[[], bytes]]]:
        for entry in sorted(entries, key=lambda entry: entry.position):
            yield entry, partial(self._content, self._infos[entry.position])

    def _scan(self) -> Iterator[Member]:
        overlapping = _overlapping(self._infos, self._end)
        for position, info in enumerate(self._infos):
            name = _name(info)
            yield Member(
                name=name,
                size=info.file_size,
                position=position,
                folder=name.endswith(("/", "\\")),
                fault=self._fault(info, position in overlapping),
            )

    def _fault(self, info: zipfile.ZipInfo, overlaps: bool) -> Fault | None:
        kind = stat.S_IFMT(info.external_attr >> 16)
        if kind == stat.S_IFLNK:
            return Fault("link", "it leads to another file")
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            return Fault("special file", "a device, a pipe or a socket")
        if info.flag_bits & _ENCRYPTED:
            return Fault("encrypted", "it needs a password")
        if overlaps:
            return Fault("overlapping entries", "it shares bytes of the archive with another entry")
        if info.file_size > self.limits.expanded_bytes(info.compress_size):
            return Fault(
                "compression ratio",
                f"{info.compress_size:,} bytes would become {info.file_size:,}, more than "
                f"max_compression_ratio {self.limits.max_compression_ratio:,} allows",
            )
        if info.compress_type not in _METHODS:
            return Fault("unknown compression", f"method {info.compress_type} of zip")
        return None

    def _read(self, member: Member) -> bytes:
        return self._content(self._infos[member.position])

    def _content(self, info: zipfile.ZipInfo) -> bytes:
        name = _raw_name(info)
        header = self._pread(_LOCAL_HEADER.size + len(name), info.header_offset)
        if len(header) < _LOCAL_HEADER.size or not header.startswith(b"PK\x03\x04"):
            raise EntryError("unreadable entry", "the directory leads to no entry")
        _, name_length, extra_length = _LOCAL_HEADER.unpack_from(header)
        if header[_LOCAL_HEADER.size :] != name or name_length != len(name):
            raise EntryError("unreadable entry", "it has another name than in the directory")
        start = info.header_offset + _LOCAL_HEADER.size + name_length + extra_length
        # Compression may add a little, but what adds more than this is no compression.
        if info.compress_size > info.file_size + info.file_size // 8 + 1024:
            raise EntryError("unreadable entry", "compressed it is larger than it is")
        content = _decompressed(self._pread(info.compress_size, start), info)
        if len(content) != info.file_size:
            more = "more" if len(content) > info.file_size else "fewer"
            raise EntryError("unreadable entry", f"it has {more} bytes than it declares")
        if zlib.crc32(content) != info.CRC:
            raise EntryError("unreadable entry", "its checksum is wrong")
        return content

    def _pread(self, size: int, offset: int) -> bytes:
        try:
            return os.pread(self._file.fileno(), size, offset)
        except (OSError, OverflowError) as error:
            raise EntryError("unreadable entry", f"it cannot be read: {error}") from error


def _name(info: zipfile.ZipInfo) -> str:
    """Not cut off at a NUL, as ``info.filename`` is; programs may write UTF-8 and not say so."""
    return info.orig_filename if info.flag_bits & _UTF8 else decoded(_raw_name(info))


def _raw_name(info: zipfile.ZipInfo) -> bytes:
    return info.orig_filename.encode("utf-8" if info.flag_bits & _UTF8 else "cp437")


class _Directory(io.FileIO):
    """Keeps ``zipfile`` from reading a directory that would fill the memory."""

    def __init__(self, file: BinaryIO, name: str, limits: ArchiveLimits) -> None:
        super().__init__(file.fileno(), closefd=False)
        self._name = name
        self._limits = limits

    def read(self, size: int | None = -1, /) -> bytes:
        most = self._limits.max_entries * BYTES_PER_ENTRY + (1 << 16)
        if size is not None and size > most:
            raise too_many_entries(self._name, self._limits)
        content = super().read(size) or b""
        if content.count(_DIRECTORY_RECORD) > self._limits.max_entries:
            raise too_many_entries(self._name, self._limits)
        return content


def _overlapping(infos: list[zipfile.ZipInfo], end: int) -> set[int]:
    """Places in a list, sorted by offset, of entries that share bytes with one another.

    Honest programs never write such; bombs do, to have one kernel of compressed bytes count for
    thousands of entries.
    """
    found: set[int] = set()
    reach, holder = 0, -1
    for place, info in enumerate(infos):
        # Its local header has its name, too, and perhaps more.
        stop = info.header_offset + 30 + len(info.orig_filename) + info.compress_size
        if info.header_offset < reach:
            found |= {place, holder}
        if stop > end:
            found.add(place)
        if stop > reach:
            reach, holder = stop, place
    return found


def _decompressed(content: bytes, info: zipfile.ZipInfo) -> bytes:
    """What the bytes decompress to, but no more than one byte more than was declared."""
    decompressor = _METHODS[info.compress_type]
    try:
        return bytes(decompressor(content, info.file_size + 1))
    except (zlib.error, lzma.LZMAError, zstd.ZstdError, OSError, EOFError, ValueError) as error:
        raise EntryError("unreadable entry", f"it cannot be decompressed: {error}") from error


def _lzma(content: bytes, most: int) -> bytes:
    """Zip has a header of its own; made one of ``.lzma`` files, memory can be limited."""
    decompressor = lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=_LZMA_MEMORY)
    return decompressor.decompress(content[4:9] + b"\xff" * 8 + content[9:], most)


#: By zip's number of the method: what decompresses to at most so many bytes.
_METHODS: dict[int, Callable[[bytes, int], Any]] = {
    zipfile.ZIP_STORED: lambda content, most: content[:most],
    zipfile.ZIP_DEFLATED: lambda content, most: zlib.decompressobj(-15).decompress(content, most),
    zipfile.ZIP_BZIP2: lambda content, most: bz2.BZ2Decompressor().decompress(content, most),
    zipfile.ZIP_LZMA: _lzma,
    93: lambda content, most: zstd.ZstdDecompressor().decompress(content, most),
}
