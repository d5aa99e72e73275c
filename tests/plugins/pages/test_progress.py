"""What the progress page says of a run, whatever Airflow and the bucket know of it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.contract.manifest import Manifest, RunRecord
from tasks.contract.progress import TrainProgress
from tasks.registry import STEP_NAMES
from wildlife.pages.progress import (
    NODES,
    STEPS,
    TRAININGS,
    RunView,
    TaskState,
    duration,
    run_view,
)

NOW = datetime(2026, 11, 25, 14, 2, 40, tzinfo=UTC)


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def record(step: str, *, cached: bool = False, seconds: float = 12) -> RunRecord:
    manifest = Manifest(
        step=step, fingerprint="f", options={}, inputs={}, files={}, created=ago(100),
        produced_by={"run_id": "run-before"},
    )  # fmt: skip
    return RunRecord(
        run_id="run-1", step=step, cached=cached, started=ago(seconds), finished=NOW,
        manifest=manifest,
    )  # fmt: skip


def progress(step: str = "train_scratch", **told: Any) -> TrainProgress:
    curves = {
        "accuracy": [0.4, 0.6],
        "val_accuracy": [0.3, 0.5],
        "loss": [1.8, 1.1],
        "val_loss": [1.9, 1.3],
    }
    known: dict[str, Any] = {
        "step": step, "phase": "training", "epoch": 2, "epochs": 40, "batch": 12, "batches": 48,
        "seconds": 700.0, "photos_per_second": 13.25, "seconds_left": 15_000.0, "curves": curves,
        "updated": ago(2),
    }  # fmt: skip
    return TrainProgress(**known | told)


def viewed(
    tasks: dict[str, TaskState] | None = None,
    records: dict[str, RunRecord] | None = None,
    told: TrainProgress | None = None,
) -> RunView:
    return run_view("run-1", tasks or {}, records or {}, {told.step: told} if told else {}, NOW)


def running(**task: Any) -> dict[str, TaskState]:
    return {
        "fetch": TaskState("success", 1),
        "preprocess": TaskState("success", 1),
        "train_scratch": TaskState(**{"state": "running", "try_number": 1} | task),
        "train_transfer": TaskState("scheduled"),
        "champion": TaskState(None),
        "compare": TaskState(None),
        "promote": TaskState(None),
    }


def test_the_page_has_every_step_of_the_workflow_in_its_order() -> None:
    assert tuple(STEPS) == STEP_NAMES
    assert set(TRAININGS) == {name for name in STEP_NAMES if name.startswith("train_")}


def test_a_training_says_where_it_is_how_fast_and_how_long() -> None:
    view = viewed(running(), told=progress())
    assert view.steps["train_scratch"].said == "epoch 3 of 40, batch 12 of 48"
    training = view.trainings["train_scratch"]
    assert training.figures == "13.2 photos/s, 12 min so far, about 4 h 10 min left"
    assert training.share == pytest.approx(2.25 / 40, abs=1e-4)
    assert (
        training.accuracy.told
        == "training 60.0\N{NO-BREAK SPACE}%, validation 50.0\N{NO-BREAK SPACE}%"
    )
    assert view.headline == "Train from scratch: 2 of 40 epochs are done."
    assert view.steps["train_transfer"].said == "waits for a free slot of the pool gpu"
    assert (view.state, view.has_report) == ("running", False)


def test_what_is_read_aloud_does_not_change_with_every_batch() -> None:
    one, other = (
        viewed(running(), told=progress(batch=batch, seconds=batch, updated=ago(batch)))
        for batch in (3, 13)
    )
    assert one.headline == other.headline
    assert one.steps != other.steps


def test_a_training_that_went_silent_says_since_when() -> None:
    view = viewed(running(try_number=2), told=progress(updated=ago(150)))
    step = view.steps["train_scratch"]
    assert (step.state, step.said) == ("silent", "no news since 14:00:10 UTC (2 min) (try 2)")
    assert view.state == "running"
    assert "left" not in view.trainings["train_scratch"].figures
    assert view.trainings["train_scratch"].accuracy.training, "its curves stay"


def test_the_first_batch_may_take_minutes_for_the_network_is_compiled() -> None:
    told = progress(epoch=0, batch=0, batches=0, curves={}, updated=ago(150))
    step = viewed(running(), told=told).steps["train_scratch"]
    assert (step.state, step.said) == ("running", "epoch 1 of 40, compiling the network")
    late = told.model_copy(update={"updated": ago(301)})
    assert viewed(running(), told=late).steps["train_scratch"].state == "silent"


@pytest.mark.parametrize(
    ("phase", "said"),
    [
        ("preparing", "preparing the network since 13:52:40 UTC"),
        ("evaluating", "testing the network since 13:52:40 UTC"),
        ("finished", "putting its result into the bucket"),
    ],
)
def test_phases_that_are_silent_by_nature_are_not_called_silent(phase: str, said: str) -> None:
    step = viewed(running(), told=progress(phase=phase, updated=ago(600))).steps["train_scratch"]
    assert (step.state, step.said) == ("running", said)


def test_news_of_an_earlier_try_is_not_told_as_news_of_this_one() -> None:
    """A worker died; the retry has begun and not yet told of itself."""
    tasks = running(try_number=2, started=ago(20))
    view = viewed(tasks, told=progress(updated=ago(100)))
    assert view.steps["train_scratch"].said == "at work since 14:02:20 UTC (try 2)"
    resumed = viewed(tasks, told=progress(updated=ago(1)))
    assert resumed.steps["train_scratch"].said == "epoch 3 of 40, batch 12 of 48 (try 2)"


def test_a_run_that_has_not_begun_says_so() -> None:
    view = viewed({name: TaskState(None) for name in STEPS})
    assert (view.state, view.headline) == ("waiting", "The run has not begun.")
    assert {step.said for step in view.steps.values()} == {"waits for the steps before it"}


def test_a_run_that_found_everything_unchanged_says_of_which_run() -> None:
    records = {name: record(name, cached=True, seconds=0.42) for name in STEPS}
    told = progress(phase="cached", epoch=2, epochs=2, batch=0)
    view = viewed({name: TaskState("success", 1) for name in STEPS}, records, told)
    assert {step.state for step in view.steps.values()} == {"cached"}
    assert view.steps["fetch"].said == "unchanged since run-before, verified in 0.4 s"
    assert (view.state, view.has_report) == ("done", True)
    training = view.trainings["train_scratch"]
    assert training.share == 1
    assert training.loss.validation, "the curves of the run that trained"


def test_a_run_with_a_report_is_done_once_the_last_step_is() -> None:
    tasks = {name: TaskState("success", 1) for name in STEPS} | {"promote": TaskState("queued")}
    view = viewed(tasks, {"compare": record("compare")})
    assert (view.state, view.has_report) == ("running", True)


def test_a_run_of_before_there_was_a_champion_shows_the_steps_that_it_had() -> None:
    had = [name for name in STEPS if name not in ("champion", "promote")]
    view = viewed({name: TaskState("success", 1) for name in had})
    assert list(view.steps) == had
    assert view.state == "done"


def test_a_run_that_waits_for_a_person_says_so_and_has_its_report() -> None:
    tasks = {name: TaskState("success", 1) for name in STEPS}
    asked = tasks | {"approve": TaskState("awaiting_input", 1), "promote": TaskState(None)}
    view = viewed(asked, {"compare": record("compare")})
    assert list(view.steps) == list(NODES)
    assert view.steps["approve"].state == "asking"
    assert (view.state, view.headline) == ("running", "Approve: waits for an answer.")
    assert view.has_report
    late = tasks | {name: TaskState("skipped", 1) for name in ("approve", "promote")}
    assert viewed(late).state == "done"
    assert viewed(late).steps["promote"].said == "nobody answered in time: not promoted"


def test_a_failed_run_says_where_it_failed_and_what_did_not_begin() -> None:
    tasks = running(state="failed") | {
        "train_transfer": TaskState("success", 1),
        "compare": TaskState("upstream_failed"),
    }
    view = viewed(tasks, told=progress())
    assert (view.state, view.headline) == ("failed", "The run failed in Train from scratch.")
    assert view.steps["train_scratch"].said == "failed: the last line of its log says why"
    assert view.steps["compare"].state == "blocked"
    assert not view.has_report


def test_a_step_that_is_tried_again_has_not_failed_the_run() -> None:
    view = viewed(running(state="up_for_retry"), told=progress())
    assert (view.state, view.steps["train_scratch"].state) == ("running", "retrying")


def test_a_run_that_airflow_does_not_know_is_told_from_the_bucket() -> None:
    view = viewed(None, {"fetch": record("fetch")}, progress())
    assert view.steps["fetch"].said == "done in 12 s"
    assert view.steps["train_scratch"].said == "epoch 3 of 40, batch 12 of 48"
    assert view.steps["compare"].state == "waiting"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (float("inf"), "an unknown time"),
        (0, "0.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (89, "89 s"),
        (90, "2 min"),
        (3570, "1 h"),
        (15_000, "4 h 10 min"),
    ],
)
def test_a_duration_has_two_units_at_most(seconds: float, words: str) -> None:
    assert duration(seconds) == words


TASKS = st.dictionaries(
    st.sampled_from(list(NODES)),
    st.builds(
        TaskState,
        st.sampled_from(
            [
                *(None, "scheduled", "queued", "running", "success", "failed", "up_for_retry"),
                *("upstream_failed", "skipped", "removed", "restarting", "deferred", "a new one"),
                "awaiting_input",
            ]
        ),
        st.integers(0, 9),
        st.none() | st.integers(-10, 10**5).map(ago),
    ),
)
RECORDS = st.sets(st.sampled_from(list(STEPS))).map(
    lambda steps: {step: record(step) for step in steps}
)
COUNTS = st.integers(0, 1000)
MEASURES = st.lists(st.floats(), max_size=5)
PROGRESS = st.dictionaries(
    st.sampled_from(TRAININGS),
    st.builds(
        TrainProgress,
        step=st.just("train_scratch"),
        phase=st.sampled_from(["preparing", "training", "evaluating", "finished", "cached"]),
        epoch=COUNTS,
        epochs=COUNTS,
        batch=COUNTS,
        batches=COUNTS,
        seconds=st.floats(0, 1e7),
        photos_per_second=st.none() | st.floats(0, 1e6),
        seconds_left=st.none() | st.floats(0, 1e7),
        curves=st.dictionaries(
            st.sampled_from(["accuracy", "loss", "val_accuracy", "val_loss"]), MEASURES
        ),
        updated=st.integers(-100, 10**6).map(ago),
    ),
)


@given(TASKS, RECORDS, PROGRESS)
def test_whatever_is_known_of_a_run_can_be_shown(
    tasks: dict[str, TaskState], records: dict[str, RunRecord], told: dict[str, TrainProgress]
) -> None:
    view = run_view("run-1", tasks, records, told, NOW)
    at_work = {"running", "asking", "silent", "retrying"}
    states = at_work | {"waiting", "done", "cached", "failed", "blocked"}
    assert {step.state for step in view.steps.values()} <= states
    assert all(step.said for step in view.steps.values())
    assert view.headline.endswith(".")
    assert all(0 <= training.share <= 1 for training in view.trainings.values())
    assert view.has_report == ("compare" in records)
    if view.state == "done":
        assert view.steps["compare"].state in ("done", "cached")
