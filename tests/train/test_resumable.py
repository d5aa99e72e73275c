"""A training that was stopped ends where an undisturbed one ends, however it was stopped."""

import logging
import os
import re
import signal
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest

from tasks.contract.cache import Cache
from tasks.contract.config import ScratchOptions
from tasks.contract.progress import read_progress
from tasks.contract.store import Store, StoreSettings
from tasks.train import resumable
from tasks.train.augment import RandomViews
from tasks.train.compiling import compile_classifier
from tasks.train.data import Data
from tasks.train.device import prepare
from tasks.train.history import History
from tasks.train.recipes.recipe import Recipe
from tasks.train.resumable import Stage, fit_resumably
from tests.train.conftest import Prepared, photo_set

pytestmark = pytest.mark.keras

EPOCHS, BATCHES = 3, 5
#: With everything that has a state or depends on where a training is.
RECIPE = Recipe(
    epochs=EPOCHS,
    batch_size=4,
    learning_rate=0.01,
    warm_up_epochs=1,
)


class StopAfter(History):
    """A history that has a signal sent to this process once so many batches are trained."""

    after: int | None = None
    number = signal.SIGTERM

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        super().on_train_batch_end(batch, logs)
        if len(self.epochs) * BATCHES + self.batches == self.after:
            os.kill(os.getpid(), self.number)


class Training:
    """One process' part of a training: a small network with everything that has a state.

    Its first epoch sees smaller photos than the others.
    """

    def __init__(self, job: Any, data: Data, after: int | None = None) -> None:
        prepare(job.options.seed)
        self.job = job
        self.stages = [
            Stage(1, partial(self._compiled, 16)),
            Stage(EPOCHS, partial(self._compiled, 32)),
        ]
        self.history = StopAfter(
            job, "train_scratch", EPOCHS, len(data.train), "scratch_learning_rate", 0.01
        )
        self.history.after = after
        self._data = data
        self.resumed: int | None = None

    def _compiled(self, side: int) -> keras.Model:
        """The network that sees photos of that side; ``model`` is the last one."""
        model = keras.Sequential(
            [
                keras.Input((32, 32, 3)),
                RandomViews(1, smallest_view=0.7, side=side),
                keras.layers.Rescaling(1 / 255),
                keras.layers.Conv2D(4, 3, strides=4),
                keras.layers.BatchNormalization(momentum=0.8),
                keras.layers.GlobalAveragePooling2D(),
                keras.layers.Dropout(0.3),
                keras.layers.Dense(2, activation="softmax"),
            ]
        )
        compile_classifier(model, RECIPE, len(self._data.train))
        model.run_eagerly = True  # so few batches take longer to trace than to train
        self.model = model
        return model

    def run(self) -> "Training":
        self.resumed = fit_resumably(
            self.job, "train_scratch", self.stages, self._data, self.history, RECIPE
        )
        return self

    @property
    def measures(self) -> list[tuple[float, ...]]:
        return [
            (epoch.accuracy, epoch.loss, epoch.val_accuracy, epoch.val_loss)
            for epoch in self.history.epochs
        ]


@pytest.fixture
def data(store: Store, cache: Cache, prepared: Prepared) -> Data:
    prepared.photos["train"] = 9  # of two classes: the last of five batches is a smaller one
    prepared.publish(store, cache)
    splits = [photo_set(split, store, cache) for split in ("train", "validation", "test")]
    return Data(prepared.classes, 32, "squash", *splits)


@pytest.fixture
def make_job(store: Store, tmp_path: Path) -> Any:
    (tmp_path / "scratch").mkdir()

    def make(store: Store = store, run_id: str = "r1", **changes: Any) -> Any:
        known = {"fingerprint": "f" * 64, "forced": False, "until_published": []} | changes
        options = ScratchOptions(class_weights=True)
        scratch = tmp_path / "scratch"
        return SimpleNamespace(
            store=store, scratch=scratch, run_id=run_id, options=options, **known
        )

    return make


def stopped(job: Any, data: Data, after: int) -> None:
    with pytest.raises(SystemExit) as exit_:
        Training(job, data, after).run()
    assert exit_.value.code == 143


def assert_ends_the_same(one: Training, other: Training) -> None:
    np.testing.assert_allclose(one.measures, other.measures, rtol=1e-4, atol=1e-5)
    for mine, theirs in zip(one.model.variables, other.model.variables, strict=True):
        np.testing.assert_allclose(mine.numpy(), theirs.numpy(), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("after", "place"),
    [
        ([7], "epoch 2 after 2 of 5 batches"),
        ([10], "epoch 2 after its validation"),
        ([2, 4, 11], "epoch 3 after 1 of 5 batches"),
    ],
    ids=["in mid-epoch", "at an epoch's end", "thrice"],
)
def test_a_stopped_training_ends_as_an_undisturbed_one(
    after: list[int],
    place: str,
    make_job: Any,
    data: Data,
    store: Store,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    whole = Training(make_job(fingerprint="e" * 64), data).run()
    assert whole.resumed == 0
    for batches in after:
        stopped(make_job(), data, batches)
    assert f"stopped by SIGTERM in {place}: checkpoint saved, a retry goes on from there" in (
        caplog.messages
    )
    rest = Training(make_job(), data).run()
    assert_ends_the_same(rest, whole)
    assert rest.resumed == len(after)
    line = re.escape(f"going on from the checkpoint of {place}, made ")
    assert re.search(rf"{line}\d{{4}}-\d\d-\d\d \d\d:\d\d UTC by run r1", caplog.text)

    seconds = [epoch.seconds for epoch in rest.history.epochs]
    assert seconds == sorted(seconds)
    assert rest.history.seconds >= seconds[-1]
    progress = read_progress(store, "r1", "train_scratch")
    assert progress is not None
    assert (progress.epoch, progress.epochs) == (EPOCHS, EPOCHS)
    assert progress.curves["loss"] == [epoch.loss for epoch in rest.history.epochs]


def test_between_stops_a_checkpoint_is_saved_when_the_last_is_old(
    make_job: Any, data: Data, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An error in the training is as sudden as SIGKILL is."""
    caplog.set_level(logging.INFO)

    class Sudden(Exception):  # noqa: N818
        pass

    def end(self: StopAfter, batch: int, logs: Any = None) -> None:
        History.on_train_batch_end(self, batch, logs)
        if len(self.epochs) == 1 and self.batches == 3:
            raise Sudden

    monkeypatch.setattr(resumable, "SAVE_SECONDS", 0.0)
    training = Training(make_job(), data)
    monkeypatch.setattr(training.history, "on_train_batch_end", partial(end, training.history))
    with pytest.raises(Sudden):
        training.run()
    assert re.search(r"checkpoint saved: 0 MB in \d+\.\d s, again every 0 s", caplog.text)
    rest = Training(make_job(), data).run()
    assert "going on from the checkpoint of epoch 2 after 2 of 5 batches" in caplog.text
    assert_ends_the_same(rest, Training(make_job(fingerprint="e" * 64), data).run())


def test_stopped_at_its_very_end_a_training_has_nothing_left_to_do(
    make_job: Any, data: Data, store: Store
) -> None:
    stopped(make_job(), data, EPOCHS * BATCHES)
    rest = Training(make_job(), data).run()
    assert len(rest.history.epochs) == EPOCHS
    progress = read_progress(store, "r1", "train_scratch")
    assert progress is not None
    assert (progress.epoch, progress.phase) == (EPOCHS, "preparing")


def test_a_training_shorter_than_that_saves_none(make_job: Any, data: Data, store: Store) -> None:
    Training(make_job(), data).run()
    assert not list(store.list("checkpoints/"))


def test_with_nothing_good_to_go_on_from_training_begins_anew(
    make_job: Any, data: Data, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    stopped(make_job(), data, 7)
    (head,) = store.list("checkpoints/")
    store.write(head.key, b"this is no checkpoint")
    training = Training(make_job(), data).run()
    assert "is not used" in caplog.text
    assert training.resumed == 0
    assert len(training.history.epochs) == EPOCHS


def test_a_store_that_takes_no_checkpoint_does_not_end_the_training(
    make_job: Any,
    data: Data,
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    settings = store.settings
    refused = StoreSettings(
        settings.bucket, settings.endpoint_url, access_key="unknown", secret_key="wrong"
    )
    monkeypatch.setattr(resumable, "SAVE_SECONDS", 0.0)
    job = make_job(Store(refused))
    training = Training(job, data).run()
    assert len(training.history.epochs) == EPOCHS
    assert "the checkpoint could not be saved, training goes on" in caplog.text
    assert "again every" not in caplog.text

    caplog.set_level(logging.INFO)
    stopped(job, data, 7)
    assert "no checkpoint of it, a retry goes on from an earlier one or begins anew" in caplog.text
