"""Features are computed once for the same photos, weights and view, whatever else a run changes."""

import io
import logging
from itertools import combinations

import keras
import numpy as np
import pytest

from tasks.contract.cache import Cache
from tasks.contract.config import Config
from tasks.contract.step import run_step
from tasks.contract.store import Store
from tasks.contract.training import PREDICTIONS_FILE, Predictions, read_history
from tasks.train import TRANSFER
from tasks.train.backbone import empty_base
from tasks.train.transfer import thaw_top
from tests.train.conftest import Prepared, result_of

pytestmark = pytest.mark.keras

OPTIONS = {"transfer_epochs": 2, "batch_size": 6, "weights": "lite0", "feature_views": 2}


def computed(store: Store, cache: Cache, run_id: str, **options: object) -> int:
    """How many views a training had to compute."""
    config = Config.parse(OPTIONS | options)
    manifest = run_step(TRANSFER, config, run_id, store, cache).manifest
    return int(manifest.measurements["features_computed"])


def test_a_run_that_trains_another_head_finds_the_features(
    store: Store, cache: Cache, prepared: Prepared, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    for run_id in ("r1", "r2", "r3", "r4", "r5"):
        prepared.publish(store, cache, run_id)
    assert computed(store, cache, "r1") == 2
    assert computed(store, cache, "r2", transfer_epochs=3, transfer_learning_rate=0.01) == 0
    assert "the features of all photos were there already" in caplog.text
    assert computed(store, cache, "r3", feature_views=3) == 1
    # Random views are drawn by the seed; the photos themselves are not.
    assert computed(store, cache, "r4", seed=7) == 1
    assert computed(store, cache, "r5", force=True) == 2


def test_features_that_were_there_cost_what_they_cost_before(
    store: Store, cache: Cache, prepared: Prepared
) -> None:
    """Or the report would say that a network is trained in no time."""
    times = []
    for run_id, epochs in (("r1", 2), ("r2", 3)):
        prepared.publish(store, cache, run_id)
        config = Config.parse(OPTIONS | {"transfer_epochs": epochs})
        times.append(run_step(TRANSFER, config, run_id, store, cache).manifest.measurements)
    first, again = times
    assert again["features_computed"] == 0
    assert again["feature_seconds"] > 0.7 * first["feature_seconds"] > 1
    assert again["train_seconds"] > again["feature_seconds"]


def test_each_view_has_features_of_its_own(store: Store, cache: Cache, prepared: Prepared) -> None:
    prepared.publish(store, cache)
    assert computed(store, cache, "r1", feature_views=3) == 3
    keys = [head.key for head in store.list("artifacts/features/") if "train.npy" in head.key]
    views = [np.load(io.BytesIO(store.read(key) or b"")) for key in keys]
    assert [view.shape for view in views] == [(16, 1280)] * 3
    for one, other in combinations(views, 2):
        assert not np.allclose(one, other, atol=0.01)


def test_other_photos_have_other_features(store: Store, cache: Cache, prepared: Prepared) -> None:
    prepared.publish(store, cache)
    assert computed(store, cache, "r1", feature_views=1) == 1
    prepared.photos["validation"] += 1
    prepared.publish(store, cache, "r2")
    assert computed(store, cache, "r2", feature_views=1) == 1


def test_fine_tuning_follows_the_head_and_leaves_the_statistics_alone(
    store: Store, cache: Cache, prepared: Prepared
) -> None:
    prepared.publish(store, cache)
    config = Config.parse(OPTIONS | {"fine_tune_epochs": 1})
    manifest = run_step(TRANSFER, config, "r1", store, cache).manifest
    result = result_of("train_transfer", store, cache)
    assert len(read_history(result.path("history.json"))) == 3
    assert manifest.facts["parameters"]["trained"] > 1_000_000
    assert manifest.measurements["resumed"] == 0

    link = cache.root / "model.keras"
    link.symlink_to(result.path("model.keras"))
    network = keras.models.load_model(link)
    prepared.publish(store, cache, "r2")
    run_step(TRANSFER, Config.parse(OPTIONS), "r2", store, cache)
    frozen_link = cache.root / "frozen.keras"
    frozen_link.symlink_to(result_of("train_transfer", store, cache, "r2").path("model.keras"))
    frozen = keras.models.load_model(frozen_link)
    changed = 0
    for tuned, before in zip(network.layers[1].layers, frozen.layers[1].layers, strict=True):
        moved = any(
            not np.array_equal(a, b)
            for a, b in zip(tuned.get_weights(), before.get_weights(), strict=True)
        )
        assert not moved or tuned.trainable_weights, tuned.name
        changed += moved
    assert changed > 10  # not all: squeeze-excite layers of Lite0 are laid in as zeros
    predictions = Predictions.load(result.path(PREDICTIONS_FILE))
    assert np.isfinite(predictions.probabilities).all()


def test_the_last_blocks_thaw_without_their_normalisations() -> None:
    base = empty_base(32)
    thaw_top(base, 2)
    thawed = {layer.name for layer in base.layers if layer.trainable_weights}
    assert {name.split("_")[0][:6] for name in thawed} == {"block6", "block7", "top"}
    assert not [name for name in thawed if name.endswith("bn")]
