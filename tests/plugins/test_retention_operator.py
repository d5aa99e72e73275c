"""Retention as a node: a dry run unless told otherwise, and Airflow's word on who is at work.

The bucket is real, and looked at from a hundred days later.
"""

import logging
from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from tasks.contract.manifest import now
from tasks.contract.store import Store
from tasks.retention import retain
from tests.plugins.pages.published import publish
from tests.plugins.tasks_of_airflow import TaskLog
from wildlife.operators import retention
from wildlife.operators.retention import RetentionOperator
from wildlife.settings import settings

OLD = {"keep_reports": 0, "keep_days": 30}


@pytest.fixture
def bucket(connected: Store, monkeypatch: pytest.MonkeyPatch) -> Store:
    """With one old run."""
    publish(connected, "run-1")
    later = partial(retain, moment=now() + timedelta(days=100))
    monkeypatch.setattr(retention, "retain", later)
    monkeypatch.setattr(RetentionOperator, "log", TaskLog(logging.getLogger("the task's log")))
    return connected


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
    RetentionOperator(task_id="retention").execute(context)


def is_there(store: Store) -> bool:
    return any("run-1" in head.key for head in store.list(""))


def test_a_run_by_hand_does_what_the_form_says(bucket: Store) -> None:
    run(**OLD)
    assert is_there(bucket)
    run(dry_run=False, keep_reports=1, keep_days=None)
    assert is_there(bucket)
    run(dry_run=False, **OLD)
    assert not is_there(bucket)


@pytest.mark.parametrize("removes", [False, True])
def test_a_run_by_itself_removes_only_if_the_setting_says_so(
    removes: bool, bucket: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    if removes:
        monkeypatch.setenv("WILDLIFE_RETENTION_REMOVES", "true")
    settings.cache_clear()
    run("scheduled", **OLD)
    assert is_there(bucket) is not removes


@pytest.mark.parametrize(
    ("last", "at_work"),
    [
        ("success", False),
        ("failed", False),
        ("running", True),
        ("up_for_retry", True),
        (None, True),
    ],
)
def test_a_run_with_a_task_that_has_not_ended_stays(
    last: str | None, at_work: bool, bucket: Store
) -> None:
    run(states={"run-1": {"fetch": "success", "compare": last}}, dry_run=False, **OLD)
    assert is_there(bucket) is at_work


def test_without_airflow_s_word_nothing_is_removed_and_it_is_tried_again(bucket: Store) -> None:
    with pytest.raises(AirflowException, match="which runs are at work") as caught:
        run(states=OSError("the supervisor is gone"), dry_run=False, **OLD)
    assert not isinstance(caught.value, AirflowFailException)
    assert is_there(bucket)


def test_an_option_out_of_range_is_not_tried_again(bucket: Store) -> None:
    with pytest.raises(AirflowFailException, match="option 'grace_days' is 0: must be 1 or more"):
        run(grace_days=0)
    assert is_there(bucket)
