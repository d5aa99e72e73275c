"""What the page of a run's progress says: made of Airflow's task states and of the bucket alone.

Airflow knows what waits, runs and failed; the bucket knows what a training is doing and what a
finished step came to. Neither is needed: a run that Airflow has forgotten, or that was started by
hand, is told from the bucket; one that has put nothing there yet, from Airflow.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from tasks.contract.manifest import RunRecord
from tasks.contract.progress import TrainProgress
from wildlife.pages.curves import Chart, accuracy_chart, loss_chart

#: Step by step, with what Airflow's page calls them.
STEPS = {
    "fetch": "Fetch",
    "preprocess": "Preprocess",
    "train_scratch": "Train from scratch",
    "train_transfer": "Train by transfer",
    "champion": "Challenge the champion",
    "compare": "Compare",
    "promote": "Promote",
}
#: The nodes as they follow each other; one that asks a person is there only by setting.
NODES = {name: STEPS[name] for name in STEPS if name != "promote"} | {
    "approve": "Approve",
    "promote": STEPS["promote"],
}
TRAININGS = ("train_scratch", "train_transfer")
#: A training tells of itself every three seconds; a validation on two cores takes half a minute,
#: and the first batch, for which the network is compiled, minutes.
_SILENT_SECONDS, _SILENT_SECONDS_BEFORE_A_BATCH = 60.0, 300.0
#: Where a training may be silent for minutes: it says when it began, and not that it is silent.
_SILENT_PHASES = {"preparing": "preparing the network", "evaluating": "testing the network"}

#: States of a step that a run goes on in.
_AT_WORK = {"running", "asking", "silent", "retrying"}


@dataclass(frozen=True)
class TaskState:
    """What Airflow knows of a step: its state by Airflow's name, which try, and when that began."""

    state: str | None
    try_number: int = 0
    started: datetime | None = None


@dataclass(frozen=True)
class StepView:
    """A line of the page.

    Attributes:
        state: ``waiting``, ``running``, ``asking``, ``silent``, ``retrying``, ``done``,
            ``cached``, ``failed`` or ``blocked``; the line's mark.
        said: what it does, in words.
    """

    title: str
    state: str
    said: str


@dataclass(frozen=True)
class TrainingView:
    """A training's curves and figures; ``share`` of it is done, 0..1."""

    title: str
    said: str
    share: float
    figures: str
    accuracy: Chart
    loss: Chart


@dataclass(frozen=True)
class RunView:
    """All that the page shows.

    Attributes:
        state: ``waiting``, ``running``, ``done`` or ``failed``.
        headline: what goes on, in a sentence that changes with phases and epochs but not with
            every batch, for it is read aloud.
        has_report: whether its report can be read.
        steps, trainings: by name.
        asked: when this was so.
    """

    run_id: str
    state: str
    headline: str
    has_report: bool
    steps: dict[str, StepView]
    trainings: dict[str, TrainingView]
    asked: str


def run_view(
    run_id: str,
    tasks: Mapping[str, TaskState],
    records: Mapping[str, RunRecord],
    progress: Mapping[str, TrainProgress],
    now: datetime,
) -> RunView:
    """What a run is doing.

    Args:
        tasks: Airflow's, by step; empty for a run that it does not know.
        records: of the steps that have a result in this run.
        progress: of the trainings that have begun.
    """
    steps = {
        name: _step(name, tasks, records.get(name), progress.get(name), now)
        for name in NODES
        if name in tasks or name in records or (name in STEPS and not tasks)
    }
    state = _state_of(steps, tasks)
    return RunView(
        run_id=run_id,
        state=state,
        headline=_headline(state, steps, progress),
        has_report="compare" in records,
        steps=steps,
        trainings={
            name: _training(steps[name], progress.get(name)) for name in TRAININGS if name in steps
        },
        asked=_clock(now),
    )


def duration(seconds: float) -> str:
    """Two units at most: ``4 h 10 min``, ``12 min``, ``35 s``, ``0.4 s``."""
    if not math.isfinite(seconds):
        return "an unknown time"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    hours, minutes = divmod(minutes, 60)
    if not hours:
        return f"{minutes} min"
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def _step(
    name: str,
    tasks: Mapping[str, TaskState],
    record: RunRecord | None,
    progress: TrainProgress | None,
    now: datetime,
) -> StepView:
    task = tasks.get(name) or _guessed(record, progress)
    return StepView(NODES[name], *_state_and_words(name, task, record, progress, now))


def _state_and_words(
    name: str,
    task: TaskState,
    record: RunRecord | None,
    progress: TrainProgress | None,
    now: datetime,
) -> tuple[str, str]:
    match task.state:
        case "running" | "restarting" | "deferred":
            return _running(task, progress, now)
        case "awaiting_input":
            return "asking", "waits for an answer: follow this link to approve or reject"
        case "success":
            return _done(name, record)
        case "up_for_retry" | "up_for_reschedule":
            return "retrying", "failed, and is tried again soon; its log says why"
        case "upstream_failed":
            return "blocked", "not begun, for a step before it failed"
        case "failed":
            return "failed", "failed: the last line of its log says why"
        case "skipped" if name in ("approve", "promote"):
            return "done", "nobody answered in time: not promoted"
        case "skipped" | "removed":
            return "failed", f"{task.state} in Airflow"
        case "queued":
            return "waiting", "waits for a free worker"
        case "scheduled":
            return "waiting", "waits for a free slot" + " of the pool gpu" * (name in TRAININGS)
        case _:
            return "waiting", "waits for the steps before it"


def _guessed(record: RunRecord | None, progress: TrainProgress | None) -> TaskState:
    """The state of a step that Airflow does not know."""
    if record is not None:
        return TaskState("success")
    return TaskState(None if progress is None else "running")


def _done(name: str, record: RunRecord | None) -> tuple[str, str]:
    if name not in STEPS:
        return "done", "answered, or there was nothing to ask"
    if record is None:
        return "done", "marked as done in Airflow"
    seconds = duration((record.finished - record.started).total_seconds())
    if record.cached:
        origin = record.manifest.produced_by.get("run_id", "an earlier run")
        return "cached", f"unchanged since {origin}, verified in {seconds}"
    return "done", f"done in {seconds}"


def _running(task: TaskState, progress: TrainProgress | None, now: datetime) -> tuple[str, str]:
    again = f" (try {task.try_number})" if task.try_number > 1 else ""
    if progress is None or (task.started is not None and progress.updated < task.started):
        since = f" since {_clock(task.started)}" if task.started else ""
        return "running", f"at work{since}{again}"
    if progress.phase in _SILENT_PHASES:
        return (
            "running",
            f"{_SILENT_PHASES[progress.phase]} since {_clock(progress.updated)}{again}",
        )
    if progress.phase != "training":
        return "running", f"putting its result into the bucket{again}"
    silent = (now - progress.updated).total_seconds()
    if silent > (_SILENT_SECONDS if progress.batch else _SILENT_SECONDS_BEFORE_A_BATCH):
        return "silent", f"no news since {_clock(progress.updated)} ({duration(silent)}){again}"
    return "running", f"{_place(progress)}{again}"


def _place(progress: TrainProgress) -> str:
    if progress.epoch >= progress.epochs:
        return f"all {progress.epochs} epochs are done"
    place = f"epoch {progress.epoch + 1} of {progress.epochs}"
    if progress.batch and progress.batches:
        return f"{place}, batch {progress.batch} of {progress.batches}"
    return place if progress.epoch else f"{place}, compiling the network"


def _state_of(steps: Mapping[str, StepView], tasks: Mapping[str, TaskState]) -> str:
    states = {step.state for step in steps.values()}
    if states & _AT_WORK:
        return "running"
    if "failed" in states:
        return "failed"
    if "compare" in steps and steps["compare"].state in ("done", "cached"):
        return "running" if "waiting" in {steps[name].state for name in tasks} else "done"
    return "waiting" if states == {"waiting"} else "running"


def _headline(
    state: str, steps: Mapping[str, StepView], progress: Mapping[str, TrainProgress]
) -> str:
    if state == "done":
        return "The run is done: its report can be read."
    if state == "waiting":
        return "The run has not begun."
    if state == "failed":
        failed = [step.title for step in steps.values() if step.state == "failed"]
        return f"The run failed in {' and '.join(failed)}."
    told = [
        f"{step.title}: {_told(step, progress.get(name))}."
        for name, step in steps.items()
        if step.state in _AT_WORK
    ]
    return " ".join(told) or "The next step is about to begin."


def _told(step: StepView, progress: TrainProgress | None) -> str:
    """What of a step is worth reading aloud: no batches, no clock."""
    if step.state == "asking":
        return "waits for an answer"
    if step.state == "retrying":
        return "failed, and is tried again"
    if step.state == "silent":
        return "no news for some time"
    if progress is None or progress.phase != "training" or not progress.epoch:
        return "at work"
    return f"{progress.epoch} of {progress.epochs} epochs are done"


def _training(step: StepView, progress: TrainProgress | None) -> TrainingView:
    curves = {} if progress is None else progress.curves
    epochs = 0 if progress is None else progress.epochs
    accuracy, loss, val_accuracy, val_loss = (
        curves.get(measure, []) for measure in ("accuracy", "loss", "val_accuracy", "val_loss")
    )
    return TrainingView(
        title=step.title,
        said=step.said,
        share=0.0 if progress is None else _share(progress),
        figures="" if progress is None else _figures(step, progress),
        accuracy=accuracy_chart(accuracy, val_accuracy, epochs),
        loss=loss_chart(loss, val_loss, epochs),
    )


def _share(progress: TrainProgress) -> float:
    begun = progress.batch / progress.batches if progress.batches else 0.0
    done = (progress.epoch + min(begun, 1.0)) / max(progress.epochs, 1)
    return round(min(max(done, 0.0), 1.0), 4)


def _figures(step: StepView, progress: TrainProgress) -> str:
    """How fast and how long: what is left is told only while it trains."""
    told = []
    if progress.photos_per_second is not None and progress.phase != "cached":
        told.append(f"{progress.photos_per_second:,.1f} photos/s")
    if progress.seconds:
        ending = "so far" if progress.phase == "training" else "of training"
        told.append(f"{duration(progress.seconds)} {ending}")
    if step.state == "running" and progress.phase == "training" and progress.seconds_left:
        told.append(f"about {duration(progress.seconds_left)} left")
    return ", ".join(told)


def _clock(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%H:%M:%S} UTC"
