"""Earlier runs: the newest are read, each once; none of them can stop the report."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from tasks.compare import earlier_runs
from tasks.compare.earlier_runs import EarlierArm, EarlierRun, change_since, read_earlier_runs
from tasks.contract.cache import Cache
from tasks.contract.errors import UnavailableError
from tasks.contract.store import Store
from tests.compare.test_report import Page
from tests.compare.world import World

Read = Callable[[str], Any]


def previous(correct: int, photos: int, key: str = "datasets/a.zip") -> EarlierRun:
    arm = EarlierArm(
        recipe="lab",
        photos=photos,
        correct=correct,
        accuracy=correct / photos,
        accuracy_low=0,
        accuracy_high=1,
    )
    return EarlierRun(
        run_id="then",
        created=datetime(2026, 1, 2, tzinfo=UTC),
        title="",
        archive_key=key,
        archive_sha256="a1" * 32,
        photos_kept=1000,
        test_photos=photos,
        scratch=arm,
        transfer=arm,
        difference=0,
        verdict="not distinguishable",
    )


def said(run: EarlierRun, correct: int, photos: int, kept: int = 1000, sha256: str = "b2") -> str:
    sentence = change_since(
        run,
        archive_key="datasets/a.zip",
        archive_sha256=sha256,
        photos_kept=kept,
        correct=correct,
        photos=photos,
    )
    return sentence.replace("\u00a0", " ").replace("\u2212", "-")


def test_a_change_has_its_interval_and_is_named_if_that_excludes_zero() -> None:
    assert said(previous(48, 80), 56, 70, 1234) == (
        "Since run then of 2026-01-02, 234 more photos were used; the accuracy of transfer "
        "learning went from 60.0 % to 80.0 %: +20.0 percentage points (95 % interval +5.2 to "
        "+33.4), better."
    )
    assert said(previous(56, 70), 48, 80, 999).endswith("(95 % interval -33.4 to -5.2), worse.")
    assert "1 fewer photo was used" in said(previous(56, 70), 48, 80, 999)


def test_a_change_the_numbers_do_not_carry_is_not_named() -> None:
    sentence = said(previous(90, 100), 92, 100)
    assert "as many photos were used" in sentence
    assert sentence.endswith("not distinguishable.")


def test_another_archive_is_not_compared_and_the_same_bytes_under_another_name_are() -> None:
    other = previous(48, 80, "datasets/b.zip")
    assert "another archive (datasets/b.zip)" in said(other, 56, 70)
    assert "percentage points" not in said(other, 56, 70)
    assert "better" in said(other, 56, 70, sha256="a1" * 32)


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
    rows = [line for line in read_report("report.md").splitlines() if line.startswith("| run-")]
    assert [row.split(" | ")[0] for row in rows] == ["| run-1", "| run-2", "| run-3"]


def test_what_cannot_be_read_is_left_out(world: World, store: Store, cache: Cache) -> None:
    world.compare(store, cache, "good")
    summary = json.loads(store.read("reports/good/summary.json") or b"")
    arm = summary["transfer"]
    for name, content in {
        "newer": summary | {"version": 2},
        "text": "not a summary",
        "wrong": summary | {"transfer": arm | {"test": arm["test"] | {"correct": 10_000}}},
        "countless": summary | {"transfer": arm | {"test": arm["test"] | {"photos": 10**30}}},
        "large": summary | {"title": "x" * 4_000_000},
    }.items():
        store.write(f"reports/{name}/summary.json", json.dumps(content).encode())
    store.write("reports/broken/summary.json", b"{")
    assert [run.run_id for run in read_earlier_runs(store, "run-1") or []] == ["good"]


def test_the_newest_are_read_and_no_more(
    world: World, store: Store, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.compare(store, cache, "old")
    world.compare(store, cache, "new", title="New")
    monkeypatch.setattr(earlier_runs, "_MOST_RUNS", 1)
    assert [run.run_id for run in read_earlier_runs(store, "run-1") or []] == ["new"]


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
