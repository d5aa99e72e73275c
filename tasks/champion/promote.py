"""Promote what the step ``champion`` decided on: by one conditional put, on a duel that holds."""

import logging

from tasks.champion.decide import Answers, challenger_in, decision_in
from tasks.champion.situation import Situation, situation_of
from tasks.contract.champion import ATTEMPTS, Champion, Data, write_champions
from tasks.contract.decision import Decision
from tasks.contract.errors import UnavailableError
from tasks.contract.manifest import now
from tasks.contract.photos import PHOTOS_FILE
from tasks.contract.step import Artifact, Facts, Job

log = logging.getLogger(__name__)


def promote(job: Job, answers: Answers) -> Facts:
    """The step ``promote``.

    If the champion is another one than the one that was compared with, the two are compared first.

    Raises:
        UnavailableError: other runs kept changing the champion meanwhile.
    """
    decision = Decision.model_validate(job.inputs["champion"].facts)
    challenger = challenger_in(job)
    for _ in range(ATTEMPTS):
        situation = situation_of(job.store, challenger.manifest)
        champions = situation.champions
        if champions.is_champion(challenger.manifest):
            assert champions.current is not None
            return _facts(decision, situation.digest, champions.current, job)
        objection = champions.objection_to(challenger.manifest, job.run_id, forced=job.forced)
        if objection:
            decision = decision.model_copy(update={"promotes": False, "reason": objection})
        elif not _met(decision, situation):
            log.info("the champion is another one by now: comparing with that one")
            decision = decision_in(job, situation, answers)
        if not decision.promotes:
            log.info("not promoted: %s", decision.in_one_line)
            return _facts(decision, situation.digest, None, job)
        crowned = _crowned(job, challenger, decision)
        if write_champions(job.store, champions.promoting(crowned), situation.etag):
            log.info("promoted: %s", decision.in_one_line)
            return _facts(decision, situation.digest, crowned, job)
    raise UnavailableError("other runs keep changing the champion: try again later")


def _met(decision: Decision, situation: Situation) -> bool:
    """Whether the decision is about the champion that there is; what people said is no matter."""
    opponent = situation.opponent
    present = (opponent.name, opponent.promoted) if opponent else ("", None)
    same = present == (decision.champion, decision.champion_promoted)
    return same and situation.trouble in ("", decision.trouble)


def _facts(decision: Decision, situation: str, crowned: Champion | None, job: Job) -> Facts:
    """What this came to.

    Args:
        situation: what it rests on.
        crowned: the champion, if that is the challenger now; an earlier try or run may have
            promoted it.
    """
    return {
        "challenger": decision.challenger,
        "champion": decision.champion,
        "promoted": crowned is not None and crowned.run_id == job.run_id,
        "crowned": crowned.training.digest if crowned else "",
        "reason": crowned.reason if crowned else decision.in_one_line,
        "duel": decision.duel and decision.duel.model_dump(),
        "situation": situation,
    }


def _crowned(job: Job, challenger: Artifact, decision: Decision) -> Champion:
    prepared = job.inputs["preprocess"]
    return Champion(
        run_id=job.run_id,
        promoted=now(),
        reason=decision.in_one_line,
        training=challenger.manifest,
        data=Data(
            photos=prepared.manifest.files[PHOTOS_FILE],
            archive_sha256=prepared.facts["archive"]["sha256"],
            prepared=prepared.manifest.created,
        ),
    )
