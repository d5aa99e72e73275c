"""The report as a web page and as Markdown, both rendered from the summary.

Names of classes and files come from the archive and are hostile input: each template engine here
escapes every value by default, and the page forbids itself, by its Content-Security-Policy, to run
or fetch anything.
"""

import re
from base64 import b64encode
from collections.abc import Callable, Sequence
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from tasks.compare import wording
from tasks.compare.data_card import DataCard
from tasks.compare.drawing import FigureFile
from tasks.compare.summary import Summary

#: Control characters, which no page may hold, and those that turn the direction of writing, with
#: which a name could pose as another. A file name in an archive can hold either.
_CONTROLS = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufdd0-\ufdef\ufffe\uffff]"
)
_LONGEST = 160
_MARKDOWN = re.compile(r"([\\`*_\[\]|#~$!])")


def render_page(
    summary: Summary, curves: Sequence[Sequence[FigureFile]], card: DataCard, folder: Path
) -> str:
    """The page as HTML5 that stands alone: style and pictures are inside.

    Args:
        curves: the figures of each network.
        folder: where the pictures' files lie.
    """
    environment = _environment(_printable)
    environment.filters["breakable"] = _breakable
    environment.filters["data_uri"] = lambda picture: _data_uri(folder / picture.name)
    return _render(environment, "index.html.j2", summary, curves, card)


def render_markdown(
    summary: Summary, curves: Sequence[Sequence[FigureFile]], card: DataCard
) -> str:
    """The same as GitHub-flavoured Markdown that refers to the files beside it.

    It leaves the lists of files to the CSV files: Markdown cannot fold them away.
    """
    return _render(_environment(escape_markdown), "report.md.j2", summary, curves, card)


def escape_markdown(value: object) -> object:
    """Text that Markdown, and the HTML it becomes, show as it is, on one line."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    line = " ".join(str(_printable(value)).splitlines())
    return escape(_MARKDOWN.sub(r"\\\1", line))


def _render(
    environment: Environment,
    name: str,
    summary: Summary,
    curves: Sequence[Sequence[FigureFile]],
    card: DataCard,
) -> str:
    steps = list(summary.origin.values())
    return environment.get_template(name).render(
        summary=summary,
        curves=curves,
        card=card,
        properties=list(dict.fromkeys(fact for step in steps for fact in step.produced_by)),
        # One run has one configuration, of which each step saw its slice.
        options={name: value for step in steps for name, value in step.options.items()},
    )


def _environment(finalize: Callable[[object], object]) -> Environment:
    environment = Environment(
        autoescape=True,
        finalize=finalize,
        loader=PackageLoader("tasks.compare"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    for name in ("percent", "points", "decimal", "duration", "rate", "p_value", "size"):
        environment.filters[name] = getattr(wording, name)
    environment.filters["shortened"] = _shortened
    environment.globals["percent_range"] = wording.percent_range
    return environment


def _printable(value: object) -> object:
    if isinstance(value, str) and _CONTROLS.search(value):
        return _CONTROLS.sub("\N{REPLACEMENT CHARACTER}", value)
    return value


def _shortened(text: str) -> str:
    """Its two ends: an archive may hold names of 65,535 characters, and a page a hundred such."""
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST // 2]}…{text[-_LONGEST // 2 :]}"


def _breakable(name: str) -> Markup:
    """A name that a narrow column may break after its underscores and hyphens."""
    escaped = str(escape(_printable(name)))  # a str, for Markup escapes what re.sub puts in
    return Markup(re.sub(r"([_/-])", r"\1<wbr>", escaped))  # noqa: S704


def _data_uri(path: Path) -> str:
    kind = {".png": "image/png", ".jpg": "image/jpeg"}[path.suffix]
    return f"data:{kind};base64,{b64encode(path.read_bytes()).decode()}"
