"""``champion.json``: the promoted model, those before it, and those that people took back.

It changes by conditional puts alone, so of two runs that end together one promotes, and the other
sees that it must compare again.
"""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tasks.contract.errors import InputError, UnavailableError
from tasks.contract.manifest import FileReference, Manifest, digest_of, now
from tasks.contract.step import missing_file
from tasks.contract.store import Store

CHAMPION_KEY = "champion.json"
#: So many champions are kept, and as many that were taken back.
KEPT = 20


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Data(_Document):
    """What a champion was trained on.

    Attributes:
        photos: the rows of all photos, which say what it has seen.
        archive_sha256: hex, of the archive that they are from.
        prepared: when they were.
    """

    photos: FileReference
    archive_sha256: str
    prepared: datetime


class Champion(_Document):
    """A promoted model.

    Attributes:
        run_id: the run that promoted it.
        reason: why, in words.
        training: its weights, and what they are of; true even if the training is done again.
    """

    run_id: str
    promoted: datetime
    reason: str
    training: Manifest
    data: Data

    @property
    def name(self) -> str:
        """For people: the run and the training's step."""
        return f"{self.training.step} of run {self.run_id}"


class Withdrawal(_Document):
    """That a person took a champion back."""

    champion: Champion
    when: datetime
    who: str
    why: str


class Champions(_Document):
    """All of ``champion.json``.

    Attributes:
        revision: counts the changes, so that no earlier document ever comes back.
        champions: the present one first, then those before it.
        withdrawn: the latest first.
    """

    revision: int = 0
    champions: list[Champion] = Field(default_factory=list)
    withdrawn: list[Withdrawal] = Field(default_factory=list)

    @property
    def current(self) -> Champion | None:
        return self.champions[0] if self.champions else None

    @property
    def digest(self) -> str:
        return digest_of(self.model_dump(mode="json"))

    def promoting(self, champion: Champion) -> "Champions":
        return Champions(
            revision=self.revision + 1,
            champions=[champion, *self.champions][:KEPT],
            withdrawn=self.withdrawn,
        )

    def withdrawal_of(self, training: Manifest) -> Withdrawal | None:
        """Whether a person took back what this training made."""
        found = (w for w in self.withdrawn if w.champion.training.digest == training.digest)
        return next(found, None)


def read_champions(store: Store) -> tuple[Champions, str]:
    """The document, and its ETag for ``write_champions``; empty ones if there is none.

    Raises:
        InputError: it cannot be read.
    """
    content, etag = store.read_if_new(CHAMPION_KEY, None) or (b"", "")
    if not etag:
        return Champions(), ""
    try:
        return Champions.model_validate_json(content), etag
    except ValidationError:
        raise InputError(
            f"{store.uri(CHAMPION_KEY)} cannot be read: put an earlier version of it back, or "
            "remove it to begin without a champion"
        ) from None


def write_champions(store: Store, champions: Champions, etag: str) -> bool:
    """Replace the document whose ETag this was; False if it is another one by now."""
    return store.replace(CHAMPION_KEY, champions.model_dump_json(indent=1).encode(), etag)


def roll_back(store: Store, who: str, why: str) -> Champions:
    """Take the champion back: the one before it is the champion again.

    Raises:
        InputError: there is none before it, or its files are gone.
        UnavailableError: another one changed the champion at the same time.
    """
    before, etag = read_champions(store)
    if len(before.champions) < 2:
        raise InputError(
            f"{store.uri(CHAMPION_KEY)} has no champion before the present one: promote another "
            "model first"
        )
    taken, previous, *_ = before.champions
    missing = missing_file(store, previous.training)
    if missing is not None:
        raise InputError(
            f"{missing} of {previous.name} is gone: there is no champion to go back to; "
            "promote another model instead"
        )
    withdrawal = Withdrawal(champion=taken, when=now(), who=who, why=why)
    after = Champions(
        revision=before.revision + 1,
        champions=before.champions[1:],
        withdrawn=[withdrawal, *before.withdrawn][:KEPT],
    )
    if not write_champions(store, after, etag):
        raise UnavailableError(
            "the champion was changed by someone else at this moment: look at it again, and roll "
            "it back if it still is the one you mean"
        )
    return after
