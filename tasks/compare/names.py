"""Names out of the archive as a page or a figure can show them; they are hostile input."""

import re
from unicodedata import bidirectional

from matplotlib.font_manager import findfont, get_font

#: Control characters, which no page may hold, and those that turn the direction of writing, with
#: which a name could pose as another. A file name in an archive can hold either.
_CONTROLS = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufdd0-\ufdef\ufffe\uffff]"
)
_LONGEST = 160


def printable(text: str) -> str:
    """Text without characters that no page may hold."""
    return _CONTROLS.sub("\N{REPLACEMENT CHARACTER}", text)


def shortened(text: str, longest: int = _LONGEST) -> str:
    """Its two ends: an archive may hold names of 65,535 characters, and a page a hundred such."""
    return text if len(text) <= longest else f"{text[: longest // 2]}…{text[-longest // 2 :]}"


def drawable(text: str) -> bool:
    """Whether a figure can show the text: its font has the letters, which run left to right."""
    font = get_font(findfont("DejaVu Sans"))
    return text.strip() != "" and all(
        character.isprintable()
        and font.get_char_index(ord(character)) != 0
        and bidirectional(character) not in ("R", "AL", "AN")
        for character in text
    )
