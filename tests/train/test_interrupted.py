"""``python -m tasks train_scratch``, ended from outside and run again, as Airflow retries it."""

import json
import logging
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import keras
import numpy as np
import pytest

from embedded.ports import free_ports
from embedded.settings import STORE_PORTS, Settings
from embedded.store import start_store, stop_store, store_environment
from tasks.contract.cache import Cache
from tasks.contract.config import Config
from tasks.contract.progress import read_progress
from tasks.contract.step import read_record, run_step
from tasks.contract.store import Store
from tasks.contract.training import (
    HISTORY_FILE,
    MODEL_FILE,
    PREDICTIONS_FILE,
    Predictions,
    read_history,
)
from tasks.train import SCRATCH
from tasks.train.checkpoint import Checkpoint
from tests.train.conftest import Prepared, result_of

pytestmark = pytest.mark.keras

ROOT = Path(__file__).resolve().parents[2]
OPTIONS = {"scratch_epochs": 2, "batch_size": 1}
BATCHES = 60
KILLS = 3

#: The command line itself, with a network in B0's place that does not take a minute to compile.
CHILD = """
import sys
import keras
from tasks.__main__ import main
from tasks.train import resumable
from tests.train.test_interrupted import b0_stand_in
keras.applications.EfficientNetB0 = b0_stand_in
resumable.SAVE_SECONDS = float(sys.argv[1])
sys.exit(main(sys.argv[2:]))
"""


def b0_stand_in(
    include_top: bool,
    weights: None,
    classes: int,
    input_shape: tuple[int, int, int],
    classifier_activation: str | None,
) -> keras.Model:
    """A network of B0's signature, with a state in its normalisation and its dropout."""
    del include_top, weights
    return keras.Sequential(
        [
            keras.Input(input_shape),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Conv2D(4, 3, strides=4),
            keras.layers.BatchNormalization(),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(8, activation="relu"),
            keras.layers.Dropout(0.2),
            keras.layers.Dense(classes, activation=classifier_activation, name="predictions"),
        ]
    )


@contextmanager
def attempt(
    machine: Path, log: Path | int, save_seconds: float = 60.0
) -> Iterator[subprocess.Popen[str]]:
    """One attempt at training, on a machine of its own: its disk is empty.

    Args:
        log: the file that its log goes to, or ``subprocess.PIPE``.
    """
    arguments = ["train_scratch", "--run-id", "r1", "--config", json.dumps(OPTIONS)]
    with (
        nullcontext(log) if isinstance(log, int) else log.open("w") as file,
        subprocess.Popen(
            [sys.executable, "-c", CHILD, str(save_seconds), *arguments],
            cwd=ROOT,
            env=os.environ | {"WILDLIFE_CACHE": str(machine)},
            stdout=file,
            stderr=subprocess.STDOUT,
            text=True,
        ) as child,
    ):
        try:
            yield child
        finally:
            child.kill()


def until(child: subprocess.Popen[str], happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 300
    while not happened():
        assert child.poll() is None, f"it ended by itself, with {child.returncode}"
        assert time.monotonic() < deadline
        time.sleep(0.02)


def furthest(store: Store, folder: Path) -> tuple[int, int]:
    """How far the checkpoints in the bucket are: whole epochs, batches of the next."""
    positions = [(0, 0)]
    for head in store.list("checkpoints/"):
        path = folder / "checkpoint"
        path.write_bytes(store.read(head.key) or b"")
        positions.append(Checkpoint.read(path).position.progress)
    return max(positions)


def place_in(log: str, pattern: str) -> tuple[int, int]:
    """Whole epochs, and batches of the next, that a log line tells of."""
    told = re.search(
        pattern.replace("PLACE", rf"epoch (\d+) after (\d+) of {BATCHES} batches"), log
    )
    assert told is not None, log
    return int(told[1]) - 1, int(told[2])


def assert_trained_alike(store: Store, cache: Cache, tmp_path: Path) -> None:
    """Run r1 has what an undisturbed run has: history, weights and predictions."""
    resumed = result_of("train_scratch", store, cache)
    undisturbed = result_of("train_scratch", store, cache, "r2")
    assert undisturbed.manifest.measurements["resumed"] == 0
    histories = [read_history(one.path(HISTORY_FILE)) for one in (resumed, undisturbed)]
    measures = [[list(row.model_dump().values())[:4] for row in rows] for rows in histories]
    np.testing.assert_allclose(measures[0], measures[1], rtol=1e-3, atol=1e-4)
    networks = []
    for name, artifact in (("one", resumed), ("other", undisturbed)):
        link = tmp_path / f"{name}.keras"
        link.symlink_to(artifact.path(MODEL_FILE))
        networks.append(keras.models.load_model(link).get_weights())
    for mine, theirs in zip(*networks, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-3, atol=1e-4)
    answers = [Predictions.load(one.path(PREDICTIONS_FILE)) for one in (resumed, undisturbed)]
    np.testing.assert_allclose(answers[0].probabilities, answers[1].probabilities, atol=1e-4)


def train_undisturbed(store: Store, cache: Cache, prepared: Prepared) -> None:
    prepared.publish(store, cache, "r2")
    run_step(SCRATCH, Config.parse(OPTIONS | {"force": True}), "r2", store, cache)


def test_a_training_ended_by_sigterm_and_by_sigkill_ends_as_an_undisturbed_one(
    store: Store,
    cache: Cache,
    prepared: Prepared,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    prepared.photos["train"] = BATCHES // 2
    prepared.publish(store, cache)
    log = tmp_path / "log"

    def training() -> bool:
        progress = read_progress(store, "r1", "train_scratch")
        return progress is not None and progress.phase == "training"

    with attempt(tmp_path / "one", log) as child:
        until(child, training)
        child.send_signal(signal.SIGTERM)
        assert child.wait(300) == 143
    stopped = place_in(log.read_text(), "stopped by SIGTERM in PLACE: checkpoint saved, a retry")
    assert stopped == furthest(store, tmp_path)

    with attempt(tmp_path / "other", log, save_seconds=0.0) as child:
        until(child, lambda: furthest(store, tmp_path) > (0, BATCHES // 3))
        saved = furthest(store, tmp_path)
        child.kill()
    assert place_in(log.read_text(), "going on from the checkpoint of PLACE, made") == stopped

    monkeypatch.setattr(keras.applications, "EfficientNetB0", b0_stand_in)
    caplog.set_level(logging.INFO)
    run_step(SCRATCH, Config.parse(OPTIONS), "r1", store, cache)
    assert place_in(caplog.text, "going on from the checkpoint of PLACE, made") >= saved
    resumed = result_of("train_scratch", store, cache)
    assert resumed.manifest.measurements["resumed"] == 2
    assert resumed.manifest.measurements["photos_per_second"] > 0
    assert not list(store.list("checkpoints/"))
    train_undisturbed(store, cache, prepared)
    assert_trained_alike(store, cache, tmp_path)


def test_a_training_whose_worker_is_dead_saves_before_it_ends(
    store: Store, prepared: Prepared, tmp_path: Path
) -> None:
    """Nobody reads its log any more when the keeper asks it to end."""
    prepared.photos["train"] = BATCHES // 2
    prepared.publish(store, Cache(tmp_path / "cache"))

    def training() -> bool:
        progress = read_progress(store, "r1", "train_scratch")
        return progress is not None and progress.phase == "training"

    with attempt(tmp_path / "one", subprocess.PIPE) as child:
        assert child.stdout is not None
        until(child, training)
        child.stdout.close()
        child.send_signal(signal.SIGTERM)
        child.wait(300)
    assert furthest(store, tmp_path) > (0, 0)


def test_killed_again_and_again_at_random_a_training_ends_as_an_undisturbed_one(
    store: Store,
    cache: Cache,
    prepared: Prepared,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """SIGKILL at random moments, each time on another machine with an empty disk."""
    prepared.photos["train"] = BATCHES // 2
    prepared.publish(store, cache)
    seed = int(time.time())
    print(f"the moments are drawn by seed {seed}")
    random = np.random.default_rng(seed)
    reached, log = [], tmp_path / "log"
    for kill in range(KILLS):
        with attempt(tmp_path / f"machine-{kill}", log, save_seconds=0.0) as child:
            before = furthest(store, tmp_path)
            until(child, lambda before=before: furthest(store, tmp_path) > before)
            time.sleep(random.uniform(0, 0.5))
            child.kill()
        reached.append(furthest(store, tmp_path))
        assert "Traceback" not in log.read_text()
    assert reached == sorted(reached), "a kill may lose batches, never a checkpoint"

    monkeypatch.setattr(keras.applications, "EfficientNetB0", b0_stand_in)
    manifest = run_step(SCRATCH, Config.parse(OPTIONS), "r1", store, cache).manifest
    assert manifest.measurements["resumed"] == KILLS
    train_undisturbed(store, cache, prepared)
    assert_trained_alike(store, cache, tmp_path)


def test_a_store_that_is_away_in_mid_training_costs_warnings_alone(
    prepared: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store of its own, stopped after the first checkpoint and started again after a failure."""
    settings = Settings(_env_file=None, home=tmp_path / "stack", store_port=free_ports(STORE_PORTS))
    for name, value in store_environment(settings).items():
        monkeypatch.setenv(name, value)
    start_store(settings)
    try:
        store = Store.from_environment()
        prepared.photos["train"] = BATCHES // 2
        prepared.publish(store, Cache(tmp_path / "cache"))
        log = tmp_path / "log"
        with attempt(tmp_path / "machine", log, save_seconds=0.0) as child:
            until(child, lambda: furthest(store, tmp_path) > (0, 0))
            stop_store(settings)
            failure = "the checkpoint could not be saved, training goes on"
            until(child, lambda: failure in log.read_text())
            start_store(settings)
            assert child.wait(300) == 0
        manifest = read_record(store, "r1", "train_scratch").manifest
        assert manifest.measurements["resumed"] == 0
        assert manifest.facts["epochs"] == OPTIONS["scratch_epochs"]
        assert not list(store.list("checkpoints/"))
        assert "Traceback" not in log.read_text()
    finally:
        stop_store(settings)
