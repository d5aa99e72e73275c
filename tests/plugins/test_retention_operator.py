"""Retention as a node: a dry run unless told otherwise, and Airflow's word on who is at work."""

import logging
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from tasks.contract.config import RetentionOptions
from tasks.contract.store import Store
from tests.plugins.tasks_of_airflow import TaskLog
from wildlife.operators import retention
from wildlife.operators.retention import RetentionOperator
from wildlife.settings import settings


class Asked:
    """What ``retain`` was called with; it asks who is at work, and removes nothing."""

    def __init__(self) -> None:
        self.options: RetentionOptions | None = None
        self.dry_run: bool | None = None
        self.active: set[str] = set()

    def __call__(self, _store: Store, options: RetentionOptions, active: Any, *, dry_run: bool):
        self.options, self.dry_run, self.active = options, dry_run, active()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    asked = Asked()
    monkeypatch.setattr(retention, "retain", asked)
    monkeypatch.setattr(RetentionOperator, "log", TaskLog(logging.getLogger("the task's log")))
    return asked


def run(
    run_type: str = "manual",
    states: Mapping[str, Mapping[str, str | None]] | Exception | None = None,
    **params: Any,
) -> None:
    def get_task_states(dag_id: str) -> Any:
        assert dag_id == "oregon_wildlife"
        if isinstance(states, Exception):
            raise states
        return states or {}

    context: Any = {
        "params": {"dry_run": True} | params,
        "dag_run": SimpleNamespace(run_type=run_type),
        "ti": SimpleNamespace(get_task_states=get_task_states),
    }
    RetentionOperator(task_id="retention").execute(Context(context))  # type: ignore[typeddict-item]


def test_a_run_by_hand_does_what_the_form_says(connected: Store, asked: Asked) -> None:
    run(keep_reports=3, keep_days=None)
    assert asked.dry_run is True
    assert asked.options == RetentionOptions(keep_reports=3)
    run(dry_run=False)
    assert asked.dry_run is False


@pytest.mark.parametrize("removes", [False, True])
def test_a_run_by_itself_removes_only_if_the_setting_says_so(
    removes: bool, connected: Store, asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    if removes:
        monkeypatch.setenv("WILDLIFE_RETENTION_REMOVES", "true")
    settings.cache_clear()
    run("scheduled")
    assert asked.dry_run is not removes


def test_whoever_has_a_task_that_has_not_ended_is_at_work(connected: Store, asked: Asked) -> None:
    ended = {"fetch": "success", "compare": "failed"}
    states = {
        "done": ended,
        "queued": dict.fromkeys(ended, None),
        "running": ended | {"compare": "running"},
        "waits for a retry": ended | {"compare": "up_for_retry"},
    }
    run(states=states)
    assert asked.active == {"queued", "running", "waits for a retry"}


def test_without_airflow_s_word_nothing_is_removed(connected: Store, asked: Asked) -> None:
    with pytest.raises(AirflowException, match="which runs are at work") as caught:
        run(states=OSError("the supervisor is gone"), dry_run=False)
    assert not isinstance(caught.value, AirflowFailException)
    assert asked.options is None


def test_an_option_out_of_range_is_not_tried_again(connected: Store, asked: Asked) -> None:
    with pytest.raises(AirflowFailException, match="option 'grace_days' is 0: must be 1 or more"):
        run(grace_days=0)
