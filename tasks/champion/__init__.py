"""Champion: the better network of a run against the promoted one, on the same test photos.

Two steps: ``champion`` compares and decides, ``promote`` does what was decided, after the report.
"""

from collections.abc import Mapping

from tasks.champion.decide import Answers, decide
from tasks.champion.promote import promote
from tasks.champion.situation import challenger_of, situation_of
from tasks.contract.config import ChampionOptions
from tasks.contract.manifest import Manifest
from tasks.contract.step import Step
from tasks.contract.store import Store

_CODE = (
    "tasks.champion",
    "tasks.contract.champion",
    "tasks.contract.decision",
    "tasks.contract.photos",
    "tasks.contract.statistics",
    "tasks.contract.training",
    "tasks.train",
)


def champion_step(answers: Answers) -> Step:
    """The step that decides.

    Args:
        answers: runs a trained network; the steps that train know how.
    """
    return Step(
        name="champion",
        code=_CODE,
        options=ChampionOptions,
        inputs=("preprocess", "train_scratch", "train_transfer"),
        run=lambda job: decide(job, answers),
        holds=_rests_on_the_present_champion,
    )


def promote_step(answers: Answers) -> Step:
    """The step that promotes; with ``answers`` as above, should it have to compare again."""
    return Step(
        name="promote",
        code=_CODE,
        options=ChampionOptions,
        inputs=("preprocess", "train_scratch", "train_transfer", "champion"),
        run=lambda job: promote(job, answers),
        holds=_is_so,
    )


def _rests_on_the_present_champion(
    store: Store, found: Manifest, inputs: Mapping[str, Manifest]
) -> bool:
    situation = situation_of(store, challenger_of(inputs))
    return bool(found.facts["situation"] == situation.digest)


def _is_so(store: Store, found: Manifest, inputs: Mapping[str, Manifest]) -> bool:
    """Whether who was promoted is the champion, and who was not would not be now."""
    challenger = challenger_of(inputs)
    situation = situation_of(store, challenger)
    crowned = situation.champions.is_champion(challenger) or not found.facts["crowned"]
    return crowned and bool(found.facts["situation"] == situation.digest)
