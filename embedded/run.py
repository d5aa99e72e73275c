"""``make run``: one run of the workflow, from an archive to a report, with progress as it goes."""

import json
import secrets
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from embedded.airflow import AirflowClient
from embedded.process import StackError
from tasks.contract.errors import StepError, UnavailableError
from tasks.contract.manifest import RunRecord, record_key, report_prefix
from tasks.contract.progress import TrainProgress, read_progress
from tasks.contract.store import Store

_POLL_SECONDS = 1.0
#: For so long Airflow or the store may be out of reach before the run is given up on.
_PATIENCE_SECONDS = 60
_FINAL = ("success", "failed")
#: What is said of a training beside its epochs, for it can be silent for minutes.
_SAID_PHASES = {
    "preparing": "preparing the network",
    "training": "training",
    "evaluating": "testing",
}
_SHOWN_STATES = (
    *("running", "awaiting_input", "up_for_retry", "failed", "upstream_failed"),
    *("success", "skipped"),
)


def run_workflow(
    client: AirflowClient,
    store: Store,
    options: Mapping[str, Any],
    require_stack: Callable[[], None],
) -> str:
    """Trigger the DAG and follow it to its end; returns the run's id.

    Args:
        require_stack: raises StackError if a part that the run needs has ended.

    Raises:
        StackError: the run failed; the line is the failed step's own.
    """
    run_id = f"run-{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"
    client.trigger(run_id, options)
    print(f"run {run_id} is triggered")
    follower = _Follower(client, store, run_id)
    state, heard = "", time.monotonic()
    while state not in _FINAL:
        require_stack()
        try:
            state = client.run_state(run_id)
            if state == "queued":
                follower.report_wait()
            follower.report()
            heard = time.monotonic()
        except (StackError, UnavailableError):  # the run itself goes on without us
            if time.monotonic() - heard > _PATIENCE_SECONDS:
                raise
        time.sleep(_POLL_SECONDS)
    if state == "failed":
        raise StackError(follower.why_it_failed())
    return run_id


class _Follower:
    """Prints what is new since it last looked: a line for each change of a task, and each epoch."""

    def __init__(self, client: AirflowClient, store: Store, run_id: str) -> None:
        self._client = client
        self._store = store
        self._run_id = run_id
        self._states: dict[str, str] = {}
        self._trainings: dict[str, TrainProgress] = {}
        self._began = time.monotonic()
        self._awaited: _Follower | None = None

    def report_wait(self) -> None:
        """Say for which other run this one waits, and follow it: the DAG has one at a time."""
        others = [run for run in self._client.active_runs() if run != self._run_id]
        if self._awaited is None and others:
            self._awaited = _Follower(self._client, self._store, others[0])
            print(f"waiting for {others[0]}, which goes on first (Airflow's page can stop it):")
        if self._awaited is not None:
            self._awaited.report()

    def report(self) -> None:
        for task in sorted(
            self._client.task_instances(self._run_id), key=lambda task: task["start_date"] or "~"
        ):
            name, state, known = task["task_id"], task["state"], self._states.get(task["task_id"])
            if known == "running":
                self._report_training(name)
            if state in _SHOWN_STATES and state != known:
                self._states[name] = state
                self._say(name, self._described(task))

    def why_it_failed(self) -> str:
        """The failed step's last error line, and where to read the rest."""
        for task in self._client.task_instances(self._run_id):
            if task["state"] == "failed":
                name, tries = task["task_id"], task["try_number"]
                lines = self._client.log_lines(self._run_id, name, tries)
                errors = [line for line in lines if f"{name} failed:" in line]
                reason = errors[-1].partition("failed:")[2].strip() if errors else "read its log"
                return f"{name} failed: {reason}"
        return f"run {self._run_id} failed: look at it in Airflow's page"

    def _question_of(self, task: Mapping[str, Any]) -> str:
        return self._client.question_page(self._run_id, task["task_id"])

    def _described(self, task: Mapping[str, Any]) -> str:
        state = task["state"]
        if state != "success":
            return {
                "running": "started",
                "awaiting_input": f"waits for an answer: {self._question_of(task)}",
                "up_for_retry": "failed, will be tried again",
            }.get(state, state.replace("_", " "))
        content = self._store.read(record_key(self._run_id, task["task_id"]))
        if content is None:
            return "done"
        record = RunRecord.model_validate_json(content)
        seconds = (record.finished - record.started).total_seconds()
        if record.cached:
            origin = record.manifest.produced_by.get("run_id", "an earlier run")
            return f"unchanged since {origin} (verified in {seconds:.1f} s)"
        return f"done in {seconds:.1f} s"

    def _report_training(self, name: str) -> None:
        if not name.startswith("train_"):
            return
        try:
            progress = read_progress(self._store, self._run_id, name)
        except StepError:
            return  # the store hiccups; the run itself will tell if it matters
        if progress is None or progress.phase == "cached":
            return
        for line in lines_of_training(self._trainings.get(name), progress):
            self._say(name, line)
        self._trainings[name] = progress

    def _say(self, name: str, what: str) -> None:
        print(f"  {time.monotonic() - self._began:6.1f} s  {name:<14}  {what}", flush=True)


def lines_of_training(before: TrainProgress | None, now: TrainProgress) -> list[str]:
    """What to say of a training since it was last looked at: phases, and each epoch."""
    lines = []
    phase = _SAID_PHASES.get(now.phase) if before is None or now.phase != before.phase else None
    if phase and now.phase != "evaluating":
        lines.append(phase)
    for epoch in range(before.epoch if before else 0, now.epoch):
        line = (
            f"epoch {epoch + 1}/{now.epochs}: accuracy {now.curves['accuracy'][epoch]:.3f}, "
            f"validation {now.curves['val_accuracy'][epoch]:.3f}"
        )
        if now.seconds_left and epoch + 1 == now.epoch:
            line += f", about {now.seconds_left:.0f} s left"
        lines.append(line)
    if phase and now.phase == "evaluating":  # which comes after the last epoch
        lines.append(phase)
    return lines


def save_report(store: Store, run_id: str, folder: Path) -> Path:
    """Copy a run's report to the disk; returns the page's path."""
    target = folder / run_id
    target.mkdir(parents=True, exist_ok=True)
    prefix = report_prefix(run_id)
    for head in store.list(prefix):
        store.download(head, target / Path(head.key.removeprefix(prefix)).name)
    return target / "index.html"


def latest_run(store: Store, step: str) -> str:
    """The run that had a result of this step last.

    Raises:
        StackError: none has.
    """
    records = [
        RunRecord.model_validate_json(store.read(head.key) or b"")
        for head in store.list("runs/")
        if head.key.endswith(f"/{step}.json")
    ]
    if not records:
        raise StackError(f"no run has a result of {step} yet: make run first")
    return max(records, key=lambda record: record.finished).run_id


def report_url(base: str, run_id: str) -> str:
    return f"{base}/wildlife/reports/{quote(run_id)}/index.html"


def headline(folder: Path) -> str:
    """The report's one-sentence answer."""
    summary = json.loads((folder / "summary.json").read_text())
    return str(summary["statement"])
