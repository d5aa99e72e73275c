"""A task of Airflow's as an operator sees it, for tests that run operators without Airflow.

The real scheduler and its real state store run in the end-to-end tests.
"""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from airflow.sdk import Context

from wildlife.operators import step_operator
from wildlife.operators.base import StepOperator

DAG_ID = "oregon_wildlife"


class TaskLog(logging.LoggerAdapter):  # type: ignore[type-arg]
    """Airflow's log takes keywords beside the message; Python's does not."""

    def process(self, msg: Any, kwargs: Any) -> tuple[Any, Any]:
        del kwargs
        return msg, {}


class StateFile:
    """``task_state_store`` in a file, so that it outlives a worker as Airflow's database does."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def get(self, key: str) -> Any:
        return self._all().get(key)

    def set(self, key: str, value: Any) -> None:
        self._path.write_text(json.dumps(self._all() | {key: value}))

    def _all(self) -> dict[str, Any]:
        return json.loads(self._path.read_text()) if self._path.exists() else {}


class Task:
    """The running task instance: whose it is, which try, and what Airflow says of others."""

    def __init__(
        self, run_id: str, task_id: str, try_number: int, states: Mapping[str, str] | None = None
    ) -> None:
        self.dag_id, self.run_id, self.task_id = DAG_ID, run_id, task_id
        self.try_number = try_number
        self.stats_tags: dict[str, str] = {}
        self._states = states or {}
        self.left: dict[str, Any] = {}

    def xcom_push(self, key: str, value: Any) -> None:
        self.left[key] = value

    def get_task_states(
        self, dag_id: str, run_ids: list[str], task_ids: list[str]
    ) -> dict[str, dict[str, str]]:
        assert dag_id == DAG_ID
        (run_id,), (task_id,) = run_ids, task_ids
        if run_id == self.run_id:
            return {run_id: {task_id: "running"}}
        return {run_id: {task_id: self._states[run_id]}} if run_id in self._states else {}


def context(
    step: str = "fetch",
    run_id: str = "run-1",
    try_number: int = 1,
    state: StateFile | None = None,
    states: Mapping[str, str] | None = None,
    **options: Any,
) -> Context:
    """What Airflow's task runner gives to ``execute``.

    Args:
        states: of the same task in other runs.
        options: the run's parameters.
    """
    task = Task(run_id, step, try_number, states)
    return {"run_id": run_id, "params": options, "ti": task, "task_state_store": state}  # type: ignore[typeddict-item, return-value]


def execute_in_worker(
    folder: Path, try_number: int = 1, step: str = "fetch", hears_airflow: bool = False
) -> None:
    """Run a node in a worker of its own that may be killed; its log is ``try<N>.log``.

    Args:
        hears_airflow: does as Airflow's task runner at SIGTERM: it calls ``on_kill`` and goes on.
    """
    import signal

    logging.basicConfig(
        filename=folder / f"try{try_number}.log",
        level=logging.INFO,
        format="%(message)s",
        force=True,
    )
    StepOperator.log = TaskLog(logging.getLogger("the task's log"))  # type: ignore[assignment]
    operator = step_operator(step)
    if hears_airflow:
        signal.signal(signal.SIGTERM, lambda *_: operator.on_kill())
    operator.execute(context(step, try_number=try_number, state=StateFile(folder / "state.json")))
