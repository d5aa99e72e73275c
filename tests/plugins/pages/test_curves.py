"""Curves as SVG paths: inside their frame, in order, for whatever numbers a training tells."""

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wildlife.pages.curves import HEIGHT, WIDTH, accuracy_chart, loss_chart, path, round_above

NUMBERS = st.floats(allow_nan=True, allow_infinity=True)
SERIES = st.lists(NUMBERS, max_size=40)


def points(drawn: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r"[ML]([-\d.]+) ([-\d.]+)", drawn)]


@given(SERIES, st.integers(0, 60), st.floats(1e-6, 1e9))
def test_a_curve_stays_in_its_frame_and_goes_to_the_right(
    values: list[float], epochs: int, top: float
) -> None:
    drawn = points(path(values, epochs, top))
    assert len(drawn) == sum(map(math.isfinite, values))
    assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in drawn)
    assert [x for x, _ in drawn] == sorted(x for x, _ in drawn)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=40))
def test_a_higher_value_is_never_drawn_lower(values: list[float]) -> None:
    drawn = points(path(values, len(values), 1.0))
    for (_, y), value in zip(drawn, values, strict=True):
        assert y == pytest.approx(HEIGHT * (1 - value), abs=0.051)


def test_a_single_epoch_is_a_dot() -> None:
    assert path([0.5], 10, 1.0) == "M0.0 60.0h0"
    assert path([0.5], 1, 1.0) == "M150.0 60.0h0"


def test_no_epoch_is_no_path() -> None:
    assert path([], 10, 1.0) == ""


def test_a_number_that_is_none_breaks_the_line() -> None:
    assert path([0.0, math.nan, 1.0], 3, 1.0) == "M0.0 120.0M300.0 0.0h0"


def test_the_last_epoch_of_a_finished_training_is_at_the_right_end() -> None:
    assert points(path([0.1] * 7, 7, 1.0))[-1][0] == WIDTH


@given(st.integers(301, 3000))
def test_a_long_training_is_drawn_with_few_points_from_its_first_to_its_last(count: int) -> None:
    values = [index / count for index in range(count)]
    drawn = points(path(values, count, 1.0))
    assert len(drawn) == 300
    assert drawn[0] == (0.0, HEIGHT)
    assert drawn[-1][0] == WIDTH
    assert drawn[-1][1] == pytest.approx(HEIGHT / count, abs=0.051)


@given(st.floats(1e-6, 1e12))
def test_an_axis_ends_at_a_round_number_little_above(value: float) -> None:
    top = round_above(value)
    assert value <= top <= 5 * value
    assert float(f"{top:.0e}") == pytest.approx(top)
    assert f"{top:.0e}"[0] in "125"


@given(SERIES, SERIES, st.integers(0, 60))
def test_a_chart_can_be_made_of_whatever_there_is(
    training: list[float], validation: list[float], epochs: int
) -> None:
    for chart in (
        accuracy_chart(training, validation, epochs),
        loss_chart(training, validation, epochs),
    ):
        assert chart.told
        last = max(epochs, len(training))
        assert chart.last == (str(last) if last > 1 else "")


def test_a_chart_says_its_newest_values() -> None:
    accuracy = accuracy_chart([0.1, 0.832], [0.2, 0.7], 5)
    assert accuracy.told.replace("\N{NO-BREAK SPACE}", " ") == "training 83.2 %, validation 70.0 %"
    loss = loss_chart([2.5, 1.25], [3.1, 1.0], 5)
    assert loss.told == "training 1.250, validation 1.000"
    assert (loss.top, loss.middle) == ("5", "2.5")
    assert accuracy_chart([], [], 5).told == "no epoch has ended yet"
