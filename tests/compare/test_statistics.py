"""The statistics agree with published worked examples, and hold at the edges."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.compare.statistics import (
    PairedCounts,
    mcnemar_exact,
    paired_interval,
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


@pytest.mark.parametrize(
    ("table", "p"),
    [
        (CAVO, 0.052479),  # contingencytables, as above
        (BENTUR, 0.0703125),  # by hand: 2 * (1 + 8) / 2**8
    ],
)
def test_mcnemars_test_is_the_exact_conditional_one(table: PairedCounts, p: float) -> None:
    assert mcnemar_exact(table) == pytest.approx(p, abs=1e-6)


def test_no_verdict_when_only_the_interval_excludes_zero() -> None:
    assert paired_interval(CAVO).high < 0
    assert mcnemar_exact(CAVO) > 0.05
    assert verdict_of(CAVO) == "not distinguishable"


def test_the_better_network_is_named_either_way_round() -> None:
    assert verdict_of(PairedCounts(100, 30, 5, 20)) == "transfer is better"
    assert verdict_of(PairedCounts(100, 5, 30, 20)) == "scratch is better"


def test_identical_networks_are_not_distinguishable_and_have_a_real_interval() -> None:
    same = PairedCounts(90, 0, 0, 10)
    low, high = paired_interval(same)
    assert mcnemar_exact(same) == 1.0
    assert low < 0 < high
    assert verdict_of(same) == "not distinguishable"


@pytest.mark.parametrize("table", [(20, 0, 0, 0), (0, 0, 0, 20), (0, 20, 0, 0), (0, 0, 3, 0)])
def test_an_empty_margin_still_gives_a_finite_interval(table: tuple[int, int, int, int]) -> None:
    low, high = paired_interval(PairedCounts(*table))
    assert -1 <= low < high <= 1


@given(counts)
def test_the_paired_interval_holds_the_difference_and_stays_in_range(table: PairedCounts) -> None:
    low, high = paired_interval(table)
    assert -1 - 1e-9 <= low <= table.difference <= high <= 1 + 1e-9


@given(counts)
def test_swapping_the_networks_mirrors_the_result(table: PairedCounts) -> None:
    swapped = PairedCounts(table.both, table.only_scratch, table.only_transfer, table.neither)
    low, high = paired_interval(table)
    assert paired_interval(swapped) == pytest.approx((-high, -low), abs=1e-12)
    assert mcnemar_exact(swapped) == pytest.approx(mcnemar_exact(table))


def test_paired_counts_come_from_the_same_photo_not_from_totals() -> None:
    transfer = np.array([True, True, True, False, False])
    scratch = np.array([True, False, False, True, False])
    assert PairedCounts.of(transfer, scratch) == PairedCounts(1, 2, 1, 1)
