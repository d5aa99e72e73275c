"""What both arms share: the order of the photos, the history as it grows, and when to stop."""

import logging
import re
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest

from embedded.ports import free_ports
from tasks.contract.config import ScratchOptions
from tasks.contract.errors import InputError
from tasks.contract.photos import PhotoSet
from tasks.contract.progress import TrainProgress, read_progress
from tasks.contract.store import Store, StoreSettings
from tasks.contract.training import Epoch
from tasks.train.compiling import compile_classifier
from tasks.train.data import Batches
from tasks.train.device import prepare
from tasks.train.history import History
from tasks.train.recipes.recipe import Recipe
from tests.train.conftest import small_network

pytestmark = pytest.mark.keras

RECIPE = Recipe(epochs=3, batch_size=6, learning_rate=0.01)


def fake_job(store: Store, **options: Any) -> Any:
    """The part of a job that a history looks at."""
    return SimpleNamespace(store=store, run_id="r1", options=ScratchOptions(**options))


def fitted(store: Store, train: PhotoSet, seed: int = 5, **options: Any) -> History:
    prepare(seed)
    model = small_network()
    compile_classifier(model, RECIPE, len(train))
    job = fake_job(store, **options)
    history = History(job, "train_scratch", 3, len(train), "scratch_learning_rate", 0.5)
    batches = Batches(train, 6, seed)
    model.fit(
        batches,
        validation_data=Batches(train, 6),
        epochs=3,
        shuffle=False,
        callbacks=[history],
        verbose=0,
    )
    return history


def test_the_same_seed_trains_the_same_network(store: Store, train: PhotoSet) -> None:
    first, again, other = (fitted(store, train, seed=seed) for seed in (5, 5, 6))
    losses = [[epoch.loss for epoch in history.epochs] for history in (first, again, other)]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)
    assert not np.allclose(losses[0], losses[2], rtol=1e-5)


def test_each_epoch_is_one_log_line(
    store: Store, train: PhotoSet, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    fitted(store, train)
    lines = [line for line in caplog.messages if line.startswith("epoch ")]
    assert len(lines) == 3
    pattern = (
        r"epoch 2/3: accuracy \d\.\d+ loss \d+\.\d+, validation \d\.\d+ \d+\.\d+, "
        r"[\d,]+\.\d photos/s, \d+ s left"
    )
    assert re.fullmatch(pattern, lines[1])


def test_the_history_is_published_as_live_curves(store: Store, train: PhotoSet) -> None:
    history = fitted(store, train)
    history.phase("evaluating")  # waits until all is written
    progress = read_progress(store, "r1", "train_scratch")
    assert progress is not None
    assert (progress.phase, progress.epoch, progress.epochs) == ("evaluating", 3, 3)
    assert progress.curves["loss"] == [epoch.loss for epoch in history.epochs]
    assert progress.seconds_left == 0


def test_a_history_that_goes_on_counts_what_was_trained_before_and_rates_what_was_not(
    store: Store, train: PhotoSet, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    prepare(5)
    model = small_network()
    compile_classifier(model, RECIPE, len(train))
    history = History(fake_job(store), "train_scratch", 3, len(train), "scratch_learning_rate", 0.5)
    before = Epoch(accuracy=0.5, loss=0.7, val_accuracy=0.4, val_loss=0.8, seconds=500.0)
    history.go_on_from([before], batches=2, seconds=600.0)
    assert history.seconds == 600
    model.fit(
        Batches(train, 6, 5, epoch=1, done=2),
        validation_data=Batches(train, 6),
        initial_epoch=1,
        epochs=2,
        shuffle=False,
        callbacks=[history],
        verbose=0,
    )
    assert (len(history.epochs), history.batches, history.steps) == (2, 0, 3)
    assert history.epochs[0] == before
    trained = history.epochs[1].seconds - 600
    assert 0 < trained < 60
    history.phase("training")  # publishes it, however soon after the last time
    progress = read_progress(store, "r1", "train_scratch")
    assert progress is not None
    assert (progress.epoch, progress.seconds) == (2, history.epochs[1].seconds)
    assert progress.curves["loss"] == [row.loss for row in history.epochs]
    # It has trained the last 5 of the 16 photos, and one epoch is left.
    assert progress.photos_per_second == pytest.approx(5 / trained, rel=0.1, abs=0.1)
    assert progress.seconds_left is not None
    assert trained * 0.5 < progress.seconds_left < trained * 3.5


def after_an_epoch(store: Store, train: PhotoSet, costs: list[float]) -> TrainProgress:
    """What is told after the first of three epochs that cost so much each."""
    prepare(5)
    model = small_network()
    compile_classifier(model, RECIPE, len(train))
    history = History(fake_job(store), "train_scratch", 3, len(train), "scratch_learning_rate", 0.5)
    history.costs = costs
    model.fit(
        Batches(train, 6, 5), validation_data=Batches(train, 6), callbacks=[history], verbose=0
    )
    history.phase("training")  # publishes it, however soon after the last time
    progress = read_progress(store, "r1", "train_scratch")
    assert progress is not None
    assert progress.epoch == 1
    return progress


def test_the_time_left_knows_that_later_epochs_cost_more(store: Store, train: PhotoSet) -> None:
    alike = after_an_epoch(store, train, [1, 1, 1]).seconds_left
    dearer = after_an_epoch(store, train, [1, 1, 1000]).seconds_left
    assert alike is not None
    assert dearer is not None
    assert dearer > 50 * alike


def test_what_nobody_knows_is_not_told_as_time_left(
    store: Store, train: PhotoSet, caplog: pytest.LogCaptureFixture
) -> None:
    """A head's epochs say nothing of the fine-tuning that follows."""
    caplog.set_level(logging.INFO)
    assert after_an_epoch(store, train, [0, 1, 1]).seconds_left is None
    assert "photos/s" in caplog.text
    assert "s left" not in caplog.text


def test_training_outlives_a_store_that_does_not_answer(
    store: Store, train: PhotoSet, caplog: pytest.LogCaptureFixture
) -> None:
    address = f"http://127.0.0.1:{free_ports(1)}"
    nowhere = StoreSettings("b", address, access_key="a", secret_key="b")
    history = fitted(Store(nowhere, patient=False), train)
    assert len(history.epochs) == 3
    assert "live curves could not be written" in caplog.text


def test_a_diverging_loss_stops_with_the_epoch_and_the_remedy(
    store: Store, train: PhotoSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Adam takes long to blow up at any rate that the option allows, so the loss is made to."""

    class Broken(keras.losses.Loss):
        def call(self, y_true: Any, y_pred: Any) -> Any:
            return keras.ops.sum(y_pred, axis=-1) * float("nan")

    monkeypatch.setattr(keras.losses, "SparseCategoricalCrossentropy", Broken)
    with pytest.raises(
        InputError, match=r"epoch 1: lower scratch_learning_rate \(now 0.5\); .* none was"
    ):
        fitted(store, train, scratch_learning_rate=0.5)
