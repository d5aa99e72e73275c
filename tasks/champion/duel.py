"""Two networks on the test photos that neither has seen."""

from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from tasks.contract.photos import Photo, PhotoSet
from tasks.contract.statistics import (
    PairedCounts,
    grouped_interval,
    mcnemar_exact,
    paired_interval,
    verdict_of,
)
from tasks.contract.step import Artifact

#: What a training's network says to photos: float32 (photos, its classes).
Answers = Callable[[Artifact, PhotoSet], NDArray[np.float32]]

_BETTER = {
    "transfer is better": "challenger",
    "scratch is better": "champion",
    "not distinguishable": "neither",
}


class Duel(BaseModel):
    """How both did. Accuracies in 0..1; the difference is the challenger's minus the champion's.

    Attributes:
        test_photos: of the run; those the champion has seen, or that look like one that it has,
            are left out.
        unknown_class: compared photos of classes that the champion does not know: it is wrong.
        difference_low, difference_high: Newcombe's interval, 95 %.
        grouped_low, grouped_high: that of whole groups of near duplicates.
        better: by both intervals and McNemar's test.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    test_photos: int
    seen: int
    alike: int
    compared: int
    unknown_class: int
    challenger_accuracy: float
    champion_accuracy: float
    both: int
    only_challenger: int
    only_champion: int
    neither: int
    difference: float
    difference_low: float
    difference_high: float
    grouped_low: float
    grouped_high: float
    p_value: float
    better: Literal["challenger", "champion", "neither"]


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
    """
    truth = np.array([row.class_name for row in photos])
    first, second = np.array(challenger) == truth, np.array(champion) == truth
    counts = PairedCounts.of(first, second)  # the challenger in the place of transfer
    grouped = grouped_interval(first, second, np.array([row.group for row in photos]))
    low, high = paired_interval(counts)
    return Duel(
        test_photos=len(photos) + seen + alike,
        seen=seen,
        alike=alike,
        compared=len(photos),
        unknown_class=sum(row.class_name not in known for row in photos),
        challenger_accuracy=float(first.mean()),
        champion_accuracy=float(second.mean()),
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
