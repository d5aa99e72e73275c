"""Every photo of an archive decoded once, on all cores, with memory bounded."""

import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

from tasks.contract.archive import Archive, Entry, EntryError
from tasks.contract.config import PreprocessOptions
from tasks.contract.pace import Pace
from tasks.contract.photos import Refusal
from tasks.preprocess.decode import Decoded, UnusableError, decode
from tasks.preprocess.near_duplicates import perceptual_hashes
from tasks.preprocess.parallel import in_order
from tasks.preprocess.records import Place, Records
from tasks.preprocess.usable import Usable

#: So many photos, or bytes of them, are decoded in a row by one thread: passing each one from
#: thread to thread costs a tenth of the time, and what is in hand must fit in memory.
_CHUNK_PHOTOS, _CHUNK_BYTES = 16, 16 << 20

_Item = tuple[int, Entry, Callable[[], bytes]]
_Kept = tuple[Entry, Decoded, Place]


def decode_all(
    archive: Archive,
    entries: Collection[Entry],
    records: Records,
    options: PreprocessOptions,
    workers: int,
    pace: Pace,
) -> tuple[list[Usable], list[Refusal]]:
    """Pixels become records, numbered in name order; what is returned is in that order, too.

    The result is the same for any number of ``workers``, and any order of the archive.
    """

    def outcomes(chunk: Iterable[_Item]) -> list[Usable | Refusal]:
        found = [_outcome(*item, records, options) for item in chunk]
        kept = [one for one in found if not isinstance(one, Refusal)]
        hashes = perceptual_hashes([decoded.thumbnail for _, decoded, _ in kept])
        refused = [one for one in found if isinstance(one, Refusal)]
        return [*refused, *map(_usable, kept, hashes)]

    usable: list[Usable] = []
    refused: list[Refusal] = []
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="PIL")  # what it warns of, we decide on
        chunks = _chunks(archive.readers(entries), _numbers(entries))
        for found in in_order(outcomes, chunks, workers):
            usable += [one for one in found if isinstance(one, Usable)]
            refused += [one for one in found if isinstance(one, Refusal)]
            pace(len(usable) + len(refused))
    usable.sort(key=lambda photo: photo.entry)
    return usable, refused


def _outcome(
    number: int,
    entry: Entry,
    read: Callable[[], bytes],
    records: Records,
    options: PreprocessOptions,
) -> _Kept | Refusal:
    try:
        decoded = decode(read(), options.image_size, options.fit, options.min_side)
    except (EntryError, UnusableError) as error:
        return Refusal(
            entry=entry.name,
            class_name=entry.class_name,
            reason=error.reason,
            detail=error.detail,
        )
    return entry, decoded, records.write(number, decoded.pixels)


def _usable(kept: _Kept, perceptual_hash: int) -> Usable:
    entry, decoded, place = kept
    return Usable(
        entry.name,
        entry.class_name,
        decoded.photo,
        decoded.width,
        decoded.height,
        perceptual_hash,
        place,
    )


def _numbers(entries: Iterable[Entry]) -> dict[Entry, int]:
    return {entry: number for number, entry in enumerate(sorted(entries, key=lambda e: e.name))}


def _chunks(
    readers: Iterable[tuple[Entry, Callable[[], bytes]]], number_of: Mapping[Entry, int]
) -> Iterator[list[_Item]]:
    chunk: list[_Item] = []
    size = 0
    for entry, read in readers:
        if chunk and (len(chunk) == _CHUNK_PHOTOS or size + entry.size > _CHUNK_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append((number_of[entry], entry, read))
        size += entry.size
    if chunk:
        yield chunk
