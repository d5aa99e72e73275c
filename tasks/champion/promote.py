"""The step itself: who challenges the champion, how it ends, and what is promoted."""

import logging

import numpy as np

from tasks.champion.duel import Answers, Duel, judge, unseen
from tasks.contract.champion import Champion, Champions, Data, read_champions, write_champions
from tasks.contract.errors import UnavailableError
from tasks.contract.manifest import now
from tasks.contract.photos import PHOTOS_FILE, Photo, PhotoSet, read_rows
from tasks.contract.step import Artifact, Facts, Job, fetch_file
from tasks.contract.training import PREDICTIONS_FILE, Predictions

log = logging.getLogger(__name__)

#: So often another run may be faster before this one leaves it to a retry.
_ATTEMPTS = 5


def promote(job: Job, answers: Answers) -> Facts:
    """Compare the run's better network with the champion, and promote it if the rule says so.

    Raises:
        InputError: the champion's files are gone or damaged.
        UnavailableError: other runs kept changing the champion meanwhile.
    """
    challenger = _better(job.inputs["train_scratch"], job.inputs["train_transfer"])
    for _ in range(_ATTEMPTS):
        champions, etag = read_champions(job.store)
        duel, promotes, reason = _decide(job, challenger, champions, answers)
        if not promotes or write_champions(
            job.store, champions.promoting(_crowned(job, challenger, reason)), etag
        ):
            log.info("%s: %s", "promoted" if promotes else "not promoted", reason)
            return {
                "challenger": challenger.manifest.step,
                "champion": champions.current.name if champions.current else "",
                "promoted": promotes,
                "reason": reason,
                "duel": duel.model_dump() if duel else None,
            }
        log.info("another run changed the champion at the same time: comparing with the new one")
    raise UnavailableError("other runs keep changing the champion: try again later")


def _better(scratch: Artifact, transfer: Artifact) -> Artifact:
    """By accuracy in the run's own test, then by the smaller cross-entropy."""

    def rank(training: Artifact) -> tuple[float, float]:
        return training.facts["test"]["accuracy"], -training.facts["test"]["loss"]

    return max(transfer, scratch, key=rank)


def _decide(
    job: Job, challenger: Artifact, champions: Champions, answers: Answers
) -> tuple[Duel | None, bool, str]:
    """How the two did, if they met; whether to promote; why, in words."""
    champion, rule = champions.current, job.options.promote
    withdrawal = champions.withdrawal_of(challenger.manifest)
    if champion is not None and champion.training.digest == challenger.manifest.digest:
        return None, False, "it is the champion already"
    if withdrawal is not None and not job.forced:
        return None, False, f"{withdrawal.who} took it back; a run with force may promote it again"
    if champion is None:
        return None, rule != "never", f"there is no champion yet, and the rule is {rule!r}"
    photos = read_rows(job.inputs["preprocess"].path(PHOTOS_FILE), Photo)
    before = read_rows(fetch_file(champion.data.photos, job.store, job.cache), Photo)
    left, seen, alike = unseen([row for row in photos if row.split == "test"], before)
    facts = champion.training.facts
    same = all(facts[name] == challenger.facts[name] for name in ("image_size", "fit"))
    if not same or not left:
        why = "it saw all of the test photos" if same else "it takes photos of another size or fit"
        return None, rule == "always", f"the champion cannot be compared: {why}; rule {rule!r}"
    duel = _duel(job, challenger, champion, left, seen, alike, answers)
    newer = _newer(job, champion)
    promotes = {
        "never": False,
        "better": duel.better == "challenger",
        "not worse": duel.better == "challenger" or (duel.difference >= 0 and newer),
        "always": True,
    }[rule]
    reason = (
        f"{duel.challenger_accuracy:.4f} of {duel.compared} test photos right, the champion "
        f"{duel.champion_accuracy:.4f}; better by the paired test: {duel.better}; "
        f"trained on {'newer' if newer else 'no newer'} data; rule {rule!r}"
    )
    return duel, promotes, reason


def _duel(
    job: Job,
    challenger: Artifact,
    champion: Champion,
    left: list[Photo],
    seen: int,
    alike: int,
    answers: Answers,
) -> Duel:
    training = Artifact(champion.training, job.store, job.cache)
    prepared = job.inputs["preprocess"]
    photos = PhotoSet.open(left, "test", int(prepared.facts["image_size"]), prepared.path)
    photos.verify()
    classes, known = challenger.facts["classes"], training.facts["classes"]
    tested = Predictions.load(challenger.path(PREDICTIONS_FILE))
    named = dict(zip(map(str, tested.photos), tested.predicted, strict=True))
    return judge(
        left,
        [classes[named[row.photo]] for row in left],
        [known[label] for label in np.argmax(answers(training, photos), axis=1)],
        known,
        seen,
        alike,
    )


def _newer(job: Job, champion: Champion) -> bool:
    """Whether this run's archive is another one than the champion's, prepared after it."""
    prepared = job.inputs["preprocess"]
    other = prepared.facts["archive"]["sha256"] != champion.data.archive_sha256
    return other and prepared.manifest.created > champion.data.prepared


def _crowned(job: Job, challenger: Artifact, reason: str) -> Champion:
    prepared = job.inputs["preprocess"]
    return Champion(
        run_id=job.run_id,
        promoted=now(),
        reason=reason,
        training=challenger.manifest,
        data=Data(
            photos=prepared.manifest.files[PHOTOS_FILE],
            archive_sha256=prepared.facts["archive"]["sha256"],
            prepared=prepared.manifest.created,
        ),
    )
