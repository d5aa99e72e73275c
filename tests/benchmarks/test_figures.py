"""Figures: ratios run the right way, and a target is met only where it is."""

import io
import json
from pathlib import Path

import pytest
from PIL import Image

from benchmarks.figures import Figure, Target, best_seconds, save, table
from benchmarks.photographs import photograph


def test_a_ratio_says_how_many_times_better_ours_is() -> None:
    assert Figure.of_rates("photos/s", 200.0, 300.0).ratio == pytest.approx(1.5)
    assert Figure.of_costs("seconds", 3.0, 2.0).ratio == pytest.approx(1.5)
    assert Figure.of_costs("seconds", None, 2.0).ratio is None


@pytest.mark.parametrize(
    ("target", "met"),
    [
        (Target("ratio", ">=", 1.5), True),
        (Target("ratio", ">=", 1.51), False),
        (Target("ours", "<=", 300), True),
        (Target("ours", "<=", 299), False),
        (None, None),
    ],
)
def test_a_target_is_met_only_where_it_is(target: Target | None, met: bool | None) -> None:
    assert Figure.of_rates("photos/s", 200.0, 300.0, target).met is met


def test_a_target_of_a_ratio_that_there_is_not_is_missed() -> None:
    assert Figure.of_rates("photos/s", None, 300.0, Target("ratio", ">=", 0.1)).met is False


def test_the_table_and_the_file_have_every_figure(tmp_path: Path) -> None:
    figures = [
        Figure.of_rates("photos/s", 200.0, 350.0, Target("ratio", ">=", 1.2)),
        Figure.of_costs("seconds", None, 0.25),
    ]
    assert [line.split() for line in table(figures).splitlines()] == [
        ["figure", "plain", "ours", "ratio", "target", "met"],
        ["photos/s", "200", "350", "1.75", "ratio", ">=", "1.2", "yes"],
        ["seconds", "0.25"],
    ]
    save(figures, tmp_path / "latest.json")
    assert json.loads((tmp_path / "latest.json").read_text()) == [
        {
            "name": "photos/s",
            "plain": 200.0,
            "ours": 350.0,
            "ratio": 1.75,
            "target": "ratio >= 1.2",
            "met": True,
        },
        {
            "name": "seconds",
            "plain": None,
            "ours": 0.25,
            "ratio": None,
            "target": None,
            "met": None,
        },
    ]


def test_ways_are_run_in_turns() -> None:
    calls: list[str] = []
    best_seconds([lambda: calls.append("a"), lambda: calls.append("b")], rounds=2)
    assert calls == ["a", "b", "a", "b"]


def test_a_photograph_is_of_the_real_ones_size_and_each_seed_s_own() -> None:
    contents = [photograph(seed) for seed in range(3)]
    for content in contents:
        assert 200_000 < len(content) < 420_000
        with Image.open(io.BytesIO(content)) as image:
            assert 1.4e6 < image.width * image.height < 1.6e6
    assert len(set(contents)) == 3
    assert photograph(1) == contents[1]
