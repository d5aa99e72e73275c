"""Compare the run's better network with the champion, and say whether it is to be promoted."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from tasks.champion.duel import judge, unseen
from tasks.champion.situation import Situation, challenger_of, situation_of
from tasks.contract.champion import Champion
from tasks.contract.decision import Decision, Duel
from tasks.contract.errors import InputError
from tasks.contract.manifest import Manifest
from tasks.contract.photos import PHOTOS_FILE, Photo, PhotoSet, read_rows
from tasks.contract.step import Artifact, Facts, Job, fetch_file
from tasks.contract.training import PREDICTIONS_FILE, Predictions

log = logging.getLogger(__name__)

#: What a training's network says to photos: float32 (photos, its classes).
Answers = Callable[[Artifact, PhotoSet], NDArray[np.float32]]


class _IncomparableError(Exception):
    """Why the two cannot meet."""


@contextmanager
def _files_of_the_champion() -> Iterator[None]:
    """What is wrong with them is no failure of this run."""
    try:
        yield
    except InputError as error:
        raise _IncomparableError(str(error)) from error


def decide(job: Job, answers: Answers) -> Facts:
    """The step ``champion``: it changes nothing."""
    decision = decision_in(job, situation_of(job.store, challenger_in(job).manifest), answers)
    log.info("%s: %s", "promote" if decision.promotes else "do not promote", decision.in_one_line)
    return decision.model_dump(mode="json")


def challenger_in(job: Job) -> Artifact:
    """The run's better network."""
    made = {name: artifact.manifest for name, artifact in job.inputs.items()}
    return job.inputs[challenger_of(made).step]


def decision_in(job: Job, situation: Situation, answers: Answers) -> Decision:
    """What the rule says in a situation.

    That the two cannot be compared is told, and fails nothing.
    """
    challenger, opponent = challenger_in(job), situation.opponent
    duel, trouble = None, situation.trouble
    if opponent is not None and not trouble:
        try:
            duel = _duel(job, challenger, opponent, answers)
        except _IncomparableError as error:
            trouble = str(error)
    newer = None if opponent is None else _newer(job, opponent)
    rule = job.options.promote
    promotes, reason = _by_the_rule(rule, opponent, duel, trouble, newer=newer)
    objection = situation.champions.objection_to(challenger.manifest, job.run_id, forced=job.forced)
    if objection:
        promotes, reason = False, objection
    return Decision(
        challenger=challenger.manifest.step,
        champion=opponent.name if opponent else "",
        champion_promoted=opponent.promoted if opponent else None,
        newer=newer,
        duel=duel,
        trouble=trouble,
        rule=rule,
        promotes=promotes,
        reason=reason,
        situation=situation.digest,
    )


def _by_the_rule(
    rule: str, opponent: Champion | None, duel: Duel | None, trouble: str, *, newer: bool | None
) -> tuple[bool, str]:
    """Whether to promote, and why."""
    if duel is None:
        if opponent is None:  # what cannot be read is never written over
            return not trouble and rule != "never", trouble or "there is no champion yet"
        return rule == "always", f"the champion cannot be compared: {trouble}"
    better = duel.better == "challenger"
    not_worse = duel.difference >= 0
    data = "newer data" if newer else "no newer data"
    if better:
        reason = "better by the paired test"
    elif not_worse:
        reason = f"not better by the paired test; no fewer photos right; trained on {data}"
    else:
        reason = f"fewer photos right; trained on {data}"
    promotes = {
        "never": False,
        "better": better,
        "not worse": better or (not_worse and bool(newer)),
        "always": True,
    }[rule]
    return promotes, reason


def _duel(job: Job, challenger: Artifact, opponent: Champion, answers: Answers) -> Duel:
    """Have the champion's network answer the run's test photos that it has not seen.

    Raises:
        _IncomparableError: there are none, they are no photos for it, or its files are damaged.
        InputError: those of this run are.
    """
    champion = Artifact(opponent.training, job.store, job.cache)
    prepared = job.inputs["preprocess"]
    if any(champion.facts[name] != challenger.facts[name] for name in ("image_size", "fit")):
        raise _IncomparableError("it takes photos of another size or fit")
    photos = read_rows(prepared.path(PHOTOS_FILE), Photo)
    with _files_of_the_champion():
        before = read_rows(fetch_file(opponent.data.photos, job.store, job.cache), Photo)
    left, seen, alike = unseen([row for row in photos if row.split == "test"], before)
    if not left:
        raise _IncomparableError("it saw all of the test photos")
    shown = PhotoSet.open(left, "test", int(prepared.facts["image_size"]), prepared.path)
    shown.verify()
    classes, known = challenger.facts["classes"], champion.facts["classes"]
    tested = Predictions.load(challenger.path(PREDICTIONS_FILE))
    named = dict(zip(map(str, tested.photos), tested.predicted, strict=True))
    with _files_of_the_champion():
        answered = np.argmax(answers(champion, shown), axis=1)
    return judge(
        left,
        [classes[named[row.photo]] for row in left],
        [known[label] for label in answered],
        known,
        seen,
        alike,
    )


def _newer(job: Job, opponent: Champion) -> bool:
    """Whether this run's archive is another one than the champion's, prepared after it."""
    prepared: Manifest = job.inputs["preprocess"].manifest
    other = prepared.facts["archive"]["sha256"] != opponent.data.archive_sha256
    return other and prepared.created > opponent.data.prepared
