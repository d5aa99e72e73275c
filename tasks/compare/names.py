"""Names out of the archive as a page, a table or a figure can show them; they are hostile input."""

import re
from unicodedata import bidirectional

from matplotlib.font_manager import findfont, get_font

#: What no page may hold (control characters, lone surrogates, noncharacters), what starts a new
#: line unasked, and the bidirectional controls, with which a name could pose as another.
_UNSHOWABLE = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufdd0-\ufdef"
    + "".join(f"{chr(plane << 16 | 0xFFFE)}{chr(plane << 16 | 0xFFFF)}" for plane in range(17))
    + r"\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)
_LONGEST = 160


def printable(text: str) -> str:
    """Text with a replacement character for each that must not be shown."""
    return _UNSHOWABLE.sub("\N{REPLACEMENT CHARACTER}", text)


def shortened(text: str, longest: int = _LONGEST) -> str:
    """Its two ends: an archive may hold names of 65,535 characters, and a page a hundred such.

    The CSV files and ``summary.json`` have names whole.
    """
    if len(text) <= longest:
        return text
    return f"{text[: longest // 2]}…{text[len(text) - longest // 2 :]}"


def drawable(text: str) -> bool:
    """Whether a figure can show the text: its font has the letters, which run left to right."""
    font = get_font(findfont("DejaVu Sans"))
    return text.strip() != "" and all(
        character.isprintable()
        and font.get_char_index(ord(character)) != 0
        and bidirectional(character) not in ("R", "AL", "AN")
        for character in text
    )
