"""The better network of a run against the promoted one, in the real store."""

import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import numpy as np
import pytest
from numpy.typing import NDArray

from tasks.champion import champion_step
from tasks.champion.duel import unseen
from tasks.contract.cache import Cache
from tasks.contract.champion import CHAMPION_KEY, read_champions, roll_back
from tasks.contract.config import ChampionConfig, CompareOptions, Config
from tasks.contract.errors import InputError
from tasks.contract.manifest import RunRecord
from tasks.contract.photos import Photo, PhotoSet
from tasks.contract.step import Artifact, Step, run_step
from tasks.contract.store import Store
from tasks.contract.training import PREDICTIONS_FILE, Predictions
from tests.compare.world import World

ROOT = Path(__file__).resolve().parents[2]


def told(training: Artifact, photos: PhotoSet) -> NDArray[np.float32]:
    """What a fabricated network says: what it said in its test."""
    made = Predictions.load(training.path(PREDICTIONS_FILE))
    rows = {photo: row for row, photo in enumerate(made.photos)}
    return made.probabilities[[rows[row.photo] for row in photos.photos]]


def never_asked(_training: Artifact, _photos: PhotoSet) -> NDArray[np.float32]:
    raise AssertionError("no network had to be asked")


def world(transfer: float, archive: str = "a1") -> World:
    def facts(step: str, made: dict[str, object]) -> dict[str, object]:
        if step == "preprocess":
            return made | {"archive": {"size": 1, "sha256": archive * 32}}
        right = transfer if step == "train_transfer" else 0.3
        return made | {"image_size": 32, "fit": "squash", "test": {"accuracy": right, "loss": 1}}

    return World(accuracy={"scratch": 0.3, "transfer": transfer}, test_photos=40, facts=facts)


def compared(made: World, run_id: str, store: Store, cache: Cache) -> Callable[..., RunRecord]:
    """The run up to its comparison; calling it brings about the step champion."""
    config = Config(force=True)
    made.publish(run_id, store, cache, config)
    compare = Step("compare", ("tasks.contract.training",), CompareOptions, lambda _job: {})
    run_step(compare, config, run_id, store, cache)

    def champion(answers: object = told, **options: object) -> RunRecord:
        config = ChampionConfig.parse(options)
        return run_step(champion_step(answers), config, run_id, store, cache)  # type: ignore[arg-type]

    return champion


def test_the_first_run_s_better_network_is_the_champion_and_stays_it_cheaply(
    store: Store, cache: Cache
) -> None:
    run = compared(world(0.8), "run-1", store, cache)
    assert run(never_asked, promote="never").manifest.facts["promoted"] is False
    assert store.read(CHAMPION_KEY) is None
    assert run(never_asked).manifest.facts["promoted"] is True
    before = store.read(CHAMPION_KEY)
    again, third = run(never_asked), run(never_asked)
    assert again.manifest.facts["reason"] == "it is the champion already"
    assert (again.cached, third.cached) == (False, True)
    assert run(never_asked, force=True).cached is False
    assert store.read(CHAMPION_KEY) == before
    store.delete(CHAMPION_KEY)
    assert run(never_asked).manifest.facts["promoted"] is True
    current = read_champions(store)[0].current
    assert current is not None
    assert current.training.step == "train_transfer"


@pytest.mark.parametrize(
    ("accuracy", "archive", "rule", "promoted"),
    [
        (0.95, "a1", "better", True),
        (0.95, "a1", "never", False),
        (0.72, "b2", "better", False),
        (0.72, "b2", "not worse", True),
        (0.72, "a1", "not worse", False),
        (0.68, "b2", "not worse", False),
        (0.45, "b2", "always", True),
    ],
)
def test_what_is_promoted_is_as_the_rule_says(
    accuracy: float, archive: str, rule: str, promoted: bool, store: Store, cache: Cache
) -> None:
    compared(world(0.7), "run-1", store, cache)()
    facts = compared(world(accuracy, archive), "run-2", store, cache)(promote=rule).manifest.facts
    assert facts["promoted"] is promoted, facts["reason"]
    assert facts["duel"]["challenger_accuracy"] == pytest.approx(accuracy, abs=0.01)
    assert facts["duel"]["champion_accuracy"] == pytest.approx(0.7, abs=0.01)
    champions, _ = read_champions(store)
    assert len(champions.champions) == 1 + promoted
    assert champions.champions[0].run_id == ("run-2" if promoted else "run-1")


def test_what_is_taken_back_is_promoted_again_only_by_force(store: Store, cache: Cache) -> None:
    compared(world(0.5), "run-1", store, cache)()
    with pytest.raises(InputError, match="no champion before the present one"):
        roll_back(store, "me", "")
    run = compared(world(0.9), "run-2", store, cache)
    assert run().manifest.facts["promoted"] is True
    command = [sys.executable, "-m", "tasks", "champion"]
    for action in (["rollback", "--why", "it took elks for bears"], ["show"]):
        answer = subprocess.run(
            [*command, *action], cwd=ROOT, env=os.environ, capture_output=True, text=True
        )
        assert answer.returncode == 0, answer.stdout + answer.stderr
        assert "Champion: train_transfer of run run-1" in answer.stdout
        assert "Withdrawn: train_transfer of run run-2" in answer.stdout
        assert "it took elks for bears" in answer.stdout
    facts = run().manifest.facts
    assert facts["promoted"] is False
    assert "took it back" in facts["reason"]
    assert run(force=True).manifest.facts["promoted"] is True


def test_of_two_runs_that_end_together_the_second_compares_with_the_first(
    store: Store, cache: Cache
) -> None:
    compared(world(0.5), "run-1", store, cache)()
    better, best = (
        compared(world(accuracy), run_id, store, cache)
        for run_id, accuracy in (("run-2", 0.75), ("run-3", 0.99))
    )
    met = Barrier(2)
    first = [True, True]

    def at_once(number: int) -> Callable[[Artifact, PhotoSet], NDArray[np.float32]]:
        def answers(training: Artifact, photos: PhotoSet) -> NDArray[np.float32]:
            if first[number]:  # both have read the same champion before either promotes
                first[number] = False
                met.wait(30)
            return told(training, photos)

        return answers

    with ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(run, at_once(n)) for n, run in enumerate((better, best))]
        facts = [run.result().manifest.facts for run in runs]
    champions, _ = read_champions(store)
    assert champions.champions[0].run_id == "run-3"
    assert champions.revision == len(champions.champions) == 1 + sum(f["promoted"] for f in facts)
    beaten = {f["champion"].rpartition(" ")[2] for f in facts if f["promoted"]}
    assert len(beaten) == sum(f["promoted"] for f in facts)  # nobody beat the same one twice


def test_photos_that_the_champion_saw_and_those_like_them_are_left_out() -> None:
    [base] = World(classes=["bear"], test_photos=1).photos()

    def photo(name: str, group: str, split: str = "test") -> Photo:
        return base.model_copy(update={"photo": name, "group": group, "split": split})

    before = [photo("a", "a", "train"), photo("b", "b", "validation"), photo("c", "c")]
    test = [photo(*pair) for pair in ("aa", "xa", "bb", "cc", "dd")]
    left, seen, alike = unseen(test, before)
    assert [row.photo for row in left] == ["c", "d"]
    assert (seen, alike) == (2, 1)
