"""The steps ``champion`` and ``promote`` as the command line has them: with what runs networks."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tasks.contract.cache import Cache
from tasks.contract.champion import read_champions
from tasks.contract.config import Config, ScratchOptions
from tasks.contract.step import Step, read_record, run_step
from tasks.contract.store import Store
from tasks.contract.training import PREDICTIONS_FILE, Predictions
from tasks.promotion import _answers
from tasks.registry import STEP_NAMES, step_named
from tasks.train import TRANSFER
from tests.train.conftest import Prepared, photo_set, result_of

ROOT = Path(__file__).resolve().parent.parent
OPTIONS = {"batch_size": 6, "weights": "lite0", "feature_views": 1}
ROUNDS = 3


@pytest.mark.keras
def test_a_champion_answers_as_it_did_in_its_own_test(store: Store, cache: Cache) -> None:
    Prepared().publish(store, cache)
    run_step(TRANSFER, Config.parse(OPTIONS | {"transfer_epochs": 1}), "r1", store, cache)
    training = result_of("train_transfer", store, cache)
    expected = Predictions.load(training.path(PREDICTIONS_FILE)).probabilities
    answers = _answers(training, photo_set("test", store, cache))
    assert answers == pytest.approx(expected, abs=1e-3)


def _train(run_id: str, epochs: int, store: Store, cache: Cache) -> None:
    """A run with a real network, and one from scratch that is not worth a look."""
    worse = {"test": {"accuracy": 0.0, "loss": 9.0}}
    scratch = Step("train_scratch", ("tasks.contract.training",), ScratchOptions, lambda _: worse)
    Prepared().publish(store, cache, run_id)
    config = Config.parse(OPTIONS | {"transfer_epochs": epochs})
    for step in (scratch, TRANSFER):
        run_step(step, config, run_id, store, cache)


def _started(run_id: str, cache: Cache) -> "subprocess.Popen[str]":
    """What the workflow does after a run's trainings, in a process of its own."""
    tasks = f"{sys.executable} -m tasks"
    options = f"--run-id {run_id} --config '{json.dumps({'promote': 'always'})}'"
    return subprocess.Popen(
        f"{tasks} champion {options} && {tasks} promote {options}",
        shell=True,
        cwd=ROOT,
        env=os.environ | {"WILDLIFE_CACHE": str(cache.root)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.keras
def test_two_runs_that_end_together_never_beat_the_same_champion(
    store: Store, cache: Cache
) -> None:
    """Whoever is second is compared with the first, though the rule would promote anybody.

    Of each round both are promoted, one after the other: were the second's put not conditional, or
    its duel a stale one, the first would be lost, or beaten by numbers against somebody else.
    """
    for number in range(ROUNDS):
        before, _ = read_champions(store)
        runs = [f"round-{number}-{name}" for name in "ab"]
        for place, run_id in enumerate(runs):
            _train(run_id, 1 + 2 * number + place, store, cache)
        for process in [_started(run_id, cache) for run_id in runs]:
            output, _ = process.communicate(timeout=300)
            assert process.returncode == 0, output
        after, _ = read_champions(store)
        second, first = after.champions[:2]
        assert {first.run_id, second.run_id} == set(runs)
        assert after.champions[2:] == before.champions, "nobody was lost"
        assert after.revision == before.revision + 2
        facts = {one: read_record(store, one, "promote").manifest.facts for one in runs}
        assert [one["promoted"] for one in facts.values()] == [True, True]
        beaten = before.current.name if before.current else ""
        assert facts[first.run_id]["champion"] == beaten
        assert facts[second.run_id]["champion"] == first.name
        assert facts[second.run_id]["duel"]["compared"] == 10


def test_each_step_is_found_by_its_name() -> None:
    assert [step_named(name).name for name in STEP_NAMES] == list(STEP_NAMES)
