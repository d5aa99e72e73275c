"""Fewer photos, and a network behind the champion, are told of; what is as it was is not."""

import logging
from typing import Any

import pytest

from tasks.contract.decision import Decision, Duel
from tasks.contract.manifest import Manifest, RunRecord, now, record_key
from tasks.contract.store import Store
from tests.plugins.alerts.listeners import Webhook
from tests.plugins.tasks_of_airflow import context
from wildlife.alerts.drops import data_drop, quality_drop, tell_of_drops


def compared(**change: Any) -> dict[str, Any]:
    """The facts of ``compare``, after a run of 1,000 photos of which none was refused."""
    before = {
        "run_id": "run-0",
        "photos": 1000,
        "photos_before": 1000,
        "refused_share": 0.0,
        "refused_share_before": 0.0,
        "lost": [],
    }
    return {"verdict": "transfer is better", "data_change": before | change}


def challenged(better: Any = "champion") -> dict[str, Any]:
    """The facts of ``champion``: a network that is right on 0.8 met one that is on 0.9."""
    counts = dict.fromkeys(Duel.model_fields, 0) | {"compared": 1200, "better": better}
    met = Duel.model_validate(counts | {"challenger_accuracy": 0.8, "champion_accuracy": 0.9})
    return Decision(
        challenger="train_scratch",
        champion="train_transfer of run run-0",
        champion_promoted=now(),
        newer=True,
        duel=met,
        trouble="",
        rule="not worse",
        promotes=False,
        reason="",
        situation="",
    ).model_dump(mode="json")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, ""),
        ({"photos": 950}, ""),
        ({"photos": 5000}, ""),
        ({"photos": 940}, "has less than run run-0: 60 photos fewer are used, 6.0% of 1,000"),
        ({"refused_share": 0.05}, ""),
        ({"refused_share": None}, ""),
        (
            {"refused_share": 0.1},
            "has less than run run-0: 10.0% of the photos are refused, 0.0% before",
        ),
        (
            {"lost": [{"name": "fox", "photos": 0, "photos_before": 9}]},
            "has less than run run-0: classes lost most of their photos, or are gone: fox 0 of 9",
        ),
    ],
)
def test_a_loss_of_photos_or_classes_is_a_data_drop(change: dict[str, Any], said: str) -> None:
    assert data_drop(compared(**change), 0.05) == said


def test_the_first_run_of_an_archive_is_no_drop() -> None:
    assert data_drop({"data_change": None}, 0.05) == ""


def test_how_much_is_a_drop_is_a_setting() -> None:
    assert data_drop(compared(photos=999), 0.0) != ""
    assert data_drop(compared(photos=500), 0.5) == ""


def test_only_what_the_paired_test_calls_worse_is_a_quality_drop() -> None:
    assert quality_drop(challenged(), 0.0) == (
        "is behind the champion: its better network is right on 80.0% of 1,200 test photos, "
        "train_transfer of run run-0 on 90.0%"
    )
    assert quality_drop(challenged("neither"), 0.0) == ""
    assert quality_drop(challenged("challenger"), 0.0) == ""
    assert quality_drop(challenged() | {"duel": None}, 0.0) == ""


pytestmark = pytest.mark.store


def leave(store: Store, step: str, facts: dict[str, Any], computed_by: str = "run-1") -> None:
    """The record that a step leaves of run-1."""
    manifest = Manifest(
        step=step,
        fingerprint="f" * 64,
        options={},
        inputs={},
        files={},
        facts=facts,
        produced_by={"run_id": computed_by},
        created=now(),
    )
    record = RunRecord(
        run_id="run-1",
        step=step,
        cached=computed_by != "run-1",
        started=now(),
        finished=now(),
        manifest=manifest,
    )
    store.write(record_key("run-1", step), record.model_dump_json().encode())


def test_the_run_that_found_a_drop_tells_of_it_with_the_report(
    connected: Store, webhook: Webhook
) -> None:
    leave(connected, "compare", compared(photos=1))
    leave(connected, "champion", challenged())
    tell_of_drops(context("compare"))
    assert {document["kind"] for document in webhook.heard} == {"data drop", "quality drop"}
    for document in webhook.heard:
        assert document["text"].startswith("Run run-1 ")
        assert document["link"].endswith("/runs/run-1/plugin/wildlife-report")


def test_a_run_that_finds_all_unchanged_tells_nothing_again(
    connected: Store, webhook: Webhook
) -> None:
    leave(connected, "compare", compared(photos=1), computed_by="run-0")
    leave(connected, "champion", challenged(), computed_by="run-0")
    tell_of_drops(context("compare"))
    assert webhook.requests == 0


@pytest.mark.parametrize("facts", [None, {}, {"data_change": {"photos": "many"}}])
def test_facts_that_cannot_be_read_are_a_line_in_the_log_and_keep_no_other_alert(
    connected: Store,
    webhook: Webhook,
    caplog: pytest.LogCaptureFixture,
    facts: dict[str, Any] | None,
) -> None:
    if facts is not None:
        leave(connected, "compare", facts)
    leave(connected, "champion", challenged())
    with caplog.at_level(logging.ERROR):
        tell_of_drops(context("compare"))
    assert caplog.text.count("to tell of is not known") == 1
    assert "whether there is a data drop to tell of is not known" in caplog.text
    assert [document["kind"] for document in webhook.heard] == ["quality drop"]
