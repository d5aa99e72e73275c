"""The steps ``champion`` and ``promote`` as the command line has them: with what runs a network."""

import pytest

from tasks.contract.cache import Cache
from tasks.contract.config import Config
from tasks.contract.step import run_step
from tasks.contract.store import Store
from tasks.contract.training import PREDICTIONS_FILE, Predictions
from tasks.promotion import _answers
from tasks.registry import STEP_NAMES, step_named
from tasks.train import TRANSFER
from tests.train.conftest import Prepared, photo_set, result_of


@pytest.mark.keras
def test_a_champion_answers_as_it_did_in_its_own_test(store: Store, cache: Cache) -> None:
    Prepared().publish(store, cache)
    options = {"transfer_epochs": 1, "batch_size": 6, "weights": "lite0", "feature_views": 1}
    run_step(TRANSFER, Config.parse(options), "r1", store, cache)
    training = result_of("train_transfer", store, cache)
    expected = Predictions.load(training.path(PREDICTIONS_FILE)).probabilities
    answers = _answers(training, photo_set("test", store, cache))
    assert answers == pytest.approx(expected, abs=1e-3)


def test_each_step_is_found_by_its_name() -> None:
    assert [step_named(name).name for name in STEP_NAMES] == list(STEP_NAMES)
