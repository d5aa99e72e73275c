"""What every format says of what it holds, before anything is made of it."""

from dataclasses import dataclass

from tasks.contract.errors import InputError


@dataclass(frozen=True, slots=True)
class Fault:
    """Why an entry must not be used: a word or two to count by, and a line for the reader."""

    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Member:
    """One entry as the archive has it.

    Attributes:
        name: as it is written in the archive.
        size: in bytes, decompressed, as declared.
        position: tells it from all others, and grows from one to the next as they lie in the file.
        folder: whether it is a folder, which holds nothing itself.
        fault: what the format alone shows to be wrong with it.
    """

    name: str
    size: int
    position: int
    folder: bool = False
    fault: Fault | None = None


class EntryError(Exception):
    """One entry of the archive cannot be read; the rest may be fine."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


def unreadable(name: str, why: object) -> InputError:
    """The archive as a whole cannot be read."""
    line = " ".join(str(why).split()) or type(why).__name__
    return InputError(
        f"{name} is not a readable archive ({line}): upload a zip or a tar (plain, gz, bz2, xz or "
        "zst) with one folder of photos per class"
    )
