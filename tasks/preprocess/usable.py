"""Which decoded photos are used: no copies, no contradictory labels, and enough of them."""

import logging
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tasks.contract.archive import Survey
from tasks.contract.config import PreprocessOptions
from tasks.contract.errors import InputError, listed
from tasks.contract.photos import Refusal
from tasks.preprocess.records import Place

log = logging.getLogger(__name__)

#: The most refused photos that a failing step lists in its log.
_LISTED = 200


@dataclass(frozen=True)
class Usable:
    """A photo that was decoded, and where its record is."""

    entry: str
    class_name: str
    photo: str
    width: int
    height: int
    perceptual_hash: int
    place: Place


def settle_exact_duplicates(decoded: Iterable[Usable]) -> tuple[list[Usable], list[Refusal]]:
    """Keep one of the photos with the same pixels; none if they lie in different classes.

    Of copies within a class the first by name stays. Copies in several classes are all refused:
    at least one of the labels is wrong, and nothing says which.
    """
    copies: dict[str, list[Usable]] = defaultdict(list)
    for photo in decoded:
        copies[photo.photo].append(photo)
    kept, refused = [], []
    for same in copies.values():
        same.sort(key=lambda photo: photo.entry)
        conflict = len({photo.class_name for photo in same}) > 1
        if not conflict:
            kept.append(same[0])
        for photo in same if conflict else same[1:]:
            other = next(o for o in same if not conflict or o.class_name != photo.class_name)
            refused.append(
                Refusal(
                    entry=photo.entry,
                    class_name=photo.class_name,
                    reason="label conflict" if conflict else "duplicate",
                    detail=f"has the same pixels as {other.entry!r}",
                    same_as=other.entry,
                )
            )
    return kept, refused


def require_usable(
    survey: Survey,
    usable: Iterable[Usable],
    refused: Sequence[Refusal],
    options: PreprocessOptions,
) -> None:
    """See that enough photos are left; if not, list in the log what was refused.

    Exact duplicates are no failures: they lose nothing.

    Raises:
        InputError: too many photos failed, or a class has too few left.
    """
    entries = len(survey.entries) + len(survey.refused)
    reasons = Counter(refusal.reason for refusal in refused)
    failed = reasons.total() - reasons["duplicate"]
    if failed > options.max_refused_share * entries:
        counts = ", ".join(f"{reason} {count:,}" for reason, count in reasons.most_common())
        _list_refused(refused)
        raise InputError(
            f"{failed:,} of the archive's {entries:,} photos cannot be used ({counts}), more "
            f"than max_refused_share {options.max_refused_share:g} allows: mend the archive, or "
            "raise max_refused_share"
        )
    # A class all of whose photos were refused must not vanish without a word.
    classes = {entry.class_name for entry in survey.entries}
    classes |= {refusal.class_name for refusal in survey.refused if refusal.class_name}
    count = dict.fromkeys(sorted(classes), 0)
    count |= Counter(photo.class_name for photo in usable)
    few = {name: n for name, n in count.items() if n < options.min_photos_per_class}
    if few:
        _list_refused([refusal for refusal in refused if refusal.class_name in few])
        names = listed([f"{name!r} has {n}" for name, n in few.items()])
        raise InputError(
            f"these classes have fewer than {options.min_photos_per_class} usable photos: "
            f"{names}: add photos, remove their folders, or lower min_photos_per_class"
        )


def _list_refused(refused: Sequence[Refusal]) -> None:
    for refusal in refused[:_LISTED]:
        log.warning("refused %r: %s (%s)", refusal.entry, refusal.reason, refusal.detail)
    if len(refused) > _LISTED:
        log.warning("and %s more", f"{len(refused) - _LISTED:,}")
