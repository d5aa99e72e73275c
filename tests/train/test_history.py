"""What both arms share: the order of the photos, the history as it grows, and when to stop."""

import logging
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest

from embedded.ports import free_ports
from tasks.contract.cache import Cache
from tasks.contract.config import ScratchOptions
from tasks.contract.errors import InputError
from tasks.contract.photos import PhotoSet
from tasks.contract.progress import read_progress
from tasks.contract.store import Store, StoreSettings
from tasks.contract.training import Epoch
from tasks.train.fit import (
    Batches,
    Data,
    History,
    answers,
    compile_classifier,
    forward_batch,
    prepare,
)
from tests.train.conftest import Prepared, photo_set, result_of

pytestmark = pytest.mark.keras


@pytest.fixture
def train(store: Store, cache: Cache, prepared: Prepared) -> PhotoSet:
    prepared.publish(store, cache)
    return photo_set("train", store, cache)


def small_network() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((32, 32, 3)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(2, activation="softmax"),
        ]
    )


def fake_job(store: Store, **options: Any) -> Any:
    """The part of a job that a history looks at."""
    return SimpleNamespace(store=store, run_id="r1", options=ScratchOptions(**options))


def fitted(store: Store, train: PhotoSet, seed: int = 5, **options: Any) -> History:
    prepare(seed)
    model = small_network()
    compile_classifier(model, 0.01)
    job = fake_job(store, **options)
    history = History(job, "train_scratch", 3, len(train), "scratch_learning_rate")
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


def rows_seen(batches: Batches, epochs: int, monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """Which rows Keras asked for, in order, epoch by epoch."""
    asked: list[int] = []
    pixels = PhotoSet.pixels

    def spy(self: PhotoSet, rows: Any) -> Any:
        asked.extend(int(row) for row in rows)
        return pixels(self, rows)

    model = small_network()
    compile_classifier(model, 0.01)
    with monkeypatch.context() as patch:
        patch.setattr(PhotoSet, "pixels", spy)
        model.fit(batches, epochs=epochs, shuffle=False, verbose=0)
    # Keras looks at the first batches once more to learn their shape.
    length = sum(len(batches[index][1]) for index in range(len(batches)))
    asked = asked[-epochs * length :]
    return [asked[start : start + length] for start in range(0, len(asked), length)]


def test_every_epoch_shuffles_the_whole_set_anew(
    train: PhotoSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    epochs = rows_seen(Batches(train, 6, seed=7), 3, monkeypatch)
    assert len(epochs) == 3
    assert all(sorted(epoch) == list(range(len(train))) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3
    first_half = [set(epoch[: len(train) // 2]) for epoch in epochs]
    assert any(half != first_half[0] for half in first_half)


def test_batches_go_on_where_others_stopped(
    train: PhotoSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = rows_seen(Batches(train, 6, seed=7), 3, monkeypatch)
    assert rows_seen(Batches(train, 6, seed=7, epoch=1), 2, monkeypatch) == whole[1:]
    rest = Batches(train, 6, seed=7, epoch=1, done=2)
    assert rows_seen(rest, 1, monkeypatch) == [whole[1][12:]]


def test_batches_without_a_seed_keep_the_order(train: PhotoSet) -> None:
    batches = Batches(train, 6)
    assert len(batches) == 3
    labels = np.concatenate([batches[index][1] for index in range(len(batches))])
    np.testing.assert_array_equal(labels, train.labels)
    np.testing.assert_array_equal(batches[2][0], train.pixels(range(12, 16)))
    assert batches[0][0].dtype == np.uint8


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
    progress = read_progress(store, "r1", "train_scratch")
    assert progress is not None
    assert (progress.phase, progress.epoch, progress.epochs) == ("training", 3, 3)
    assert progress.curves["loss"] == [epoch.loss for epoch in history.epochs]
    assert progress.seconds_left == 0


def test_a_history_that_goes_on_counts_what_was_trained_before_and_rates_what_was_not(
    store: Store, train: PhotoSet, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    prepare(5)
    model = small_network()
    compile_classifier(model, 0.01)
    history = History(fake_job(store), "train_scratch", 3, len(train), "scratch_learning_rate")
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
    with pytest.raises(InputError, match=r"epoch 1: lower scratch_learning_rate \(now 0.5\)"):
        fitted(store, train, scratch_learning_rate=0.5)


def test_answers_are_those_of_the_model_in_the_order_of_the_photos(train: PhotoSet) -> None:
    model = small_network()
    found = answers(model, train, "test")
    expected = model(train.pixels(range(len(train))).astype(np.float32), training=False)
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize(("image_size", "photos"), [(32, 64), (224, 64), (448, 16), (600, 8)])
def test_large_photos_pass_through_the_network_in_small_batches(
    image_size: int, photos: int
) -> None:
    assert forward_batch(image_size) == photos


def test_a_damaged_record_is_found_before_training(
    store: Store, cache: Cache, prepared: Prepared, train: PhotoSet
) -> None:
    """The cache checks files by digest; a record file that is whole but wrong is caught, too."""
    artifact = result_of("preprocess", store, cache)
    path = artifact.path("train-00000.rgb")
    content = bytearray(path.read_bytes())
    content[5] ^= 255

    class Damaged:
        facts = artifact.facts

        def path(self, name: str) -> Path:
            return damaged if name == "train-00000.rgb" else artifact.path(name)

    damaged = path.with_name("damaged")
    damaged.write_bytes(content)
    with pytest.raises(InputError, match=r"record 0 of train-00000.rgb .* is damaged"):
        Data.of(SimpleNamespace(inputs={"preprocess": Damaged()}))  # type: ignore[arg-type]
