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
from functools import partial

from tasks.contract.config import SPLITS, Split
from tasks.contract.errors import InputError

#: Where the search for a way to complete classes ends: a second or so, and a stack's depth.
_MOST_STEPS, _MOST_HELD = 10_000, 400


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
    _Completion(groups.values(), shares).complete()
    return [(groups[component].photo, groups[component].split) for component in components]


def draw(seed: int, photo: str) -> float:
    """The photo's number in [0, 1)."""
    digest = hashlib.sha256(f"{seed}:{photo}".encode()).digest()
    return (int.from_bytes(digest[:8]) >> 11) / 2**53


class _Completion:
    """Groups and their splits, on the way to every class being in every split."""

    def __init__(self, groups: Iterable[_Group], shares: Shares) -> None:
        self._shares = shares
        self._members: dict[str, list[_Group]] = defaultdict(list)
        for group in groups:
            for class_name in group.classes:
                self._members[class_name].append(group)
        self._count = {
            name: Counter(group.split for group in own) for name, own in self._members.items()
        }
        self._missing = {
            (name, split)
            for name, count in self._count.items()
            for split in SPLITS
            if not count[split]
        }
        self._held: set[str] = set()
        self._steps = 0

    def complete(self) -> None:
        """Where a class has no photo in a split, move the group that drew nearest to that split.

        Raises:
            InputError: a class has too few different photos.
        """
        for class_name in sorted(self._members):
            for split in SPLITS:
                if (class_name, split) in self._missing:
                    self._move_nearest(class_name, split)
        if self._missing:
            class_name, _ = min(self._missing)
            if not self._search():
                raise InputError(
                    f"class {class_name!r} has too few different photos "
                    f"({len(self._members[class_name])}, near duplicates counted once) to be in "
                    "train, validation and test: add photos, or lower near_duplicate_bits"
                )

    def _move_nearest(self, class_name: str, split: Split) -> None:
        """If there is a group that no other split of its classes would miss."""
        movable = [group for group in self._members[class_name] if self._can_leave(group)]
        if movable:
            self._move(min(movable, key=partial(self._reluctance, split)), split)

    def _search(self) -> bool:
        """Complete what is missing by moves that may make others necessary.

        Groups that several classes share can be so few that one move after the other finds no way.
        Of the groups of a class, one must be in the split that it misses: each is held there in
        turn and the rest is completed around it, which finds a way if there is one. It can take
        for ever, so that it is given up at some point.
        """
        if not self._missing:
            return True
        class_name, split = min(self._missing)
        free = [group for group in self._members[class_name] if group.photo not in self._held]
        for group in sorted(free, key=partial(self._reluctance, split)):
            self._steps += 1
            if self._steps > _MOST_STEPS or len(self._held) == _MOST_HELD:
                break
            before = group.split
            self._move(group, split)
            self._held.add(group.photo)
            if self._search():
                return True
            self._move(group, before)
            self._held.remove(group.photo)
        return False

    def _can_leave(self, group: _Group) -> bool:
        return all(self._count[name][group.split] > 1 for name in group.classes)

    def _reluctance(self, split: Split, group: _Group) -> tuple[bool, bool, float, str]:
        """The least goes first. A group leaves test only if no other can: it may have been tested
        on before."""
        return (
            not self._can_leave(group),
            group.split == "test",
            self._shares.distance(group.draw, split),
            group.photo,
        )

    def _move(self, group: _Group, split: Split) -> None:
        for name in group.classes:
            count = self._count[name]
            count[group.split] -= 1
            if not count[group.split]:
                self._missing.add((name, group.split))
            count[split] += 1
            self._missing.discard((name, split))
        group.split = split
