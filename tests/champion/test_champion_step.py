"""The better network of a run against the promoted one, in the real store."""

import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Barrier
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tasks.champion import champion_step, promote_step
from tasks.champion.decide import Answers
from tasks.champion.duel import unseen
from tasks.contract.cache import Cache
from tasks.contract.champion import CHAMPION_KEY, note_answer, read_champions, roll_back
from tasks.contract.config import Config
from tasks.contract.decision import Decision
from tasks.contract.errors import InputError
from tasks.contract.manifest import RunRecord
from tasks.contract.photos import Photo, PhotoSet
from tasks.contract.step import Artifact, Facts, read_record, run_step
from tasks.contract.store import Store
from tasks.contract.training import PREDICTIONS_FILE
from tests.compare.world import World, told

ROOT = Path(__file__).resolve().parents[2]


def never_asked(_training: Artifact, _photos: PhotoSet) -> NDArray[np.float32]:
    raise AssertionError("no network had to be asked")


def world(transfer: float, archive: str = "a1") -> World:
    return World(accuracy={"scratch": 0.3, "transfer": transfer}, archive=archive, test_photos=40)


@dataclass
class Run:
    """A run whose trainings are done."""

    run_id: str
    store: Store
    cache: Cache

    def champion(self, answers: Answers = told, **options: Any) -> RunRecord:
        step, config = champion_step(answers), Config.parse(options)
        return run_step(step, config, self.run_id, self.store, self.cache)

    def promote(self, answers: Answers = never_asked, **options: Any) -> RunRecord:
        step, config = promote_step(answers), Config.parse(options)
        return run_step(step, config, self.run_id, self.store, self.cache)

    def both(self, answers: Answers = told, **options: Any) -> Facts:
        """What came of it."""
        self.champion(answers, **options)
        return self.promote(**options).manifest.facts


Trained = Callable[[World, str], Run]


@pytest.fixture
def trained(store: Store, cache: Cache) -> Trained:
    def train(made: World, run_id: str) -> Run:
        made.publish(run_id, store, cache, Config(force=True), champion=False)
        return Run(run_id, store, cache)

    return train


def test_the_first_run_s_better_network_is_the_champion(store: Store, trained: Trained) -> None:
    run = trained(world(0.8), "run-1")
    assert run.both(never_asked, promote="never")["promoted"] is False
    assert store.read(CHAMPION_KEY) is None
    decision = Decision.model_validate(run.champion(never_asked).manifest.facts)
    assert (decision.champion, decision.reason) == ("", "there is no champion yet")
    assert store.read(CHAMPION_KEY) is None, "the step champion decides, and changes nothing"
    assert run.promote().manifest.facts["promoted"] is True
    current = read_champions(store)[0].current
    assert current is not None
    assert (current.training.step, current.run_id) == ("train_transfer", "run-1")


def test_what_has_not_changed_is_found_again_by_the_very_next_run(
    store: Store, cache: Cache, trained: Trained
) -> None:
    """Also right after the first run promoted, and by each after it; the report stays as it was."""
    for transfer, archive in ((0.8, "a1"), (0.95, "b2")):
        made = world(transfer, archive)
        first = made.compare(store, cache, f"{archive}-1", force=True)  # as another world is
        Run(f"{archive}-1", store, cache).promote()
        before = store.read(CHAMPION_KEY)
        for number in (2, 3):
            run = Run(f"{archive}-{number}", store, cache)
            compared = made.compare(store, cache, run.run_id)
            assert read_record(store, run.run_id, "champion").cached
            assert compared.cached
            assert compared.manifest == first.manifest
            assert run.promote().cached
        assert store.read(CHAMPION_KEY) == before
    assert [one.run_id for one in read_champions(store)[0].champions] == ["b2-1", "a1-1"]


def test_a_promotion_that_is_gone_is_done_again(store: Store, trained: Trained) -> None:
    run = trained(world(0.8), "run-1")
    run.both()
    store.delete(CHAMPION_KEY)
    assert run.champion(never_asked).cached
    again = run.promote()
    assert (again.cached, again.manifest.facts["promoted"]) == (False, True)
    assert read_champions(store)[0].revision == 1


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
    accuracy: float, archive: str, rule: str, promoted: bool, store: Store, trained: Trained
) -> None:
    trained(world(0.7), "run-1").both()
    facts = trained(world(accuracy, archive), "run-2").both(promote=rule)
    assert facts["promoted"] is promoted, facts["reason"]
    assert facts["duel"]["challenger_accuracy"] == pytest.approx(accuracy, abs=0.01)
    assert facts["duel"]["champion_accuracy"] == pytest.approx(0.7, abs=0.01)
    champions, _ = read_champions(store)
    assert len(champions.champions) == 1 + promoted
    assert champions.champions[0].run_id == ("run-2" if promoted else "run-1")


def _of_another_size(store: Store) -> World:
    del store
    made = world(0.9, "b2")
    made.facts = lambda _step, facts: facts | {"fit": "crop"} if "fit" in facts else facts
    return made


def _without_the_files(store: Store) -> World:
    current = read_champions(store)[0].current
    assert current is not None
    store.delete(current.training.files[PREDICTIONS_FILE].key)
    return world(0.9, "b2")


def _with_a_damaged_list(store: Store) -> World:
    """The store serves other bytes under the same ETag, as a failing disk may."""
    champions, etag = read_champions(store)
    current = champions.champions[0]
    photos = current.data.photos.model_copy(update={"sha256": "0" * 64})
    damaged = current.model_copy(
        update={"data": current.data.model_copy(update={"photos": photos})}
    )
    content = champions.model_copy(update={"champions": [damaged]}).model_dump_json()
    assert store.replace(CHAMPION_KEY, content.encode(), etag)
    return world(0.9, "b2")


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (_of_another_size, "it takes photos of another size or fit"),
        (_without_the_files, "is gone from the bucket"),
        (_with_a_damaged_list, "it was changed or damaged"),
    ],
)
def test_a_champion_that_cannot_be_compared_fails_nothing(
    spoil: Callable[[Store], World], why: str, store: Store, trained: Trained
) -> None:
    trained(world(0.7), "run-1").both()
    run = trained(spoil(store), "run-2")
    decision = Decision.model_validate(run.champion(never_asked).manifest.facts)
    assert why in decision.trouble
    assert (decision.promotes, decision.duel) == (False, None)
    assert decision.champion == "train_transfer of run run-1"
    assert run.promote().manifest.facts["promoted"] is False
    assert run.both(never_asked, promote="always")["promoted"] is True


def test_a_champion_that_saw_every_test_photo_is_told(store: Store, trained: Trained) -> None:
    shown = world(0.7)
    shown.photo = lambda photo: photo.model_copy(update={"split": "train"})
    trained(shown, "run-1").both()
    facts = trained(world(0.9, "b2"), "run-2").champion(never_asked).manifest.facts
    assert facts["trouble"] == "it saw all of the test photos"
    assert facts["promotes"] is False


def test_a_document_that_cannot_be_read_is_told_and_kept(store: Store, trained: Trained) -> None:
    store.write(CHAMPION_KEY, b"{}{")
    run = trained(world(0.7), "run-1")
    facts = run.both(never_asked, promote="always")
    assert facts["promoted"] is False
    assert "cannot be read" in facts["reason"]
    assert store.read(CHAMPION_KEY) == b"{}{"


def test_what_is_taken_back_is_promoted_again_only_by_force(store: Store, trained: Trained) -> None:
    trained(world(0.5), "run-1").both()
    with pytest.raises(InputError, match="no champion before the present one"):
        roll_back(store, "me", "")
    run = trained(world(0.9), "run-2")
    assert run.both()["promoted"] is True
    command = [sys.executable, "-m", "tasks", "champion"]
    for action in (["rollback", "--why", "it took elks for bears"], ["show"]):
        answer = subprocess.run(
            [*command, *action], cwd=ROOT, env=os.environ, capture_output=True, text=True
        )
        assert answer.returncode == 0, answer.stdout + answer.stderr
        assert "Champion: train_transfer of run run-1" in answer.stdout
        assert "Withdrawn: train_transfer of run run-2" in answer.stdout
        assert "it took elks for bears" in answer.stdout
    facts = run.both()
    assert facts["promoted"] is False
    assert "took it back" in facts["reason"]
    assert run.both(force=True)["promoted"] is True
    assert run.promote().manifest.facts["promoted"] is True


def test_what_a_person_rejected_is_asked_about_again_only_by_force(
    store: Store, trained: Trained
) -> None:
    trained(world(0.5), "run-1").both()
    run = trained(world(0.9), "run-2")
    training = read_record(store, "run-2", "train_transfer").manifest
    assert run.champion(force=True).manifest.facts["promotes"] is True
    for _ in range(2):  # as a task that is tried again
        note_answer(store, training, "run-2", "ann", approved=False)
    assert len(read_champions(store)[0].rejected) == 1
    for forced in (True, False):  # an answer in this run counts in this run
        facts = run.promote(force=forced).manifest.facts
        assert facts["promoted"] is False
        assert facts["reason"].startswith("ann rejected it")
    later = trained(world(0.9), "run-3")
    assert later.champion().manifest.facts["promotes"] is False
    assert later.champion(force=True).manifest.facts["promotes"] is True
    note_answer(store, training, "run-3", "ann", approved=True)
    assert read_champions(store)[0].rejected == []
    assert later.promote(force=True).manifest.facts["promoted"] is True


def test_a_champion_that_changed_after_the_duel_is_compared_before_anything_is_promoted(
    store: Store, trained: Trained
) -> None:
    trained(world(0.5), "run-1").both()
    slow, fast = trained(world(0.75), "run-2"), trained(world(0.99), "run-3")
    assert slow.champion().manifest.facts["promotes"] is True
    assert fast.both()["promoted"] is True
    facts = slow.promote(told).manifest.facts
    assert (facts["promoted"], facts["champion"]) == (False, "train_transfer of run run-3")
    assert facts["duel"]["champion_accuracy"] == pytest.approx(0.99, abs=0.01)
    roll_back(store, "ann", "")  # and what was decided against run-1 holds again
    assert slow.champion(never_asked).cached
    assert slow.promote().manifest.facts["promoted"] is True


def test_of_two_runs_that_promote_together_the_second_compares_with_the_first(
    store: Store, trained: Trained
) -> None:
    trained(world(0.5), "run-1").both()
    runs = [trained(world(accuracy), name) for name, accuracy in (("run-2", 0.75), ("run-3", 0.99))]
    for run in runs:
        assert run.champion().manifest.facts["promotes"] is True
    met = Barrier(2)

    def at_once(run: Run) -> Facts:
        met.wait(30)
        return run.promote(told).manifest.facts

    with ThreadPoolExecutor(2) as pool:
        facts = list(pool.map(at_once, runs))
    champions, _ = read_champions(store)
    assert champions.champions[0].run_id == "run-3"
    promotions = sum(one["promoted"] for one in facts)
    assert champions.revision == len(champions.champions) == 1 + promotions
    assert len({one["champion"] for one in facts if one["promoted"]}) == promotions


def test_photos_that_the_champion_saw_and_those_like_them_are_left_out() -> None:
    [base] = World(classes=["bear"], test_photos=1).photos()

    def photo(name: str, group: str, split: str = "test") -> Photo:
        return base.model_copy(update={"photo": name, "group": group, "split": split})

    before = [photo("a", "a", "train"), photo("b", "b", "validation"), photo("c", "c")]
    test = [photo(*pair) for pair in ("aa", "xa", "bb", "cc", "dd")]
    left, seen, alike = unseen(test, before)
    assert [row.photo for row in left] == ["c", "d"]
    assert (seen, alike) == (2, 1)
