"""A run that failed is told of with what its nodes gave as the reason."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import (
    AirflowException,
    AirflowRuntimeError,
    AirflowTaskTimeout,
    ErrorType,
)
from airflow.sdk.execution_time.comms import ErrorResponse

from tasks.contract.store import Store
from tests.plugins.alerts.listeners import Webhook
from tests.plugins.tasks_of_airflow import context
from wildlife.alerts.failure import tell_of_failure
from wildlife.operators import step_operator

NAMES = {"fetch": "Fetch", "train_scratch": "Train from scratch", "compare": "Compare"}


class LastFailed:
    """The task instance that Airflow gives to the DAG's callback."""

    def __init__(self, states: dict[str, str], reasons: dict[str, str]) -> None:
        self._states, self._reasons = states, reasons

    def get_task_states(self, dag_id: str, run_ids: list[str]) -> dict[str, dict[str, str]]:
        assert dag_id == "oregon_wildlife"
        return {run_ids[0]: self._states}

    def xcom_pull(self, task_ids: str, key: str, map_indexes: int) -> str | None:
        assert (key, map_indexes) == ("failure", -1)
        return self._reasons.get(task_ids)


def failed(task: Any) -> Any:
    dag = SimpleNamespace(get_task=lambda name: SimpleNamespace(task_display_name=NAMES[name]))
    return {"run_id": "run-1", "dag": dag, "ti": task, "reason": "task_failure"}


def told(webhook: Webhook, context: Any) -> str:
    tell_of_failure(context)
    ((document),) = webhook.heard
    assert document["kind"] == "failure"
    text: str = document["text"]
    return text.removesuffix(f" {document['link']}")


def test_every_node_that_failed_is_named_with_its_reason_and_no_other(webhook: Webhook) -> None:
    states = {"fetch": "failed", "train_scratch": "failed", "compare": "upstream_failed"}
    task = LastFailed(states, {"fetch": "there is no archive"})
    assert told(webhook, failed(task)) == (
        "Run run-1 failed: Fetch: there is no archive; "
        "Train from scratch: it gave no reason; read the end of its log"
    )


def test_a_run_that_failed_without_a_node_is_told_of_with_airflow_s_reason(
    webhook: Webhook,
) -> None:
    late = {"run_id": "run-1", "reason": "timed_out"}
    assert told(webhook, late) == "Run run-1 failed: timed out"


def test_an_airflow_that_does_not_say_why_does_not_keep_the_alert(webhook: Webhook) -> None:
    class Silent(LastFailed):
        def get_task_states(self, dag_id: str, run_ids: list[str]) -> Any:
            raise AirflowRuntimeError(ErrorResponse(error=ErrorType.API_SERVER_ERROR))

    assert told(webhook, failed(Silent({}, {}))) == "Run run-1 failed: task failure"


@pytest.mark.store
def test_a_node_leaves_the_reason_of_its_failure(
    connected: Store, program: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WILDLIFE_RUNNER", "process")
    program(
        """
        import sys
        print("12:00:00 ERROR fetch failed: the store is away", flush=True)
        sys.exit(75)
        """
    )
    given = context("fetch")
    with pytest.raises(AirflowException):
        step_operator("fetch").execute(given)
    assert given["ti"].left == {"failure": "the store is away"}


def test_a_node_that_was_stopped_for_its_time_says_so(
    connected: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WILDLIFE_RUNNER", "process")
    node = step_operator("fetch")

    def takes_too_long(*_: Any) -> None:
        raise AirflowTaskTimeout("Timeout")

    monkeypatch.setattr(node, "run_to_end", takes_too_long)
    given = context("fetch")
    with pytest.raises(AirflowTaskTimeout):
        node.execute(given)
    assert given["ti"].left == {"failure": "it was stopped after WILDLIFE_STEP_TIMEOUT_HOURS"}
