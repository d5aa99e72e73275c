"""Splits: complete, leak-free, stable, of about the right size, whatever the order."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import combinations, product
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.contract.config import SPLITS
from tasks.contract.errors import InputError
from tasks.preprocess.splits import Shares, assign_splits, draw

SHARES = Shares(validation=0.15, test=0.15)


def photo_id(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


#: Photos as (class, component), with at least four groups of its own for each of three classes.
OWN = [(name, 100 * place + n) for place, name in enumerate("abc", start=1) for n in range(4)]
COLLECTIONS = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 40)), max_size=80).map(
    lambda shared: OWN + shared
)
ANY_SHARES = st.builds(Shares, validation=st.floats(0.05, 0.3), test=st.floats(0.05, 0.3))


def assigned(
    collection: list[tuple[str, int]], seed: int = 0, shares: Shares = SHARES
) -> dict[str, tuple[str, str]]:
    photos = [photo_id(number) for number in range(len(collection))]
    classes = [name for name, _ in collection]
    components = [component for _, component in collection]
    return dict(zip(photos, assign_splits(photos, classes, components, seed, shares), strict=True))


@given(COLLECTIONS, st.integers(0, 2**31 - 1), ANY_SHARES)
def test_every_class_is_in_every_split(collection, seed: int, shares: Shares) -> None:
    found = defaultdict(set)
    for (name, _), (_, split) in zip(
        collection, assigned(collection, seed, shares).values(), strict=True
    ):
        found[name].add(split)
    assert all(splits == set(SPLITS) for splits in found.values())


@given(COLLECTIONS, st.integers(0, 2**31 - 1), ANY_SHARES)
def test_no_group_is_in_two_splits(collection, seed: int, shares: Shares) -> None:
    result = assigned(collection, seed, shares)
    by_component = defaultdict(set)
    for (_, component), outcome in zip(collection, result.values(), strict=True):
        by_component[component].add(outcome)
    assert all(len(outcomes) == 1 for outcomes in by_component.values())
    assert len({group for group, _ in result.values()}) == len(by_component)
    assert all(result[group][0] == group for group, _ in result.values())


@given(COLLECTIONS, st.integers(0, 100), st.randoms(use_true_random=False))
def test_the_order_of_the_photos_makes_no_difference(collection, seed: int, random) -> None:
    before = assigned(collection, seed)
    photos = [(photo_id(n), name, component) for n, (name, component) in enumerate(collection)]
    renamed = {component: n for n, component in enumerate({c for _, _, c in photos})}
    random.shuffle(photos)
    answers = assign_splits(
        [photo for photo, _, _ in photos],
        [name for _, name, _ in photos],
        [renamed[component] for _, _, component in photos],
        seed,
        SHARES,
    )
    assert {photo: answer for (photo, _, _), answer in zip(photos, answers, strict=True)} == before


@given(st.integers(0, 1000), st.integers(1, 300))
def test_photos_keep_their_split_when_others_are_added(seed: int, added: int) -> None:
    """With classes large enough that none had to be helped into a split."""
    first = [("ab"[n % 2], n) for n in range(200)]
    before = assigned(first, seed)
    after = assigned(first + [("abc"[n % 3], 1000 + n) for n in range(added + 10)], seed)
    assert {photo: after[photo] for photo in before} == before


@given(st.integers(0, 1000), st.lists(st.integers(0, 199), min_size=1, max_size=100))
def test_near_duplicates_that_are_added_move_nothing_out_of_test(
    seed: int, near: list[int]
) -> None:
    first = [("ab"[n % 2], n) for n in range(200)]
    before = assigned(first, seed)
    after = assigned(first + [("ab"[n % 2], n) for n in near], seed)
    towards_test = {split: place for place, split in enumerate(("train", "validation", "test"))}
    for photo, (_, split) in before.items():
        assert towards_test[after[photo][1]] >= towards_test[split]


@pytest.mark.parametrize("shares", [SHARES, Shares(0.05, 0.05), Shares(0.3, 0.25)])
@pytest.mark.parametrize("seed", range(3))
def test_the_shares_are_about_those_asked_for(shares: Shares, seed: int) -> None:
    total = 14_013
    collection = [(f"class {n % 20}", n) for n in range(total)]
    count = Counter(split for _, split in assigned(collection, seed, shares).values())
    for split, share in (("validation", shares.validation), ("test", shares.test)):
        deviation = (total * share * (1 - share)) ** 0.5
        assert abs(count[split] - total * share) < 4 * deviation


@given(st.integers(0, 2**31 - 1), st.text())
def test_a_draw_is_below_one(seed: int, photo: str) -> None:
    assert 0 <= draw(seed, photo) < 1


def test_the_split_is_the_same_for_ever() -> None:
    """Changing this moves photos between the splits of everybody's archives."""
    assert draw(20, photo_id(0)) == pytest.approx(0.3502042, abs=1e-6)


def test_another_seed_gives_another_split() -> None:
    collection = [("ab"[n % 2], n) for n in range(200)]
    assert assigned(collection, 1) != assigned(collection, 2)


def test_a_class_of_three_groups_has_one_in_each_split() -> None:
    for seed in range(50):
        collection = [("a", 1), ("a", 1), ("a", 2), ("a", 3), *[("b", 10 + n) for n in range(20)]]
        result = list(assigned(collection, seed).values())[:4]
        assert {split for _, split in result} == set(SPLITS)


def test_a_class_of_copies_is_refused_by_name() -> None:
    collection = [("bear", n % 2) for n in range(30)] + [("wolf", 10 + n) for n in range(30)]
    with pytest.raises(InputError, match=r"class 'bear' has too few different photos \(2, near"):
        assigned(collection)


TINY = st.lists(
    st.sets(st.sampled_from("abc"), min_size=1), min_size=3, max_size=7
)  # of each group its classes


@settings(max_examples=1000, deadline=None)
@given(TINY, st.integers(0, 2**31 - 1))
def test_classes_are_completed_whenever_that_is_possible(groups: list[set[str]], seed: int) -> None:
    collection = [(name, n) for n, classes in enumerate(groups) for name in sorted(classes)]

    def complete(splits: Sequence[str]) -> bool:
        found = defaultdict(set)
        for split, classes in zip(splits, groups, strict=True):
            for name in classes:
                found[name].add(split)
        return all(len(splits) == len(SPLITS) for splits in found.values())

    try:
        result = [split for _, split in assigned(collection, seed).values()]
    except InputError:
        assert not any(map(complete, product(SPLITS, repeat=len(groups))))
        return
    of_group = {component: split for (_, component), split in zip(collection, result, strict=True)}
    assert complete([of_group[n] for n in range(len(groups))])


def crowded(number: int) -> list[tuple[str, int]]:
    """A small collection whose classes share many groups, so that some need help."""
    random = Random(number)
    groups = [random.sample("abcde", random.choice((1, 1, 2, 3))) for _ in range(24)]
    return [(name, n) for n, classes in enumerate(groups) for name in classes]


def test_classes_are_completed_the_same_way_for_ever() -> None:
    """Changing this moves photos between the splits of everybody's archives."""
    outcomes = [list(assigned(crowded(number)).values()) for number in range(300)]
    digest = hashlib.sha256(repr(outcomes).encode()).hexdigest()
    assert digest == "c5d799df9f66a33644dcfa02e43bf07a21d823758f2d330cbf392c537502dd3e"


def test_a_search_for_splits_ends_soon() -> None:
    """Of 15 groups each three are a class: no three splits suit all, in any of 3^15 ways."""
    collection = [(f"{trio}", n) for trio in combinations(range(15), 3) for n in trio]
    with pytest.raises(InputError, match=r"has too few different photos \(3, near"):
        assigned(collection)


def test_photos_shared_by_classes_do_not_keep_a_class_out_of_a_split() -> None:
    for seed in range(50):
        collection = [(name, n) for n in range(5) for name in "ab"]
        result = assigned(collection, seed)
        for offset in range(2):
            assert {split for _, split in list(result.values())[offset::2]} == set(SPLITS)
