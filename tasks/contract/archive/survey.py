"""Which entries of an archive are photos to be used, and which must not be, and why."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from tasks.contract.archive.members import Fault, Member
from tasks.contract.archive.names import fault_of, is_litter, is_named_like_a_photo, path_of
from tasks.contract.config import ArchiveLimits
from tasks.contract.errors import InputError
from tasks.contract.photos import Refusal


@dataclass(frozen=True, slots=True)
class Entry:
    """A photo's place in the archive.

    Attributes:
        size: in bytes, decompressed, as declared.
        position: where it lies; see ``Member``.
    """

    name: str
    class_name: str
    size: int
    position: int


@dataclass(frozen=True)
class Survey:
    """What an archive holds, each in name order.

    Attributes:
        entries: the photos to be used.
        refused: what must not be used. A name that is itself at fault names no class ("").
    """

    entries: list[Entry]
    refused: list[Refusal]


def survey_of(members: Iterable[Member], limits: ArchiveLimits, name: str) -> Survey:
    """Tell photos from the rest.

    A file is taken for a photo if it lies in a class folder: one that has at least one file with
    an image's suffix directly in it. Its own suffix may lie, so it is no filter.

    Args:
        name: what to call the archive in messages.

    Raises:
        InputError: the photos are larger together than the limit.
    """
    files = [(member, path_of(member.name)) for member in members if not member.folder]
    files = [(member, path) for member, path in files if not is_litter(path)]
    names_at_fault = {member.position: fault_of(member.name) for member, _ in files}
    class_folders = {
        path.parent
        for member, path in files
        if is_named_like_a_photo(path) and not names_at_fault[member.position]
    }
    last = {path: member.position for member, path in files}  # as an unpacker writes them

    entries, refused = [], []
    for member, path in files:
        at_fault = names_at_fault[member.position]
        if at_fault is None and path.parent not in class_folders:
            continue
        class_name = "" if at_fault else path.parent.name
        fault = at_fault or _fault(member, path, last, limits)
        if fault is None:
            entries.append(Entry(member.name, class_name, member.size, member.position))
        else:
            refused.append(
                Refusal(
                    entry=_printable(member.name),
                    class_name=class_name,
                    reason=fault.reason,
                    detail=fault.detail,
                )
            )
    if sum(entry.size for entry in entries) > limits.archive_bytes:
        raise InputError(
            f"{name} holds more than {limits.max_archive_gb:g} GB of photos: give a smaller "
            "archive, or raise max_archive_gb"
        )
    entries.sort(key=lambda entry: (entry.name, entry.position))
    refused.sort(key=lambda refusal: refusal.entry)
    return Survey(entries, refused)


def _fault(
    member: Member, path: PurePosixPath, last: dict[PurePosixPath, int], limits: ArchiveLimits
) -> Fault | None:
    if member.fault:
        return member.fault
    if last[path] != member.position:
        return Fault("repeated name", "a later entry has the same name, and the last one counts")
    if member.size > limits.entry_bytes:
        return Fault(
            "too large", f"{member.size:,} bytes, more than max_entry_mb {limits.max_entry_mb:,}"
        )
    return None


def _printable(name: str) -> str:
    """Lone surrogates can be written into no file, and no name needs to be told at any length."""
    return name[:4096].encode(errors="backslashreplace").decode()
