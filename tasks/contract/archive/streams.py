"""Bytes of an archive in sequence, as they are or decompressed, and never more than is allowed."""

import bz2
import io
import lzma
import zlib
from collections.abc import Callable
from typing import Any, BinaryIO, Protocol

from backports import zstd

from tasks.contract.archive.members import unreadable
from tasks.contract.errors import InputError

_CHUNK = 1 << 18
#: Several compressed files after one another, as parallel compressors write them, count as one. To
#: begin each takes time, so that they must on the whole hold a tar's block each; a few need not.
_LEAST_PART, _SMALL_PARTS = 512, 10_000
#: Memory for decompressing xz; ``xz -9`` takes a fourth of it.
_XZ_MEMORY = 256 << 20

#: What decompressing raises for damaged bytes.
_DAMAGED = (zlib.error, lzma.LZMAError, zstd.ZstdError, OSError, EOFError, ValueError)


class Stream(Protocol):
    """A file of which a tar is read from front to back.

    Raises:
        InputError: (of all methods) it ends too soon, is damaged or expands beyond its limit.
    """

    position: int

    def read(self, size: int) -> bytes:
        """Exactly so many bytes."""

    def skip_to(self, position: int) -> None:
        """Pass over bytes; the position must not lie behind."""

    def finish(self) -> None:
        """Check what follows the last byte that anybody wants."""


class PlainStream:
    """A file as it is; skipping costs nothing."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        self.position = 0
        self._file = file
        self._name = name
        self._size = file.seek(0, io.SEEK_END)
        file.seek(0)

    def read(self, size: int) -> bytes:
        content = self._file.read(size)
        self.position += len(content)
        if len(content) < size:
            raise cut_short(self._name)
        return content

    def skip_to(self, position: int) -> None:
        if position > self._size:
            raise cut_short(self._name)
        self._file.seek(position)
        self.position = position

    def finish(self) -> None: ...


class CompressedStream:
    """A compressed file, decompressed as it is read."""

    def __init__(self, file: BinaryIO, kind: str, limit: int, name: str) -> None:
        """Begin to read.

        Args:
            kind: ``gz``, ``bz2``, ``xz`` or ``zst``.
            limit: how many bytes may come out.
        """
        self.position = 0
        self._name = name
        file.seek(0)
        self._file = io.BufferedReader(
            _Decompressed(file, DECOMPRESSORS[kind], limit, name), _CHUNK
        )

    def read(self, size: int) -> bytes:
        try:
            content = self._file.read(size)
        except _DAMAGED as error:
            raise unreadable(self._name, error) from error
        self.position += len(content)
        if len(content) < size:
            raise cut_short(self._name)
        return content

    def skip_to(self, position: int) -> None:
        while self.position < position:
            self.read(min(_CHUNK, position - self.position))

    def finish(self) -> None:
        """Checksums come last."""
        try:
            while self._file.read(_CHUNK):
                pass
        except _DAMAGED as error:
            raise unreadable(self._name, error) from error


class _Decompressed(io.RawIOBase):
    """What a compressed file holds, in however many parts."""

    def __init__(
        self, file: BinaryIO, new_decompressor: Callable[[], Any], limit: int, name: str
    ) -> None:
        self._file = file
        self._new_decompressor = new_decompressor
        self._decompressor = new_decompressor()
        self._limit = limit
        self._name = name
        self._parts = 1
        self._size = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        content = b""
        while not content:
            decompressor = self._decompressor
            if decompressor.eof:
                # Zeros fill up blocks, of xz and on tapes.
                rest = decompressor.unused_data.lstrip(b"\0") or self._file.read(_CHUNK)
                while rest and not (rest := rest.lstrip(b"\0")):
                    rest = self._file.read(_CHUNK)
                if not rest:
                    return 0
                self._parts += 1
                if self._parts > _SMALL_PARTS + self._size // _LEAST_PART:
                    raise unreadable(
                        self._name, "it is compressed in many more parts than any program makes"
                    )
                self._decompressor = decompressor = self._new_decompressor()
            elif decompressor.needs_input:
                rest = self._file.read(_CHUNK)
                if not rest:
                    raise cut_short(self._name)
            else:
                rest = b""
            content = decompressor.decompress(rest, len(buffer))
        self._size += len(content)
        if self._size > self._limit:
            raise InputError(
                f"{self._name} decompresses to more than its size and the limits allow: give "
                "another archive, or raise max_archive_gb or max_compression_ratio"
            )
        buffer[: len(content)] = content
        return len(content)


class _Gunzip:
    """zlib's decompressor with the interface of all others."""

    def __init__(self) -> None:
        self._inflate = zlib.decompressobj(zlib.MAX_WBITS | 16)
        self._maybe_more = False

    @property
    def eof(self) -> bool:
        return self._inflate.eof

    @property
    def unused_data(self) -> bytes:
        return self._inflate.unused_data

    @property
    def needs_input(self) -> bool:
        return not self._maybe_more

    def decompress(self, content: bytes, most: int) -> bytes:
        decompressed = self._inflate.decompress(self._inflate.unconsumed_tail + content, most)
        self._maybe_more = len(decompressed) == most or bool(self._inflate.unconsumed_tail)
        return decompressed


DECOMPRESSORS: dict[str, Callable[[], Any]] = {
    "gz": _Gunzip,
    "bz2": bz2.BZ2Decompressor,
    "xz": lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY),
    "zst": zstd.ZstdDecompressor,
}


def cut_short(name: str) -> InputError:
    return unreadable(name, "it is cut short")
