"""The statistics agree with published worked examples, and hold at the edges."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tasks.contract.statistics import (
    Interval,
    PairedCounts,
    grouped_interval,
    mcnemar_exact,
    paired_interval,
    unpaired_interval,
    verdict_of,
    wilson_interval,
)

#: Cavo et al. 2012 (complete response before and after consolidation therapy) and Bentur et al.
#: 2009 (airway hyper-responsiveness before and after transplantation): the worked examples of
#: chapter 8 of Fagerland, Lydersen, Laake, "Statistical Analysis of Contingency Tables" (2017), in
#: the order both, only the first, only the second, neither.
CAVO = PairedCounts(59, 6, 16, 80)
BENTUR = PairedCounts(1, 1, 7, 12)

counts = st.builds(PairedCounts, *[st.integers(0, 300)] * 4).filter(lambda counts: sum(counts) > 0)


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [
        # Newcombe, Statistics in Medicine 17 (1998) 857-872, table I, method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilsons_interval_is_that_of_newcombes_table(
    successes: int, trials: int, low: float, high: float
) -> None:
    assert wilson_interval(successes, trials) == pytest.approx((low, high), abs=5e-5)


def test_the_paired_interval_is_newcombes_method_10() -> None:
    # The value that R's contingencytables (the book's companion) tests itself against.
    assert paired_interval(CAVO) == pytest.approx((-0.1186, -0.0046), abs=5e-5)
    # Newcombe's own example, Statistics in Medicine 17 (1998) 2635-2650.
    newcombes = PairedCounts(36, 12, 2, 0)
    assert paired_interval(newcombes) == pytest.approx((0.0569, 0.3404), abs=5e-5)


@pytest.mark.parametrize(
    ("counts", "low", "high"),
    [
        # Newcombe, Statistics in Medicine 17 (1998) 873-890, table II, method 10
        ((56, 70, 48, 80), 0.0524, 0.3339),
        ((9, 10, 3, 10), 0.1705, 0.8090),
        ((6, 7, 2, 7), 0.0582, 0.8062),
        ((5, 56, 0, 29), -0.0381, 0.1926),
        ((0, 10, 0, 20), -0.1611, 0.2775),
        ((0, 10, 0, 10), -0.2775, 0.2775),
        ((10, 10, 0, 20), 0.6791, 1.0),
        ((10, 10, 0, 10), 0.6075, 1.0),
    ],
)
def test_the_unpaired_interval_is_newcombes_method_10(
    counts: tuple[int, int, int, int], low: float, high: float
) -> None:
    assert unpaired_interval(*counts) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize(
    ("table", "p"),
    [
        (CAVO, 0.052479),  # contingencytables, as above
        (BENTUR, 0.0703125),  # by hand: 2 * (1 + 8) / 2**8
        # Agresti, "Categorical Data Analysis": approval of the Prime Minister, twice; R's exact2x2
        (PairedCounts(794, 150, 86, 570), 3.716e-05),
        (PairedCounts(21, 2, 9, 12), 0.06543),  # the vignette of exact2x2
    ],
)
def test_mcnemars_test_is_the_exact_conditional_one(table: PairedCounts, p: float) -> None:
    assert mcnemar_exact(table) == pytest.approx(p, rel=1e-4)


def test_no_verdict_when_only_the_interval_excludes_zero() -> None:
    assert paired_interval(CAVO).high < 0
    assert mcnemar_exact(CAVO) > 0.05
    assert verdict_of(CAVO, paired_interval(CAVO)) == "not distinguishable"


def test_no_verdict_when_near_duplicates_make_the_difference() -> None:
    clear = PairedCounts(100, 30, 5, 20)
    assert verdict_of(clear, Interval(-0.01, 0.3)) == "not distinguishable"
    assert verdict_of(clear, Interval(0.0, 0.3)) == "not distinguishable"


def test_the_better_network_is_named_either_way_round() -> None:
    assert verdict_of(PairedCounts(100, 30, 5, 20), Interval(0.1, 0.3)) == "transfer is better"
    assert verdict_of(PairedCounts(100, 5, 30, 20), Interval(-0.3, -0.1)) == "scratch is better"


def test_identical_networks_are_not_distinguishable_and_have_a_real_interval() -> None:
    same = PairedCounts(90, 0, 0, 10)
    low, high = paired_interval(same)
    assert mcnemar_exact(same) == 1.0
    assert low < 0 < high
    assert verdict_of(same, Interval(0.0, 0.0)) == "not distinguishable"


@pytest.mark.parametrize("table", [(20, 0, 0, 0), (0, 0, 0, 20), (0, 20, 0, 0), (0, 0, 3, 0)])
def test_an_empty_margin_still_gives_a_finite_interval(table: tuple[int, int, int, int]) -> None:
    low, high = paired_interval(PairedCounts(*table))
    assert -1 <= low < high <= 1


@given(counts)
@settings(deadline=None)
def test_the_paired_interval_holds_the_difference_and_stays_in_range(table: PairedCounts) -> None:
    low, high = paired_interval(table)
    assert -1 - 1e-9 <= low <= table.difference <= high <= 1 + 1e-9


@given(counts)
@settings(deadline=None)
def test_swapping_the_networks_mirrors_the_result(table: PairedCounts) -> None:
    swapped = PairedCounts(table.both, table.only_scratch, table.only_transfer, table.neither)
    low, high = paired_interval(table)
    assert paired_interval(swapped) == pytest.approx((-high, -low), abs=1e-12)
    assert mcnemar_exact(swapped) == pytest.approx(mcnemar_exact(table))


def test_paired_counts_come_from_the_same_photo_not_from_totals() -> None:
    transfer = np.array([True, True, True, False, False])
    scratch = np.array([True, False, False, True, False])
    assert PairedCounts.of(transfer, scratch) == PairedCounts(1, 2, 1, 1)


def answers(n: int, seed: int = 0) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Of two networks of 90 and 60 %, independent photo by photo."""
    random = np.random.default_rng(seed)
    return random.random(n) < 0.9, random.random(n) < 0.6


def names(numbers: NDArray[np.int64]) -> NDArray[np.str_]:
    return numbers.astype(np.str_)


def test_without_near_duplicates_the_bootstrap_has_the_analytic_standard_error() -> None:
    transfer, scratch = answers(2000)
    gain = transfer.astype(float) - scratch
    low, high = grouped_interval(transfer, scratch, names(np.arange(2000)))
    error = gain.std() / np.sqrt(2000)
    assert (high - low) / 2 == pytest.approx(1.96 * error, rel=0.03)
    assert low < gain.mean() < high
    newcombe = paired_interval(PairedCounts.of(transfer, scratch))
    assert (low, high) == pytest.approx(newcombe, abs=0.002)


def test_copies_of_each_photo_widen_the_interval_as_they_should() -> None:
    """Four copies of 500 photos tell as much as 500 photos."""
    transfer, scratch = answers(500)
    alone = grouped_interval(transfer, scratch, names(np.arange(500)))
    four = [np.repeat(array, 4) for array in (transfer, scratch)]
    together = grouped_interval(*four, names(np.repeat(np.arange(500), 4)))
    apart = grouped_interval(*four, names(np.arange(2000)))
    assert together == pytest.approx(alone, abs=1e-12)
    widening = (together.high - together.low) / (apart.high - apart.low)
    assert widening == pytest.approx(2.0, rel=0.05)


def test_groups_of_unequal_size_have_the_standard_error_of_a_ratio() -> None:
    random = np.random.default_rng(3)
    sizes = random.integers(1, 6, 800)
    groups = np.repeat(np.arange(800), sizes)
    transfer = np.repeat(random.random(800) < 0.8, sizes)
    scratch = random.random(len(groups)) < 0.5
    gains = np.bincount(groups, transfer.astype(float) - scratch)
    mean = gains.sum() / sizes.sum()
    error = np.sqrt(np.sum((gains - mean * sizes) ** 2)) / sizes.sum()  # linearised
    low, high = grouped_interval(transfer, scratch, names(groups))
    assert (high - low) / 2 == pytest.approx(1.96 * error, rel=0.04)


def test_the_order_of_the_photos_and_the_names_of_groups_do_not_count_twice() -> None:
    transfer, scratch = answers(300)
    groups = names(np.arange(300) // 2)
    once = grouped_interval(transfer, scratch, groups)
    assert grouped_interval(transfer, scratch, groups) == once
    mirrored = grouped_interval(scratch, transfer, groups)
    assert mirrored == pytest.approx((-once.high, -once.low), abs=0.01)


@pytest.mark.parametrize("groups", [1, 2, 5])
def test_few_groups_say_nothing_however_many_photos_they_have(groups: int) -> None:
    transfer, scratch = np.ones(600, bool), np.zeros(600, bool)
    assert grouped_interval(transfer, scratch, names(np.arange(600) % groups)) == (-1.0, 1.0)


def test_differences_that_are_all_alike_are_a_point() -> None:
    right = np.array([True, False] * 4)
    assert grouped_interval(right, right, names(np.arange(8))) == (0.0, 0.0)
    ones, zeros = np.ones(8, bool), np.zeros(8, bool)
    assert grouped_interval(ones, zeros, names(np.arange(8))) == (1.0, 1.0)
    pairs = np.array([True, False] * 8)
    assert grouped_interval(pairs, ~pairs, names(np.arange(16) // 2)) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("only_transfer", "only_scratch"), [(5, 0), (6, 0), (20, 9), (20, 8), (60, 38), (60, 42)]
)
def test_photos_that_are_all_unlike_are_told_apart_as_mcnemars_test_does(
    only_transfer: int, only_scratch: int
) -> None:
    counts = PairedCounts(100, only_transfer, only_scratch, 20)
    transfer = np.repeat([True, True, False, False], counts)
    scratch = np.repeat([True, False, True, False], counts)
    grouped = grouped_interval(transfer, scratch, names(np.arange(sum(counts))))
    assert grouped.holds_zero == (mcnemar_exact(counts) > 0.05)


def unlike(
    sizes: NDArray[np.int64], accuracies: tuple[float, float], random: np.random.Generator
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.str_]]:
    """Two networks' answers to groups of photos that are right or wrong together."""
    groups = np.repeat(np.arange(len(sizes)), sizes)
    transfer, scratch = (random.random(len(sizes)) < accuracy for accuracy in accuracies)
    return transfer[groups], scratch[groups], names(groups)


@pytest.mark.parametrize("groups", [2, 3, 5, 8, 12, 20, 50])
@pytest.mark.parametrize("uneven", [False, True])
def test_equal_networks_are_called_different_in_one_case_of_twenty_at_most(
    groups: int, uneven: bool
) -> None:
    """Each group is right or wrong together; uneven, one has as many photos as all others."""
    random = np.random.default_rng(5)
    sizes = np.full(groups, 8)
    if uneven:
        sizes[0] = 8 * (groups - 1)
    named = 0
    for _ in range(200):
        transfer, scratch, group = unlike(sizes, (0.5, 0.5), random)
        counts = PairedCounts.of(transfer, scratch)
        verdict = verdict_of(counts, grouped_interval(transfer, scratch, group))
        named += verdict != "not distinguishable"
    assert named <= 17  # 10 of 200 are 5 %; so many come of that in one case of fifty


def test_many_groups_tell_a_clear_difference() -> None:
    random = np.random.default_rng(6)
    told = 0
    for _ in range(40):
        transfer, scratch, group = unlike(random.integers(1, 4, 200), (0.9, 0.75), random)
        told += not grouped_interval(transfer, scratch, group).holds_zero
    assert told >= 36


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(0, 4)), min_size=1, max_size=8))
@settings(max_examples=50, deadline=None)
def test_the_bootstrap_stays_in_range_however_few_photos(
    photos: list[tuple[bool, bool, int]],
) -> None:
    transfer, scratch, groups = (np.array(column) for column in zip(*photos, strict=True))
    low, high = grouped_interval(transfer, scratch, names(groups))
    assert -1 <= low <= high <= 1
