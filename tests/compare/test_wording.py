"""Numbers read well, and the answer claims no more than they carry."""

import re
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.compare.wording import (
    count,
    decimal,
    duration,
    p_value,
    percent,
    percent_range,
    points,
    points_range,
    rate,
    size,
    statement,
    utc,
)
from tasks.contract.statistics import Interval, PairedCounts, paired_interval, verdict_of


def plain(text: str) -> str:
    return text.replace("\u00a0", " ").replace("\u2212", "-")


def said(
    counts: PairedCounts,
    seconds: tuple[float | None, float | None] = (41.0, 760.0),
    devices: tuple[str, str] = ("CPU, 2 cores", "CPU, 2 cores"),
    grouped: Interval | None = None,
) -> str:
    grouped = grouped or paired_interval(counts)
    return plain(statement(counts, grouped, verdict_of(counts, grouped), seconds, devices))


def test_the_answer_has_a_number_its_interval_and_its_cost() -> None:
    assert said(PairedCounts(100, 73, 3, 4)) == (
        "On the same 180 test photos, transfer learning was right 38.9 percentage points more "
        "often than training from scratch (95 % interval 31.0 to 46.4); training took 41 s with "
        "transfer and 12 min 40 s from scratch, on CPU, 2 cores."
    )


def test_one_photo_is_not_several() -> None:
    assert said(PairedCounts(0, 1, 0, 0)).startswith("On the only test photo, transfer learning ")
    assert [count(n, "photo") for n in (0, 1, 2100)] == ["0 photos", "1 photo", "2,100 photos"]
    assert [count(n, "class", "classes") for n in (1, 2)] == ["1 class", "2 classes"]


def test_a_difference_the_numbers_do_not_carry_is_called_not_distinguishable() -> None:
    sentence = said(PairedCounts(80, 8, 5, 7))
    assert "are not distinguishable: the difference is +3.0 percentage points" in sentence
    assert "(95 % interval -4.6 to +10.8; exact McNemar p = 0.58)" in sentence
    assert "more often" not in sentence


def test_a_difference_that_near_duplicates_make_is_not_one() -> None:
    sentence = said(PairedCounts(100, 30, 5, 20), grouped=Interval(-0.01, 0.34))
    assert "are not distinguishable: the difference is +16.1 percentage points" in sentence
    assert "near duplicates together, -1.0 to +34.0; exact McNemar p < 0.001" in sentence


def test_too_few_unlike_photos_are_said_to_be_too_few() -> None:
    sentence = said(PairedCounts(100, 30, 5, 20), grouped=Interval(-1.0, 1.0))
    assert "near duplicates together, too few unlike photos to say; exact McNemar" in sentence


def test_an_interval_that_excludes_zero_does_not_look_as_if_it_touched_it() -> None:
    better = PairedCounts(10_000, 96, 68, 2_000)
    assert 0 < paired_interval(better).low < 0.0005
    assert "0.23 percentage points more often" in said(better)
    assert "(95 % interval 0.02 to 0.44)" in said(better)
    assert plain(points_range((-0.05, -0.0001))) == "-5.00 to -0.01"
    assert plain(points_range((-0.05, 0.0001))) == "-5.0 to 0.0"


pairs = st.builds(
    PairedCounts,
    st.integers(0, 50_000),
    st.integers(0, 400),
    st.integers(0, 400),
    st.integers(1, 50_000),
)


@given(pairs, st.booleans())
@settings(deadline=None)
def test_the_answers_figures_show_what_it_says(counts: PairedCounts, few_groups: bool) -> None:
    """Its printed interval excludes zero if a network is named, and holds the difference."""
    sentence = said(counts, grouped=Interval(-1.0, 1.0) if few_groups else None)
    shown = re.search(
        r"(?:right|is) (\S+) percentage points.*?interval (\S+) to ([^\s;)]+)", sentence
    )
    assert shown
    difference, low, high = (float(number) for number in shown.groups())
    assert low <= difference <= high
    if "more often" in sentence:
        assert low > 0
    elif low <= 0 <= high:
        assert paired_interval(counts).holds_zero
    else:
        p = re.search(r"McNemar p = (\S+)\)", sentence)
        assert "too few unlike photos" in sentence or (p and float(p[1]) >= 0.05)


def test_scratch_is_named_when_it_is_better() -> None:
    sentence = said(PairedCounts(100, 3, 73, 4))
    assert "training from scratch was right 38.9 percentage points more often" in sentence
    assert "(95 % interval 31.0 to 46.4)" in sentence


def test_a_time_that_was_not_measured_is_said_to_be_unknown() -> None:
    assert "took an unknown time with transfer" in said(PairedCounts(9, 9, 0, 0), (None, 2.0))


def test_each_arm_names_its_device_when_they_differ() -> None:
    sentence = said(PairedCounts(100, 73, 3, 4), (1.0, 2.0), ("GPU 0", "GPU 1"))
    assert sentence.endswith("1.0 s with transfer on GPU 0 and 2.0 s from scratch on GPU 1.")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (percent(0.9612), "96.1 %"),
        (percent(0.5, 0), "50 %"),
        (percent_range(0.92, 0.981), "92.0 to 98.1 %"),
        (percent_range(0.208, 0.939, 0), "21 to 94 %"),
        (points(0.392), "+39.2"),
        (points(-0.011), "-1.1"),
        (points(-0.0001), "0.0"),
        (decimal(1.604), "1.60"),
        (decimal(0.03), "0.030"),
        (decimal(3.4e38), "3.4e+38"),
        (decimal(0.0001), "< 0.001"),
        (decimal(0.0), "0.000"),
        (duration(8.26), "8.3 s"),
        (duration(59.7), "1 min 00 s"),
        (duration(760.4), "12 min 40 s"),
        (duration(11_100), "3 h 05 min"),
        (duration(3599.7), "1 h 00 min"),
        (rate(12.07), "12.1"),
        (rate(1240.4), "1,240"),
        (p_value(1e-9), "p < 0.001"),
        (p_value(0.0525), "p = 0.052"),
        (p_value(0.04996), "p = 0.04996"),
        (p_value(0.0502), "p = 0.0502"),
        (p_value(0.05), "p = 0.050"),
        (p_value(1.0), "p = 1.00"),
        (size(999), "999 bytes"),
        (size(350_123_456), "350.1 MB"),
        (size(4_400_000_000), "4.4 GB"),
    ],
)
def test_numbers_read_as_people_write_them(text: str, expected: str) -> None:
    assert plain(text) == expected


def test_a_time_is_told_in_utc_wherever_it_was_taken() -> None:
    at = datetime(2026, 1, 2, 23, 30, tzinfo=timezone(timedelta(hours=-5)))
    assert utc(at) == "2026-01-03 04:30"
    assert utc(at.replace(tzinfo=None)) == "2026-01-02 23:30"
