"""Every photo of an archive decoded once, on all cores, with memory bounded."""

import warnings
from collections.abc import Callable, Collection

from tasks.contract.archive import Archive, Entry, EntryError
from tasks.contract.config import PreprocessOptions
from tasks.contract.pace import Pace
from tasks.contract.photos import Refusal
from tasks.preprocess.decode import Decoded, UnusableError, decode
from tasks.preprocess.parallel import in_order
from tasks.preprocess.records import Spool
from tasks.preprocess.usable import Usable


def decode_all(
    archive: Archive,
    entries: Collection[Entry],
    spool: Spool,
    options: PreprocessOptions,
    workers: int,
    pace: Pace,
) -> tuple[list[Usable], list[Refusal]]:
    """Pixels go to the spool in the archive's order; what is returned is in name order.

    The result is the same for any number of ``workers``.
    """

    def outcome(item: tuple[Entry, Callable[[], bytes]]) -> tuple[Entry, Decoded | UnusableError]:
        entry, read = item
        try:
            return entry, decode(read(), options.image_size, options.fit, options.min_side)
        except EntryError as error:
            return entry, UnusableError(error.reason, error.detail)
        except UnusableError as error:
            return entry, error

    usable, refused = [], []
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="PIL")  # what it warns of, we decide on
        outcomes = in_order(outcome, archive.readers(entries), workers)
        for done, (entry, result) in enumerate(outcomes, start=1):
            if isinstance(result, UnusableError):
                refused.append(_refusal(entry, result))
            else:
                usable.append(_usable(entry, result, spool.append(result.pixels)))
            pace(done)
    usable.sort(key=lambda photo: photo.entry)
    return usable, refused


def _usable(entry: Entry, decoded: Decoded, record: int) -> Usable:
    return Usable(
        entry.name,
        entry.class_name,
        decoded.photo,
        decoded.width,
        decoded.height,
        decoded.perceptual_hash,
        record,
    )


def _refusal(entry: Entry, error: UnusableError) -> Refusal:
    return Refusal(
        entry=entry.name, class_name=entry.class_name, reason=error.reason, detail=error.detail
    )
