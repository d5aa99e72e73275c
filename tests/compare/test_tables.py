"""The CSV files have the page's numbers, unrounded, for any number of classes."""

import csv
import io
from collections.abc import Callable
from typing import Any

import pytest

from tasks.contract.cache import Cache
from tasks.contract.store import Store
from tests.compare.world import World

pytestmark = pytest.mark.store
Read = Callable[[str], Any]


def table(content: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content, newline="")))


def test_both_arms_stand_side_by_side_by_the_names_of_the_summary(
    world: World, store: Store, cache: Cache, read_report: Read
) -> None:
    world.compare(store, cache)
    summary = read_report("summary.json")
    rows = {row["measure"]: row for row in table(read_report("side-by-side.csv"))}
    assert float(rows["accuracy_low"]["transfer"]) == summary["transfer"]["test"]["accuracy_low"]
    assert rows["feature_seconds"] == {
        "measure": "feature_seconds",
        "from scratch": "",
        "transfer": "38.0",
    }
    assert rows["device"]["from scratch"] == "CPU, 2 cores"


def test_each_epoch_of_both_arms_is_a_row(
    world: World, store: Store, cache: Cache, read_report: Read
) -> None:
    world.compare(store, cache)
    rows = table(read_report("history.csv"))
    assert [(row["arm"], row["epoch"]) for row in rows] == [
        (arm, str(epoch)) for arm in ("scratch", "transfer") for epoch in range(1, 6)
    ]
    last = read_report("summary.json")["transfer"]["history"][-1]
    assert {name: float(rows[-1][name]) for name in last} == last


def test_classes_come_by_difference_with_their_intervals(
    world: World, store: Store, cache: Cache, read_report: Read
) -> None:
    world.test_photos = 3
    world.compare(store, cache)
    summary = read_report("summary.json")
    rows = table(read_report("classes.csv"))
    differences = [float(row["difference"]) for row in rows]
    assert differences == sorted(differences, reverse=True)
    assert [row["name"] for row in summary["classes"]] == ["bear", "cougar", "elk"]
    for row in rows:
        kept = next(one for one in summary["classes"] if one["name"] == row["class"])
        assert float(row["transfer_low"]) == kept["transfer_low"]
        assert 0 <= kept["transfer_low"] <= kept["transfer_recall"] <= kept["transfer_high"] <= 1


def test_the_confusion_adds_up_to_the_test_photos_and_names_what_was_confused(
    world: World, store: Store, cache: Cache, read_report: Read
) -> None:
    world.compare(store, cache)
    for arm in ("scratch", "transfer"):
        rows = table(read_report(f"confusion-{arm}.csv"))
        assert [row["true class"] for row in rows] == world.classes
        cells = {
            (row["true class"], name): int(row[name]) for row in rows for name in world.classes
        }
        assert sum(cells.values()) == 60
        pairs = [row for row in table(read_report("confused-pairs.csv")) if row["arm"] == arm]
        assert pairs
        for pair in pairs:
            assert cells[pair["true_class"], pair["named"]] == int(pair["photos"])


def test_a_class_without_test_photos_has_no_recall_and_comes_last(
    world: World, store: Store, cache: Cache, read_report: Read
) -> None:
    world.photo = lambda photo: (
        photo.model_copy(update={"label": 1, "class_name": "cougar"})
        if photo.class_name == "bear"
        else photo
    )
    world.compare(store, cache)
    last = table(read_report("classes.csv"))[-1]
    assert (last["class"], last["test_photos"]) == ("bear", "0")
    assert (last["scratch_recall"], last["transfer_low"], last["difference"]) == ("", "", "")
    assert "| bear | 0 | no photos | no photos | – |" in read_report("report.md")


def test_earlier_runs_are_rows_without_this_one(
    world: World, store: Store, cache: Cache, read_report: Read
) -> None:
    world.compare(store, cache, "run-0")
    world.accuracy = {"scratch": 0.6, "transfer": 0.8}
    world.compare(store, cache, force=True)
    (row,) = table(read_report("earlier-runs.csv"))
    (earlier,) = read_report("summary.json")["earlier"]
    assert row["run_id"] == "run-0"
    assert float(row["transfer_accuracy"]) == earlier["transfer"]["accuracy"] == 0.9
    assert row["verdict"] == earlier["verdict"]
