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
from tasks.compare.against_champion import against_champion
from tasks.compare.confusion_matrix import MOST_NAMES, numbered
from tasks.compare.data_card import DataCard
from tasks.compare.figures import Figures
from tasks.compare.names import printable, shortened
from tasks.compare.run_history import RunHistory
from tasks.compare.shown_photos import PhotoGroup
from tasks.compare.summary import StepOrigin, Summary

#: Marks of Markdown wherever they stand.
_MARKS = re.compile(r"[\\`*_\[\]|#~$!]")
#: Where those of a list, a rule or a heading would begin, which count at the start of a line only.
_FIRST_MARK = re.compile(r"^(\d{1,9}(?=[.)](?:\s|$))|(?=[-+](?:\s|$)|--|=+$))")
#: Where GitHub's Markdown takes text for an address, without a mark, and makes a link of it; and
#: where for the name of a person, whom it would then notify.
_ADDRESS = re.compile(r"(?=://)|(?<=www)(?=\.)|(?<=mailto)(?=:)|(?<=xmpp)(?=:)", re.IGNORECASE)
_PERSON = re.compile(r"@(?=\w)")


def render_page(
    summary: Summary,
    figures: Figures,
    shown: Sequence[PhotoGroup],
    card: DataCard,
    history: RunHistory,
    folder: Path,
) -> str:
    """The page as HTML5 that stands alone: style and pictures are inside.

    Args:
        folder: where the pictures' files lie.
    """
    environment = _environment(_printable)
    environment.filters["breakable"] = _breakable
    environment.filters["data_uri"] = lambda picture: _data_uri(folder / picture.name)
    environment.filters["jpeg_uri"] = lambda content: _uri("image/jpeg", content)
    return _render(environment, "index.html.j2", summary, figures, shown, card, history)


def render_markdown(
    summary: Summary,
    figures: Figures,
    shown: Sequence[PhotoGroup],
    card: DataCard,
    history: RunHistory,
) -> str:
    """The same as GitHub-flavoured Markdown that refers to the files beside it.

    It leaves the lists of files to the CSV files: Markdown cannot fold them away.
    """
    environment = _environment(escape_markdown)
    return _render(environment, "report.md.j2", summary, figures, shown, card, history)


def escape_markdown(value: object) -> object:
    """Text that GitHub's Markdown, and the HTML it becomes, show as it is, on one line."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    line = _MARKS.sub(r"\\\g<0>", " ".join(printable(value).splitlines()).strip())
    line = _ADDRESS.sub(r"\\", _FIRST_MARK.sub(r"\1\\", line))
    return Markup(_PERSON.sub("@<!-- -->", str(escape(line))))  # noqa: S704


def _render(
    environment: Environment,
    name: str,
    summary: Summary,
    figures: Figures,
    shown: Sequence[PhotoGroup],
    card: DataCard,
    history: RunHistory,
) -> str:
    steps = list(summary.origin.values())
    return environment.get_template(name).render(
        summary=summary,
        figures=figures,
        classes_are_numbered=numbered([row.name for row in summary.classes]),
        most_names=MOST_NAMES,
        shown=shown,
        card=card,
        champion=against_champion(summary),
        history=history,
        properties=list(dict.fromkeys(fact for step in steps for fact in step.produced_by)),
        options=_options(steps),
    )


def _options(steps: Sequence[StepOrigin]) -> dict[str, str]:
    """Each option's value in words: one run has one configuration, of which a step saw its slice.

    An option that was left empty has the value of the recipe, which may differ by network.
    """
    found: dict[str, list[str]] = {}
    for step in steps:
        for name, value in step.options.items():
            found.setdefault(name, []).append(_option(value, step.from_recipe.get(name)))
    return {name: ", ".join(dict.fromkeys(values)) for name, values in found.items()}


def _option(value: object, from_recipe: object) -> str:
    if value is None:
        return "as the recipe" if from_recipe is None else f"{from_recipe} (as the recipe)"
    if isinstance(value, bool):
        return str(value).lower()  # as it is given
    return "(empty)" if value == "" else str(value)


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
    for name in ("percent", "points", "decimal", "duration", "rate", "p_value", "size", "utc"):
        environment.filters[name] = getattr(wording, name)
    environment.filters["shortened"] = shortened
    environment.globals["count"] = wording.count
    environment.globals["percent_range"] = wording.percent_range
    environment.globals["points_range"] = wording.points_range
    return environment


def _printable(value: object) -> object:
    """Text without what no page may hold, still markup if it was; other values as they are."""
    return type(value)(printable(value)) if isinstance(value, str) else value


def _breakable(name: str) -> Markup:
    """A name, shortened, that a narrow column may break after its underscores and hyphens."""
    # A str, for Markup escapes what re.sub puts in.
    escaped = str(escape(printable(shortened(name))))
    return Markup(re.sub(r"([_/-])", r"\1<wbr>", escaped))  # noqa: S704


def _data_uri(path: Path) -> str:
    kind = {".png": "image/png", ".jpg": "image/jpeg"}[path.suffix]
    return _uri(kind, path.read_bytes())


def _uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{b64encode(content).decode()}"
