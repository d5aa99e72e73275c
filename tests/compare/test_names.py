"""Whatever an archive calls its files and classes, what is shown of it is harmless and short."""

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from tasks.compare.names import printable, shortened
from tasks.compare.page import escape_markdown

#: The property Bidi_Control of Unicode, whole.
BIDI_CONTROLS = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
any_text = st.text(st.characters(codec=None))


@given(any_text)
def test_nothing_that_hides_or_turns_is_left_and_all_else_is_as_it_was(text: str) -> None:
    shown = printable(text)
    assert len(shown) == len(text)
    shown.encode()
    for before, after in zip(text, shown, strict=True):
        if before in BIDI_CONTROLS or unicodedata.category(before) in ("Cs", "Zl", "Zp"):
            assert after == "\N{REPLACEMENT CHARACTER}"
        elif before in "\t\n\r" or unicodedata.category(before) not in ("Cc", "Cn"):
            assert after == before


@pytest.mark.parametrize("sign", [*BIDI_CONTROLS, "\0", "\x1b", "\x85", "\ufdd0", "\U0010ffff"])
def test_each_of_them_is_replaced(sign: str) -> None:
    assert printable(f"a{sign}b") == "a\N{REPLACEMENT CHARACTER}b"


@given(st.text(), st.integers(2, 200))
def test_a_shortened_text_has_both_ends_of_the_whole(text: str, longest: int) -> None:
    shown = shortened(text, longest)
    assert len(shown) <= longest + 1
    if shown != text:
        start, end = shown.split("…", 1) if "…" not in text else (shown[0], shown[-1])
        assert text.startswith(start)
        assert text.endswith(end)


#: GitHub's: tables, strikethrough, HTML, and addresses that become links by themselves.
GITHUB = MarkdownIt("gfm-like")
GITHUB.linkify.set({"fuzzy_link": False})  # GitHub asks for "www." or a scheme
#: Text that is more likely than any other to be taken for Markdown.
signs = st.text(st.sampled_from("ab1 .)-+*_=~`#>|<&@:/\\[]()!$'\"\t\n\u2028"), max_size=30)
addresses = st.sampled_from(["https://a.bc", "www.a.bc", "a@b.cd", "mailto:a@b.cd", "@someone"])
hostile = st.one_of(signs, st.text(), st.lists(st.one_of(signs, addresses)).map(" ".join))


def shown_text(tokens: list[Token]) -> str:
    return "".join(
        token.content for token in tokens if token.type in ("text", "text_special", "softbreak")
    )


@given(hostile)
def test_text_is_a_paragraph_of_itself_in_markdown(text: str) -> None:
    tokens = GITHUB.parse(f"before\n\n{escape_markdown(text)}\n\nafter\n")
    paragraph = ["paragraph_open", "inline", "paragraph_close"]
    expected = " ".join(printable(text).splitlines()).strip()
    assert [token.type for token in tokens] == paragraph * (3 if expected else 2)
    if expected:
        parts = tokens[4].children or []
        kinds = {token.type for token in parts}
        assert kinds <= {"text", "text_special", "html_inline"}
        assert {token.content for token in parts if token.type == "html_inline"} <= {"<!-- -->"}
        assert shown_text(parts) == expected.replace("\0", "\ufffd")


@given(hostile)
def test_text_stays_within_its_cell_of_a_table(text: str) -> None:
    row = f"| {escape_markdown(text)} | second |"
    tokens = GITHUB.parse(f"| a | b |\n|---|---|\n{row}\n")
    cells = [tokens[at + 1] for at, token in enumerate(tokens) if token.type == "td_open"]
    assert len(cells) == 2
    assert cells[1].content == "second"
    assert "link_open" not in {token.type for token in cells[0].children or []}


@pytest.mark.parametrize("text", ["www.example.org", "WWW.example.org", "xmpp:a@b.cd/c"])
def test_what_github_alone_would_link_is_marked(text: str) -> None:
    assert re.search(r"\\[.:]", str(escape_markdown(text)))


def test_nobody_is_notified_and_numbers_stay_as_they_are() -> None:
    assert escape_markdown("@someone, a@b") == "@<!-- -->someone, a@<!-- -->b"
    for number in ("+39.2", "\u221239.2", "96.1\u00a0%", "2026-01-02 13:05", "1.5", "-"):
        assert str(escape_markdown(number)).lstrip("\\") == number
