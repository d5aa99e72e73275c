"""Train, validation and test: chosen by hash, so that a photo keeps its split as archives grow.

Every photo draws a number in [0, 1) from its own pixels and the seed. Of near duplicates, which
must stay together, the smallest draw decides for all: adding a photo to a group can then only move
the group towards test. What has been tested on is never trained on later, which no rule that looks
at the group's contents alone could promise the other way round as well.

There are two exceptions, and no rule without a memory can avoid them. A class that would have no
photo in some split is given one, and gives it back when the archive grows; that concerns classes
with few photos. And photos that are removed take their draws with them; those that are only
refused, because another class has them too, go on drawing for their near duplicates.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tasks.contract.config import SPLITS, Split
from tasks.contract.errors import InputError


@dataclass
class _Group:
    """Near duplicates. ``photo`` is the one with the smallest draw; it names the group."""

    photo: str
    draw: float
    split: Split
    classes: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Shares:
    """The parts of [0, 1) that belong to each split: test first, then validation, then train."""

    validation: float
    test: float

    def bounds(self, split: Split) -> tuple[float, float]:
        inner = self.test, self.test + self.validation
        return {"test": (0.0, inner[0]), "validation": inner, "train": (inner[1], 1.0)}[split]

    def split_of(self, draw: float) -> Split:
        return next(split for split in SPLITS if self.distance(draw, split) == 0.0)

    def distance(self, draw: float, split: Split) -> float:
        """How far a draw lies from a split's part; zero inside it."""
        low, high = self.bounds(split)
        if low <= draw < high:
            return 0.0
        return max(low - draw, draw - high, 1e-12)


def assign_splits(
    photos: Sequence[str],
    classes: Sequence[str | None],
    components: Sequence[int],
    seed: int,
    shares: Shares,
) -> list[tuple[str, Split]]:
    """Choose the split of every photo; near duplicates share one, every class is in all three.

    Args:
        photos: identity of each photo.
        classes: the class of each; None of one that is not used itself, but draws for its group.
        components: a number for each, the same for near duplicates.

    Returns:
        For each photo the identity of the photo that decides for its group, and the split. The
        order of the arguments makes no difference.

    Raises:
        InputError: a class has too few different photos to be in every split.
    """
    groups: dict[int, _Group] = {}
    for photo, class_name, component in zip(photos, classes, components, strict=True):
        drawn = draw(seed, photo)
        group = groups.setdefault(component, _Group(photo, drawn, shares.split_of(drawn)))
        if (drawn, photo) < (group.draw, group.photo):
            group.photo, group.draw, group.split = photo, drawn, shares.split_of(drawn)
        if class_name is not None:
            group.classes.add(class_name)
    _complete_classes(groups.values(), shares)
    return [(groups[component].photo, groups[component].split) for component in components]


def draw(seed: int, photo: str) -> float:
    """The photo's number in [0, 1)."""
    digest = hashlib.sha256(f"{seed}:{photo}".encode()).digest()
    return (int.from_bytes(digest[:8]) >> 11) / 2**53


def _complete_classes(groups: Iterable[_Group], shares: Shares) -> None:
    """Where a class has no photo in a split, move the group that drew nearest to that split."""
    members: dict[str, list[_Group]] = defaultdict(list)
    for group in groups:
        for class_name in group.classes:
            members[class_name].append(group)
    count = {name: Counter(group.split for group in own) for name, own in members.items()}

    def can_leave(group: _Group) -> bool:
        return all(count[name][group.split] > 1 for name in group.classes)

    for class_name in sorted(members):
        for split in SPLITS:
            if count[class_name][split]:
                continue
            movable = [group for group in members[class_name] if can_leave(group)]
            if not movable:
                raise InputError(
                    f"class {class_name!r} has too few different photos "
                    f"({len(members[class_name])}, near duplicates counted once) to be in train, "
                    "validation and test: add photos, or lower near_duplicate_bits"
                )
            # A group leaves test only if no other can: it may have been tested on before.
            nearest = min(
                movable,
                key=lambda group: (
                    group.split == "test",
                    shares.distance(group.draw, split),
                    group.photo,
                ),
            )
            for name in nearest.classes:
                count[name][nearest.split] -= 1
                count[name][split] += 1
            nearest.split = split
