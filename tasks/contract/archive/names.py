"""Names of entries: which are photos', which are litter, and which no honest program writes."""

import re
import unicodedata
from pathlib import PurePosixPath

from tasks.contract.archive.members import Fault

_LITTER_FOLDERS = {"__MACOSX"}
_LITTER_FILES = {"thumbs.db", "desktop.ini"}
_IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"}

_DRIVE = re.compile(r"[A-Za-z]:(/|$)")
#: What file systems can hold; longer names were never files.
_LONGEST_PATH, _LONGEST_PART = 4096, 255
#: Control characters, lone surrogates, and what starts a new line.
_CONTROL = {"Cc", "Cs", "Zl", "Zp"}
#: Marks that turn the direction of writing, and so show a name as another one.
_TURNING = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


def path_of(name: str) -> PurePosixPath:
    """An entry's path; some Windows programs write backslashes into archives.

    Names that an unpacker would write to the same file (``./a``, ``a``) have the same path.
    """
    return PurePosixPath(name.replace("\\", "/"))


def fault_of(name: str) -> Fault | None:
    """What is wrong with a name, if anything is."""
    path = path_of(name)
    if path.is_absolute() or _DRIVE.match(str(path)):
        return Fault("absolute path", "it would lie outside of the archive's folder")
    if ".." in path.parts:
        return Fault("path with ..", "it would lie outside of its folder")
    if not (name.isascii() and name.isprintable()) and any(
        unicodedata.category(sign) in _CONTROL or unicodedata.bidirectional(sign) in _TURNING
        for sign in name
    ):
        return Fault("control characters", "its name has characters that cannot be seen")
    if len(name.encode()) > _LONGEST_PATH or any(
        len(part.encode()) > _LONGEST_PART for part in path.parts
    ):
        return Fault("name too long", "no file system could hold it")
    return None


def is_litter(path: PurePosixPath) -> bool:
    """Whether an operating system left it behind."""
    return (
        bool(_LITTER_FOLDERS.intersection(path.parts))
        or path.name.startswith(".")
        or path.name.lower() in _LITTER_FILES
    )


def is_named_like_a_photo(path: PurePosixPath) -> bool:
    """Whether its folder is a class folder for its sake."""
    return path.suffix.lower() in _IMAGE_SUFFIXES and bool(path.parent.name.strip())


def decoded(raw: bytes) -> str:
    """A name's bytes of which nothing says how they are encoded.

    They are UTF-8 or, as in zip archives, those of the first PCs, which any bytes can be.
    """
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("cp437")
