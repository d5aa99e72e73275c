"""Two networks on the test photos that neither has seen."""

from typing import Literal

import numpy as np

from tasks.contract.decision import Duel
from tasks.contract.photos import Photo
from tasks.contract.statistics import (
    PairedCounts,
    Verdict,
    grouped_interval,
    mcnemar_exact,
    paired_interval,
    verdict_of,
    wilson_interval,
)

#: By what the statistics call it; the challenger is in the place of transfer there.
_BETTER: dict[Verdict, Literal["challenger", "champion", "neither"]] = {
    "transfer is better": "challenger",
    "scratch is better": "champion",
    "not distinguishable": "neither",
}


def unseen(test: list[Photo], before: list[Photo]) -> tuple[list[Photo], int, int]:
    """The test photos that a champion has not seen, and how many it has, or has one like it.

    A photo is the same if its pixels are. A group of near duplicates is left out whole if one of
    it was seen; what looks like a photo that the archive no longer has cannot be known.

    Args:
        test: of this run; a group never crosses a split, so each is here whole.
        before: all photos of the data that the champion was trained on.
    """
    known = {row.photo for row in before if row.split != "test"}
    groups = {row.group for row in test if row.photo in known}
    seen = sum(row.photo in known for row in test)
    left = [row for row in test if row.group not in groups]
    return left, seen, len(test) - len(left) - seen


def judge(
    photos: list[Photo],
    challenger: list[str],
    champion: list[str],
    known: list[str],
    seen: int,
    alike: int,
) -> Duel:
    """Compare the classes that both named.

    Args:
        known: the champion's classes.
        seen, alike: how many test photos were left out.
    """
    truth = np.array([row.class_name for row in photos])
    first, second = np.array(challenger) == truth, np.array(champion) == truth
    counts = PairedCounts.of(first, second)
    grouped = grouped_interval(first, second, np.array([row.group for row in photos]))
    low, high = paired_interval(counts)
    first_interval, second_interval = (
        wilson_interval(int(right.sum()), len(photos)) for right in (first, second)
    )
    return Duel(
        test_photos=len(photos) + seen + alike,
        seen=seen,
        alike=alike,
        compared=len(photos),
        unknown_class=sum(row.class_name not in known for row in photos),
        challenger_accuracy=float(first.mean()),
        challenger_low=first_interval.low,
        challenger_high=first_interval.high,
        champion_accuracy=float(second.mean()),
        champion_low=second_interval.low,
        champion_high=second_interval.high,
        both=counts.both,
        only_challenger=counts.only_transfer,
        only_champion=counts.only_scratch,
        neither=counts.neither,
        difference=counts.difference,
        difference_low=low,
        difference_high=high,
        grouped_low=grouped.low,
        grouped_high=grouped.high,
        p_value=mcnemar_exact(counts),
        better=_BETTER[verdict_of(counts, grouped)],
    )
