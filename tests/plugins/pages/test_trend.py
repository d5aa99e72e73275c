"""The trend: what is drawn, what is left out, and that the words say it too."""

import re
import xml.etree.ElementTree as ET
from datetime import UTC, datetime

import pytest

from tests.plugins.pages.published import headline
from wildlife.pages.trend import trend_of


def share(text: str) -> float:
    """What a length in percent is of the whole."""
    assert text.endswith("%")
    return float(text[:-1]) / 100


def test_both_networks_stand_with_their_intervals_oldest_on_the_left() -> None:
    first, second = (datetime(2026, 11, day, tzinfo=UTC) for day in (2, 9))
    newer = headline("newer", transfer_accuracy=0.96, finished=second)
    older = headline("older", transfer_accuracy=0.91, finished=first)
    trend = trend_of([newer, older])
    assert trend is not None
    drawing = ET.fromstring(str(trend.drawing))
    titles = [title.text or "" for title in drawing.iter("title")]
    assert [title.rpartition(", ")[2] for title in titles] == ["older", "newer"] * 2
    assert titles[0].startswith("From scratch, 2026-11-02 00:00: 61.3 % (50.0 % to 71.0 %)")
    circles = [(share(c.attrib["cx"]), float(c.attrib["cy"])) for c in drawing.iter("circle")]
    (left, lower), (right, higher) = circles
    assert left < right
    assert lower > higher  # SVG counts downwards
    assert len(list(drawing.iter("rect"))) == 2
    assert [text.text for text in drawing.iter("text")][-2:] == ["2026-11-02", "2026-11-09"]
    assert trend.words == (
        "Test accuracy with 95 % intervals over 2 trainings, 2026-11-02 to 2026-11-09: transfer "
        "from 91.0 % to 96.0 %; from scratch from 61.3 % to 61.3 %."
    )


def test_a_point_lies_within_its_bar_and_all_within_the_drawing() -> None:
    trend = trend_of(
        [
            headline("a", 1, scratch_accuracy=0, scratch_accuracy_low=0, scratch_accuracy_high=0.1),
            headline("b", 0, transfer_accuracy=1, transfer_accuracy_high=1),
        ]
    )
    assert trend is not None
    drawing = ET.fromstring(str(trend.drawing))
    (lines, *_) = drawing.iter("polyline")
    height = 300
    for point in lines.attrib["points"].split():
        x, y = (float(part) for part in point.split(","))
        assert 0 <= x <= 1000
        assert 0 <= y <= height
    points = [group for group in drawing.iter("g") if group.find("title") is not None]
    assert len(points) == 4
    for group in points:
        bar, marker = group.find("line"), group.find("circle")
        assert bar is not None
        top, bottom = float(bar.attrib["y1"]), float(bar.attrib["y2"])
        assert 0 <= top <= bottom <= height
        if marker is not None:
            assert top <= float(marker.attrib["cy"]) <= bottom
            assert 0 <= share(marker.attrib["cx"]) <= 1


def test_runs_that_trained_nothing_and_other_archives_are_left_out() -> None:
    shown = [headline("a", 3), headline("b", 1)]
    others = [
        headline("unchanged", 0.5, computed_by="b"),
        headline("elsewhere", 2, archive="datasets/other.zip"),
    ]
    trend = trend_of(shown + others)
    assert trend is not None
    assert "elsewhere" not in trend.drawing
    assert "unchanged" not in trend.drawing
    assert "over 2 trainings" in trend.words
    assert trend.archive == "datasets/oregon-wildlife.zip"


@pytest.mark.parametrize("number", [0, 1])
def test_fewer_than_two_are_no_trend(number: int) -> None:
    assert trend_of([headline(f"run-{n}") for n in range(number)]) is None


def test_only_the_newest_are_drawn_and_the_words_say_so() -> None:
    trend = trend_of([headline(f"run-{n:03}", hours_ago=n) for n in range(200)])
    assert trend is not None
    assert len(re.findall("<circle", trend.drawing)) == 60
    assert "run-059" in trend.drawing
    assert "run-060" not in trend.drawing
    assert "over the newest 60 of 200 trainings" in trend.words
    dates = re.findall(r'<text( class="inner")?[^>]*>\d{4}-', trend.drawing)
    assert [bool(inner) for inner in dates] == [False, *[True] * 4, False]


def test_a_run_id_cannot_write_into_the_drawing() -> None:
    trend = trend_of([headline("<b>&", 1), headline("x", 0)])
    assert trend is not None
    assert "<b>" not in trend.drawing
    assert ET.fromstring(str(trend.drawing)) is not None
