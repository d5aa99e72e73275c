"""Who challenges whom: the run's better network, and what ``champion.json`` says at this moment."""

from collections.abc import Mapping
from dataclasses import dataclass

from tasks.contract.champion import Champion, Champions, read_champions
from tasks.contract.errors import InputError
from tasks.contract.manifest import Manifest, digest_of
from tasks.contract.step import is_in_place, missing_file
from tasks.contract.store import Store


def challenger_of(made: Mapping[str, Manifest]) -> Manifest:
    """The better of a run's trainings: by accuracy in its test, then by the smaller loss.

    Args:
        made: the run's manifests by step.
    """

    def rank(training: Manifest) -> tuple[float, float]:
        return training.facts["test"]["accuracy"], -training.facts["test"]["loss"]

    return max(made["train_transfer"], made["train_scratch"], key=rank)


@dataclass(frozen=True)
class Situation:
    """What a decision rests on, besides the networks and the photos.

    Attributes:
        etag: of the document, for ``write_champions``.
        opponent: whom the challenger is compared with; None without a champion.
        trouble: why that is impossible, as far as the bucket tells; else empty.
        digest: the same for what comes to the same decision.
    """

    champions: Champions
    etag: str
    opponent: Champion | None
    trouble: str
    digest: str


def situation_of(store: Store, challenger: Manifest) -> Situation:
    """The situation at this moment. A document that cannot be read is a trouble like others."""
    try:
        champions, etag = read_champions(store)
    except InputError as error:
        return _situation(Champions(), "", None, str(error), challenger)
    opponent = champions.opponent_of(challenger)
    return _situation(champions, etag, opponent, _gone(store, opponent), challenger)


def _situation(
    champions: Champions, etag: str, opponent: Champion | None, trouble: str, challenger: Manifest
) -> Situation:
    people = champions.withdrawal_of(challenger), champions.rejection_of(challenger)
    digest = digest_of(
        {
            "opponent": opponent and opponent.model_dump(mode="json"),
            "people": [said and said.when.isoformat() for said in people],
            "trouble": trouble,
        }
    )
    return Situation(champions, etag, opponent, trouble, digest)


def _gone(store: Store, opponent: Champion | None) -> str:
    if opponent is None:
        return ""
    missing = missing_file(store, opponent.training)
    if missing is None and not is_in_place(store, opponent.data.photos):
        missing = "the list of the photos that it was trained on"
    return f"{missing} is gone from the bucket" if missing else ""
