"""Runs that begin by themselves: when, how many after a pause, and with which options."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from airflow.sdk.bases.timetable import BaseTimetable
from airflow.sdk.exceptions import AirflowFailException
from airflow.sdk.timezone import coerce_datetime
from airflow.serialization.decoders import decode_timetable
from airflow.serialization.encoders import encode_timetable
from airflow.timetables.base import DataInterval, TimeRestriction, Timetable
from airflow.utils.types import DagRunType

from tasks.contract.manifest import checked_run_id
from tasks.contract.store import Store
from wildlife.operators import step_operator
from wildlife.schedule import schedule
from wildlife.settings import settings

Program = Callable[[str], Path]


def scheduler_s(monkeypatch: pytest.MonkeyPatch, cron: str) -> Timetable:
    """The timetable as the scheduler has it, out of its database."""
    monkeypatch.setenv("WILDLIFE_SCHEDULE", cron)
    chosen = schedule()
    assert isinstance(chosen, BaseTimetable)
    return decode_timetable(encode_timetable(chosen))


def next_run(timetable: Timetable, last: datetime | None) -> datetime:
    found = timetable.next_dagrun_info(
        last_automated_data_interval=None
        if last is None
        else DataInterval.exact(coerce_datetime(last)),
        restriction=TimeRestriction(earliest=None, latest=None, catchup=False),
    )
    assert found is not None
    return found.run_after


def test_no_run_begins_by_itself_unless_that_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WILDLIFE_SCHEDULE", raising=False)
    assert schedule() is None


@pytest.mark.parametrize(
    ("given", "key"),
    [("on", "datasets/oregon-wildlife.zip"), ("datasets/my pets.zip", "datasets/my pets.zip")],
)
def test_an_archive_is_watched_with_or_without_a_cron_expression(
    monkeypatch: pytest.MonkeyPatch, given: str, key: str
) -> None:
    monkeypatch.setenv("WILDLIFE_WATCH", given)
    alone = schedule()
    assert isinstance(alone, list)
    (asset,) = alone
    (watcher,) = asset.watchers
    _, arguments = watcher.trigger.serialize()
    assert arguments["key"] == key
    settings.cache_clear()
    both = scheduler_s(monkeypatch, "0 3 * * 1")
    assert both.summary == "Asset or 0 3 * * 1"
    assert next_run(both, None) > datetime.now(UTC)


def test_turning_the_schedule_on_waits_for_its_first_time(monkeypatch: pytest.MonkeyPatch) -> None:
    assert next_run(scheduler_s(monkeypatch, "0 3 * * 1"), None) > datetime.now(UTC)


def test_after_weeks_of_downtime_one_tick_is_made_up_for_and_not_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    timetable = scheduler_s(monkeypatch, "@hourly")
    now = datetime.now(UTC)
    made_up = next_run(timetable, last=now - timedelta(weeks=3))
    assert now - timedelta(hours=1, seconds=5) < made_up <= now + timedelta(seconds=5)
    assert next_run(timetable, last=made_up) == made_up + timedelta(hours=1)


def test_a_scheduled_run_s_id_names_a_folder_of_the_bucket(monkeypatch: pytest.MonkeyPatch) -> None:
    run_id = scheduler_s(monkeypatch, "0 3 * * 1").generate_run_id(
        run_type=DagRunType.SCHEDULED,
        run_after=coerce_datetime(datetime(2026, 11, 23, 3, tzinfo=UTC)),
        data_interval=None,
    )
    assert checked_run_id(run_id) == run_id


@pytest.mark.parametrize(
    ("run_type", "epochs"), [("scheduled", 7), ("asset_triggered", 7), ("manual", 5)]
)
def test_options_of_scheduled_runs_are_theirs_alone(
    connected: Store,
    program: Program,
    monkeypatch: pytest.MonkeyPatch,
    run_type: str,
    epochs: int,
) -> None:
    monkeypatch.setenv("WILDLIFE_RUNNER", "process")
    monkeypatch.setenv("WILDLIFE_SCHEDULED_OPTIONS", '{"scratch_epochs": 7}')
    monkeypatch.setenv("WILDLIFE_WATCH", "datasets/watched.zip")
    settings.cache_clear()
    folder = program("import json, sys; json.dump(sys.argv, open('argv', 'w')); sys.exit(78)")
    context = {
        "run_id": "run-1",
        "params": {"scratch_epochs": 5, "batch_size": 8, "archive": "datasets/asked.zip"},
        "dag_run": SimpleNamespace(run_type=run_type),
    }
    with pytest.raises(AirflowFailException):
        step_operator("fetch").execute(context)
    config = json.loads(json.loads((folder / "argv").read_text())[-1])
    assert (config["scratch_epochs"], config["batch_size"]) == (epochs, 8)
    asked = run_type == "manual"
    assert config["archive"] == ("datasets/asked.zip" if asked else "datasets/watched.zip")
