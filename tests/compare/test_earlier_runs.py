"""Earlier runs: the newest are read, each once; none of them can stop the report."""

import json
from collections.abc import Callable
from contextlib import suppress
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tasks.compare import earlier_runs
from tasks.compare.changes import change_since
from tasks.compare.earlier_runs import listed, read_earlier_runs
from tasks.contract.cache import Cache
from tasks.contract.errors import UnavailableError
from tasks.contract.store import Store
from tests.compare.test_report import Page
from tests.compare.world import World

Read = Callable[[str], Any]
NOW = datetime(2100, 1, 1, tzinfo=UTC)


def oldest_summary(**other: Any) -> dict[str, Any]:
    """No more than the first published summaries told."""
    arm = {"recipe": "lab", "test": {"photos": 80, "correct": 48}}
    return {
        "version": 1,
        "run_id": "then",
        "created": "2026-01-02T03:04:05Z",
        "title": "",
        "verdict": "not distinguishable",
        "scratch": arm,
        "transfer": arm,
        "data": {"archive_sha256": "a1" * 32, "kept": 1000},
    } | other


def test_a_summary_that_tells_less_is_listed_with_what_it_tells() -> None:
    run = listed(oldest_summary())
    assert (run.image_size, run.seed, run.classes, run.options) == (None, None, None, {})
    assert (run.scratch.epochs, run.scratch.weights, run.archive_key) == (None, None, "")
    assert run.design_effect == 80  # all of them may look alike


@pytest.mark.parametrize(
    ("alike", "groups", "most"),
    [(0, 80, 1), (2, 79, (78 + 4) / 80), (4, 78, (76 + 8) / 80), (5, 77, (75 + 4 + 9) / 80)],
)
def test_how_alike_the_photos_of_an_older_run_were_is_bounded_by_what_it_tells(
    alike: int, groups: int, most: float
) -> None:
    data = oldest_summary()["data"] | {"near_duplicate_test_photos": alike}
    assert listed(oldest_summary(data=data, paired={"groups": groups})).design_effect == most
    newer = {"groups": groups, "design_effect": 1.5}
    assert listed(oldest_summary(data=data, paired=newer)).design_effect == 1.5


@given(st.lists(st.integers(1, 9), min_size=1, max_size=30))
def test_the_bound_is_one(sizes: list[int]) -> None:
    photos, alike = sum(sizes), sum(size for size in sizes if size > 1)
    arm = {"recipe": "lab", "test": {"photos": photos, "correct": 0}}
    data = oldest_summary()["data"] | {"near_duplicate_test_photos": alike}
    paired = {"groups": len(sizes)}
    run = listed(oldest_summary(scratch=arm, transfer=arm, data=data, paired=paired))
    assert run.design_effect >= sum(size**2 for size in sizes) / photos - 1e-9


def test_a_time_with_a_zone_is_listed_in_utc() -> None:
    run = listed(oldest_summary(created="2026-01-02T23:30:00-05:00"))
    assert f"{run.created:%Y-%m-%d %H:%M}" == "2026-01-03 04:30"


def test_long_texts_are_shortened_and_a_key_that_no_run_can_have_is_refused() -> None:
    long = "x" * 100_000
    arm = {
        "recipe": long,
        "test": {"photos": 80, "correct": 48},
        "weights": {"name": long, "sha256": long},
    }
    origin = {"preprocess": {"options": {"fit": long, "seed": long, "precision": [long]}}}
    origin["preprocess"]["produced_by"] = {"revision": long}
    data = oldest_summary()["data"] | {"archive_key": "k" * 1024, "archive_sha256": long}
    full = oldest_summary(title=long, scratch=arm, transfer=arm, origin=origin, data=data)
    assert len(listed(full).model_dump_json()) < 4000
    with pytest.raises(ValidationError):
        listed(full | {"data": data | {"archive_key": "k" * 1025}})
    with pytest.raises(ValidationError):
        listed(full | {"run_id": "r" * 201})


ARM = oldest_summary()["transfer"]
DATA = oldest_summary()["data"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"version": 2},
        {"run_id": ""},
        {"created": "2026-01-02T03:04:05"},
        {"created": "9999-12-31T23:59:59-23:00"},
        {"created": "0001-01-01T00:00:00+23:00"},
        {"transfer": ARM | {"test": {"photos": 80, "correct": 81}}},
        {"transfer": ARM | {"test": {"photos": 80, "correct": -1}}},
        {"transfer": ARM | {"test": {"photos": 10**30, "correct": 1}}},
        {"transfer": ARM | {"test": {"photos": 79, "correct": 48}}},
        {"transfer": ARM | {"learning_rate": "NaN"}},
        {"data": DATA | {"kept": -1}},
        {"data": DATA | {"kept": 10**30}},
        {"data": DATA | {"image_size": -1}},
        {"paired": {"design_effect": 0.5}},
        {"verdict": "great"},
    ],
)
def test_what_cannot_be_is_no_summary(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        listed(oldest_summary(**wrong))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.data())
def test_no_published_summary_raises_anything_else(data: st.DataObject) -> None:
    origin = {"preprocess": {"options": {}, "produced_by": {}}}
    summary = deepcopy(oldest_summary(origin=origin, classes=[]))
    arm, origin = summary["transfer"], summary["origin"]
    parts = [summary, summary["data"], arm, arm["test"], origin, origin["preprocess"]["options"]]
    part = data.draw(st.sampled_from(parts))
    name = data.draw(st.sampled_from([*part, "seed", "fit", "paired", "weights", "epochs"]))
    part[name] = data.draw(json_values)
    with suppress(ValidationError):
        run = listed(json.loads(json.dumps(summary)))
        assert isinstance(change_since(run, run), str)
        assert len(run.model_dump_json()) < 6000


pytestmark = pytest.mark.store


def test_the_first_run_has_no_earlier_one(
    world: World, store: Store, cache: Cache, read_report: Read
) -> None:
    world.compare(store, cache)
    assert read_report("summary.json")["earlier"] == []
    assert "No earlier run had a report" in Page(read_report("index.html")).text
    assert "No earlier run had a report" in read_report("report.md")


def test_a_later_run_shows_the_earlier_ones_newest_first_and_a_cached_one_once(
    world: World, store: Store, cache: Cache, read_report: Read
) -> None:
    world.compare(store, cache, "run-3")
    world.compare(store, cache, "run-2", title="Second")
    assert world.compare(store, cache, "run-5").cached
    world.compare(store, cache, "run-1", title="Third")
    found = read_report("summary.json")
    assert [run["run_id"] for run in found["earlier"]] == ["run-2", "run-3"]
    score = found["transfer"]["test"]
    for field in ("accuracy", "accuracy_low", "accuracy_high", "photos", "correct"):
        assert found["earlier"][0]["transfer"][field] == score[field]
    text = Page(read_report("index.html")).text.replace("\u00a0", " ")
    assert text.count(found["since_previous"].replace("\u00a0", " ")) == 1
    assert found["since_previous"].startswith("Since run run-2 of ")
    assert found["since_previous"].endswith("not distinguishable.")


def test_what_cannot_be_read_is_left_out(world: World, store: Store, cache: Cache) -> None:
    world.compare(store, cache, "good")
    summary = json.loads(store.read("reports/good/summary.json") or b"")
    arm = summary["transfer"]
    for name, content in {
        "newer": summary | {"version": 2},
        "text": "not a summary",
        "wrong": summary | {"transfer": arm | {"test": arm["test"] | {"correct": 10_000}}},
        "countless": summary | {"transfer": arm | {"test": arm["test"] | {"photos": 10**30}}},
        "future": summary | {"run_id": "future", "created": "2101-01-01T00:00:00Z"},
        "large": summary | {"title": "x" * 4_000_000},
    }.items():
        store.write(f"reports/{name}/summary.json", json.dumps(content).encode())
    store.write("reports/broken/summary.json", b"{")
    assert [run.run_id for run in read_earlier_runs(store, "run-1", NOW) or []] == ["good"]


def test_the_newest_are_read_and_no_more(
    world: World, store: Store, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.compare(store, cache, "old")
    world.compare(store, cache, "new", title="New")
    monkeypatch.setattr(earlier_runs, "_MOST_RUNS", 1)
    assert [run.run_id for run in read_earlier_runs(store, "run-1", NOW) or []] == ["new"]


def test_a_store_that_does_not_list_costs_the_history_and_not_the_report(
    world: World,
    store: Store,
    cache: Cache,
    read_report: Read,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def away(_prefix: str) -> None:
        raise UnavailableError("the object store does not answer")

    with monkeypatch.context() as broken:
        broken.setattr(store, "list", away)
        world.compare(store, cache)
    assert read_report("summary.json")["earlier"] is None
    assert "could not be read" in Page(read_report("index.html")).text
    assert "could not be read: the object store does not answer" in caplog.text
