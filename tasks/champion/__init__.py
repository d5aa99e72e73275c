"""Champion: the better network of a run against the promoted one, on the same test photos."""

from uuid import uuid4

from tasks.champion.duel import Answers
from tasks.champion.promote import promote
from tasks.contract.champion import read_champions
from tasks.contract.config import ChampionOptions
from tasks.contract.step import Step
from tasks.contract.store import Store


def champion_step(answers: Answers) -> Step:
    """The step.

    Args:
        answers: runs a trained network; the steps that train know how.
    """
    return Step(
        name="champion",
        code=(
            "tasks.champion",
            "tasks.contract.champion",
            "tasks.contract.photos",
            "tasks.contract.statistics",
            "tasks.contract.training",
            "tasks.train",
        ),
        options=ChampionOptions,
        inputs=("preprocess", "train_scratch", "train_transfer", "compare"),
        run=lambda job: promote(job, answers),
        external=_present_champion,
    )


def _present_champion(store: Store, _options: ChampionOptions) -> dict[str, str]:
    champions, etag = read_champions(store)
    # The first promotion is never found again: the document that it made may have been removed.
    return {"champion.json": champions.digest if etag else f"none yet: {uuid4()}"}
