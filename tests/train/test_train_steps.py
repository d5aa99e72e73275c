"""The two training steps, run as the workflow runs them, on a tiny data set."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from tasks.contract.cache import Cache
from tasks.contract.config import Config
from tasks.contract.errors import InputError
from tasks.contract.progress import read_progress
from tasks.contract.step import Step, read_record, run_step
from tasks.contract.store import Store, sha256_of
from tasks.contract.training import (
    HISTORY_FILE,
    LABELS_FILE,
    METRICS_FILE,
    MODEL_FILE,
    PREDICTIONS_FILE,
    WEIGHTS_FILE,
    Predictions,
    read_history,
)
from tasks.train import SCRATCH, TRANSFER
from tasks.train.backbone import empty_base
from tasks.train.inference import answers
from tasks.train.results import HISTORY_TABLE
from tasks.train.transfer import whole_network
from tests.train.conftest import Prepared, photo_set, result_of

pytestmark = pytest.mark.keras

OPTIONS = {
    "scratch_epochs": 2,
    "transfer_epochs": 3,
    "transfer_learning_rate": 0.01,
    "batch_size": 6,
    "weights": "lite0",
}
FILES = {
    MODEL_FILE,
    WEIGHTS_FILE,
    LABELS_FILE,
    HISTORY_FILE,
    HISTORY_TABLE,
    PREDICTIONS_FILE,
    METRICS_FILE,
}


def network_of(arm: str, weights: Path, classes: int) -> keras.Model:
    """An arm's network as a stranger would build it from the saved weights."""
    if arm == "scratch":
        network = keras.applications.EfficientNetB0(
            weights=None, classes=classes, input_shape=(32, 32, 3)
        )
    else:
        head = keras.Sequential(
            [keras.Input((1280,)), keras.layers.Dense(classes, activation="softmax")]
        )
        network = whole_network(empty_base(32), head, 32)
    network.load_weights(weights)
    return network


def own_weights(store: Store, base: keras.Model, folder: Path) -> dict[str, str]:
    """Put a network's weights into the bucket; returns the options that name them."""
    path = folder / "own.weights.h5"
    base.save_weights(path)
    sha256 = sha256_of(path)
    store.upload(path, "weights/own.weights.h5", sha256, "application/octet-stream")
    return {"weights": "weights/own.weights.h5", "weights_sha256": sha256}


@pytest.mark.parametrize(("arm", "step"), [("scratch", SCRATCH), ("transfer", TRANSFER)])
def test_an_arm_leaves_all_that_the_comparison_needs(
    arm: str, step: Step, store: Store, cache: Cache, prepared: Prepared, tmp_path: Path
) -> None:
    prepared.publish(store, cache)
    record = run_step(step, Config.parse(OPTIONS), "r1", store, cache)
    result = result_of(step.name, store, cache)
    facts, epochs = result.facts, {"scratch": 2, "transfer": 3}[arm]

    assert set(record.manifest.files) == FILES
    assert json.loads(result.path(LABELS_FILE).read_text()) == prepared.classes

    history = read_history(result.path(HISTORY_FILE))
    assert len(history) == epochs
    assert all(0 <= row.accuracy <= 1 and 0 <= row.val_accuracy <= 1 for row in history)
    assert [row.seconds for row in history] == sorted(row.seconds for row in history)
    with result.path(HISTORY_TABLE).open(newline="") as file:
        table = list(csv.DictReader(file))
    assert [float(row["val_loss"]) for row in table] == [row.val_loss for row in history]
    assert [row["epoch"] for row in table] == [str(n + 1) for n in range(epochs)]

    predictions = Predictions.load(result.path(PREDICTIONS_FILE))
    test = photo_set("test", store, cache)
    assert list(predictions.photos) == [photo.photo for photo in test.photos]
    np.testing.assert_array_equal(predictions.labels, test.labels)
    assert predictions.probabilities.dtype == np.float32
    np.testing.assert_allclose(predictions.probabilities.sum(axis=1), 1, atol=1e-5)

    # The saved weights are of the network that was tested.
    link = tmp_path / WEIGHTS_FILE
    link.symlink_to(result.path(WEIGHTS_FILE))
    again = network_of(arm, link, 2).predict(test.pixels(range(len(test))), verbose=0)
    np.testing.assert_allclose(again, predictions.probabilities, atol=1e-5)

    right = int((predictions.predicted == test.labels).sum())
    chosen = predictions.probabilities[np.arange(len(test)), test.labels].clip(1e-7)
    assert facts["test"]["photos"] == 10
    assert facts["test"]["correct"] == right
    assert facts["test"]["accuracy"] == right / 10
    assert facts["test"]["loss"] == pytest.approx(-np.log(chosen).mean(), rel=1e-5)
    assert facts["arm"] == arm
    assert facts["epochs"] == epochs
    assert facts["photos"] == {"train": 16, "validation": 6, "test": 10}
    assert facts["parameters"] == {
        "total": 4_049_571 + 2 * 1281,
        "trained": {"scratch": 4_007_548 + 2 * 1281, "transfer": 2 * 1281}[arm],
    }
    assert facts["weights"]["source"] == {"scratch": "none", "transfer": "lite0"}[arm]
    assert record.manifest.measurements["train_seconds"] >= history[-1].seconds
    assert record.manifest.measurements["photos_per_second"] > 0

    progress = read_progress(store, "r1", step.name)
    assert progress is not None
    assert (progress.phase, progress.epoch, progress.epochs) == ("finished", epochs, epochs)
    assert progress.curves["val_accuracy"] == [row.val_accuracy for row in history]


def test_epochs_on_small_photos_are_stated_where_there_are_any(
    store: Store, cache: Cache, prepared: Prepared
) -> None:
    prepared.publish(store, cache)
    facts = run_step(SCRATCH, Config.parse(OPTIONS), "r1", store, cache).manifest.facts
    assert (facts["early_epochs"], facts["early_side"]) == (0, None)
    prepared.image_size = 64
    prepared.publish(store, cache, "r2")
    facts = run_step(SCRATCH, Config.parse(OPTIONS), "r2", store, cache).manifest.facts
    assert facts["epochs"] == 2
    assert (facts["early_epochs"], facts["early_side"]) == (1, 32)


def test_the_frozen_network_does_not_change_and_the_head_learns(
    store: Store, cache: Cache, prepared: Prepared, tmp_path: Path
) -> None:
    """The bug of the public lab: nothing was frozen. Own weights show what moved."""
    base = empty_base(32)
    options = OPTIONS | own_weights(store, base, tmp_path)
    prepared.publish(store, cache)
    run_step(TRANSFER, Config.parse(options), "r1", store, cache)
    result = result_of("train_transfer", store, cache)

    link = tmp_path / WEIGHTS_FILE
    link.symlink_to(result.path(WEIGHTS_FILE))
    network = network_of("transfer", link, 2)
    kept = next(layer for layer in network.layers if layer.name.startswith("efficientnet"))
    for before, after in zip(base.get_weights(), kept.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)
    assert result.facts["weights"]["sha256"] == options["weights_sha256"]

    # The tested network is the head on the features that the head was trained on.
    test = photo_set("test", store, cache)
    features = answers(base, test, "features of test")
    assert features.shape == (10, 1280)
    head = network.layers[-1]
    predictions = Predictions.load(result.path(PREDICTIONS_FILE))
    np.testing.assert_allclose(head.predict(features, verbose=0), predictions.probabilities, 1e-4)
    history = read_history(result.path(HISTORY_FILE))
    assert history[-1].loss < history[0].loss


def test_a_second_run_is_a_cache_hit_without_tensorflow(
    store: Store, store_env: dict[str, str], cache: Cache, prepared: Prepared, tmp_path: Path
) -> None:
    options = OPTIONS | own_weights(store, empty_base(32), tmp_path)
    prepared.publish(store, cache)
    run_step(TRANSFER, Config.parse(options), "r1", store, cache)
    prepared.publish(store, cache, "r2")
    arguments = ["train_transfer", "--run-id", "r2", "--config", json.dumps(options)]
    code = (
        "import sys; from tasks.__main__ import main\n"
        f"status = main({arguments})\n"
        "assert 'tensorflow' not in sys.modules and 'keras' not in sys.modules\n"
        "sys.exit(status)"
    )
    environment = os.environ | store_env | {"WILDLIFE_CACHE": str(cache.root)}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    assert read_record(store, "r2", "train_transfer").cached

    # Whoever watches the second run sees the curves of the first.
    trained = read_progress(store, "r1", "train_transfer")
    shown = read_progress(store, "r2", "train_transfer")
    assert trained is not None
    assert shown is not None
    assert (shown.phase, shown.epoch) == ("cached", 3)
    assert shown.curves == trained.curves


def test_a_split_without_photos_is_one_clear_line(
    store: Store, cache: Cache, prepared: Prepared
) -> None:
    prepared.photos["validation"] = 0
    prepared.publish(store, cache)
    with pytest.raises(InputError, match="validation split has no photos"):
        run_step(SCRATCH, Config.parse(OPTIONS), "r1", store, cache)


def test_photos_too_small_for_the_network_are_one_clear_line(
    store: Store, cache: Cache, prepared: Prepared
) -> None:
    prepared.image_size = 16
    prepared.publish(store, cache)
    with pytest.raises(InputError, match=r"16 x 16 pixels are too small.*image_size to 32"):
        run_step(SCRATCH, Config.parse(OPTIONS), "r1", store, cache)
