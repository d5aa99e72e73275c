"""What steps see of an archive, whatever its format."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator
from functools import cached_property
from typing import BinaryIO, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from tasks.contract.archive.members import EntryError, Member
from tasks.contract.archive.names import path_of
from tasks.contract.archive.survey import Entry, Survey, survey_of
from tasks.contract.config import ArchiveLimits
from tasks.contract.errors import InputError

#: An optional file at the archive's root that says what the data set is.
DATASET_FILE = "dataset.json"
_LARGEST_CARD = 1 << 16
#: What is read of all entries is kept in memory, so that names must not be too long on the whole.
BYTES_PER_ENTRY = 512


class DatasetCard(BaseModel):
    """What ``dataset.json`` may say. ``synthetic`` data is labelled so wherever it shows."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    name: str = ""
    synthetic: bool = False
    note: str = ""


class Archive(ABC):
    """An archive of class folders, open for reading. Use as a context manager; closes the file.

    Attributes:
        name: what it is called in messages.
        format: ``zip``, ``tar``, ``tar.gz``, ``tar.bz2``, ``tar.xz`` or ``tar.zst``.
    """

    def __init__(self, file: BinaryIO, name: str, format_name: str, limits: ArchiveLimits) -> None:
        self._file = file
        self.name = name
        self.format = format_name
        self.limits = limits

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def card(self) -> DatasetCard:
        """What the archive says of itself; an empty card if it says nothing usable."""
        try:
            return DatasetCard.model_validate_json(self._card)
        except (EntryError, ValidationError):
            return DatasetCard()

    def survey(self) -> Survey:
        """Which entries are photos to be used, and which must not be.

        Raises:
            InputError: the archive is damaged, or more than the limits allow.
        """
        return survey_of(self._members, self.limits, self.name)

    @abstractmethod
    def readers(self, entries: Collection[Entry]) -> Iterator[tuple[Entry, Callable[[], bytes]]]:
        """Each entry with a function that reads its bytes, in the order of the archive.

        The order is that of the archive and not of ``entries``, so that the file is read once from
        front to back. The function may be called once, in any thread. Of a zip or a plain tar it
        reads, decompresses and checks, so that threads share this work; of a compressed tar, which
        can only be read in sequence, the bytes are read as this iterator advances, and are in
        memory until the function is dropped.

        Raises:
            InputError: the archive changed since it was surveyed, or the disk fails.
            EntryError: (of the function) the entry cannot be read.
        """

    @abstractmethod
    def _scan(self) -> Iterator[Member]:
        """Everything in the archive, in its order; raises InputError."""

    @abstractmethod
    def _read(self, member: Member) -> bytes:
        """The bytes of a member; raises EntryError."""

    @cached_property
    def _members(self) -> list[Member]:
        members = []
        names = 0
        most = self.limits.max_entries
        for member in self._scan():
            members.append(member)
            names += len(member.name)
            if len(members) > most or names > most * BYTES_PER_ENTRY + (1 << 16):
                raise too_many_entries(self.name, self.limits)
        return members

    @cached_property
    def _card(self) -> bytes:
        cards = [member for member in self._members if is_card(member)]
        return self._read(cards[-1]) if cards else b""


def too_many_entries(name: str, limits: ArchiveLimits) -> InputError:
    return InputError(
        f"{name} has more than {limits.max_entries:,} entries, or names of such a length: give a "
        "smaller archive, or raise max_entries"
    )


def is_card(member: Member) -> bool:
    """Whether it is the description of the data set, and short enough to be one."""
    return (
        not member.folder
        and member.fault is None
        and member.size <= _LARGEST_CARD
        and str(path_of(member.name)) == DATASET_FILE
    )
