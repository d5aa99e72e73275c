"""``champion.json``: the promoted model, those before it, and those that people turned down.

It changes by conditional puts alone, so of two runs that end together one promotes, and the other
sees that it must compare again.
"""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tasks.contract.errors import InputError, UnavailableError
from tasks.contract.manifest import FileReference, Manifest, digest_of, now
from tasks.contract.step import missing_file
from tasks.contract.store import Store

CHAMPION_KEY = "champion.json"
#: It has some kilobytes. What is larger is not ours.
_MOST_BYTES = 4_000_000
#: So many champions are kept, as many that were taken back, and as many rejections.
KEPT = 20
#: So often another run may be faster before this one leaves it to a retry.
ATTEMPTS = 5


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


class Rejection(_Document):
    """That a person who was asked did not let a network become the champion.

    Attributes:
        run_id: the run that asked.
        step, training: of the network: the step that trained it, and its manifest's digest.
    """

    run_id: str
    step: str
    training: str
    when: datetime
    who: str


class Champions(_Document):
    """All of ``champion.json``.

    Attributes:
        revision: counts the changes, so that no earlier document ever comes back.
        champions: the present one first, then those before it.
        withdrawn, rejected: the latest first.
    """

    revision: int = 0
    champions: list[Champion] = Field(default_factory=list)
    withdrawn: list[Withdrawal] = Field(default_factory=list)
    rejected: list[Rejection] = Field(default_factory=list)

    @property
    def current(self) -> Champion | None:
        return self.champions[0] if self.champions else None

    @property
    def digest(self) -> str:
        return digest_of(self.model_dump(mode="json"))

    def is_champion(self, training: Manifest) -> bool:
        return self.current is not None and self.current.training.digest == training.digest

    def opponent_of(self, training: Manifest) -> Champion | None:
        """Whom a training's network is compared with: the champion, or whom it took over from.

        So what was said of a network stays true once it is promoted.
        """
        before = self.champions[1:] if self.is_champion(training) else self.champions
        return before[0] if before else None

    def withdrawal_of(self, training: Manifest) -> Withdrawal | None:
        """That a person took back what this training made, the last time."""
        found = (w for w in self.withdrawn if w.champion.training.digest == training.digest)
        return next(found, None)

    def rejection_of(self, training: Manifest) -> Rejection | None:
        """That a person did not want what this training made, the last time."""
        return next((r for r in self.rejected if r.training == training.digest), None)

    def objection_to(self, training: Manifest, run_id: str, *, forced: bool) -> str:
        """Why people do not let a run promote it, in words; empty if they do.

        Args:
            forced: the run overrides what was said before it.
        """
        rejection, withdrawal = self.rejection_of(training), self.withdrawal_of(training)
        if rejection is not None and (not forced or rejection.run_id == run_id):
            return f"{rejection.who} rejected it; a run with force may ask again"
        if withdrawal is not None and not forced:
            return f"{withdrawal.who} took it back; a run with force may promote it again"
        return ""

    def _changed(self, **update: Any) -> "Champions":
        return self.model_copy(update={"revision": self.revision + 1} | update)

    def promoting(self, champion: Champion) -> "Champions":
        return self._changed(champions=[champion, *self.champions][:KEPT])

    def withdrawing(self, who: str, why: str) -> "Champions":
        """With the one before the champion as the champion."""
        taken = Withdrawal(champion=self.champions[0], when=now(), who=who, why=why)
        return self._changed(
            champions=self.champions[1:], withdrawn=[taken, *self.withdrawn][:KEPT]
        )

    def approving(self, training: Manifest) -> "Champions":
        """Without what was said against it when a person was asked before."""
        return self._changed(rejected=[r for r in self.rejected if r.training != training.digest])

    def rejecting(self, training: Manifest, run_id: str, who: str) -> "Champions":
        rejection = Rejection(
            run_id=run_id, step=training.step, training=training.digest, when=now(), who=who
        )
        return self._changed(rejected=[rejection, *self.rejected][:KEPT])


def read_champions(store: Store) -> tuple[Champions, str]:
    """The document, and its ETag for ``write_champions``; empty ones if there is none.

    Raises:
        InputError: it cannot be read.
    """
    return champions_if_new(store, None) or (Champions(), "")


def champions_if_new(store: Store, etag: str | None) -> tuple[Champions, str] | None:
    """The same, or None if the ETag is still ``etag``.

    Raises:
        InputError: it cannot be read.
    """
    newer = store.read_if_new(CHAMPION_KEY, etag, _MOST_BYTES)
    if newer is None:
        return None
    content, etag = newer
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
    previous = before.champions[1]
    missing = missing_file(store, previous.training)
    if missing is not None:
        raise InputError(
            f"{missing} of {previous.name} is gone: there is no champion to go back to; "
            "promote another model instead"
        )
    after = before.withdrawing(who, why)
    if not write_champions(store, after, etag):
        raise UnavailableError(
            "the champion was changed by someone else at this moment: look at it again, and roll "
            "it back if it still is the one you mean"
        )
    return after


def note_answer(store: Store, training: Manifest, run_id: str, who: str, *, approved: bool) -> None:
    """Note that a person did not let a run's network become the champion, or now does.

    Raises:
        UnavailableError: others kept changing the document meanwhile.
    """
    for _ in range(ATTEMPTS):
        before, etag = read_champions(store)
        noted = before.rejection_of(training)
        if approved and noted is None:
            return
        if not approved and noted is not None and noted.run_id == run_id:
            return
        after = before.approving(training) if approved else before.rejecting(training, run_id, who)
        if write_champions(store, after, etag):
            return
    raise UnavailableError("other runs keep changing the champion: try again later")
