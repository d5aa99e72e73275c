"""The accuracy of both networks over the retrainings, as a drawing (SVG) and in words."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import ceil, floor

from markupsafe import Markup, escape

from tasks.contract.headline import Headline

#: The newest so many are drawn: more bars than this lie on each other.
_MOST = 60
#: Heights are pixels. Widths are shares of what room there is, so that words, markers and lines
#: keep their size on a phone; the lines that join the points are stretched (``_WIDTH`` units).
_WIDTH, _HEIGHT, _TOP, _BOTTOM = 1000, 300, 12, 34
#: So many dates at most stand below it; a narrow page shows the first and the last alone.
_DATES = 6
#: The words stand beside it in the page.
_ROLE = 'role="img" aria-labelledby="trend-words"'
_ARMS = ("scratch", "transfer")
_NAMES = {"scratch": "From scratch", "transfer": "Transfer"}
#: The two are told apart without colour: by the marker, its filling, the dashes, and the place.
_APART = 3


@dataclass(frozen=True)
class Trend:
    """Some runs' accuracies over time.

    Attributes:
        drawing: SVG in an element of HTML, to stand in a page; without style of its own.
        words: what it shows.
        archive: key of the archive that all of them were trained on.
    """

    drawing: Markup
    words: str
    archive: str


def trend_of(headlines: Iterable[Headline]) -> Trend | None:
    """What became of the accuracies from one training to the next.

    Runs that found nothing changed did not train, and tell nothing new. Those of another archive
    than the newest run's do not compare with it.

    Returns:
        None unless there are two to compare.
    """
    newest_first = sorted(headlines, key=lambda headline: headline.finished, reverse=True)
    if not newest_first:
        return None
    archive = newest_first[0].archive
    computed = [
        headline for headline in newest_first if headline.archive == archive and not headline.cached
    ]
    shown = computed[:_MOST][::-1]
    if len(shown) < 2:
        return None
    return Trend(Markup(_svg(shown)), _words(shown, len(computed)), archive)  # noqa: S704 (escaped)


def _words(shown: Sequence[Headline], trainings: int) -> str:
    first, last = shown[0], shown[-1]
    many = f"the newest {len(shown)} of {trainings}" if trainings > len(shown) else str(len(shown))
    changes = "; ".join(
        f"{_NAMES[arm].lower()} from {_percent(_accuracy(first, arm))} to "
        f"{_percent(_accuracy(last, arm))}"
        for arm in reversed(_ARMS)
    )
    return (
        f"Test accuracy with 95 % intervals over {many} trainings, {first.finished:%Y-%m-%d} to "
        f"{last.finished:%Y-%m-%d}: {changes}."
    )


def _svg(shown: Sequence[Headline]) -> str:
    """The axis and the drawing beside it, oldest training on the left, each as far from the next.

    Its place in the page says how wide it is.
    """
    low, high, step = _scale(shown)

    def y(share: float) -> float:
        return _TOP + (high - share) / (high - low) * (_HEIGHT - _TOP - _BOTTOM)

    def x(place: int) -> float:
        return (place + 0.5) / len(shown)

    ticks = [low + tick * step for tick in range(round((high - low) / step) + 1)]
    parts = [f'<div class="trend" {_ROLE}><svg class="axis">']
    for share in ticks:
        parts.append(f'<text x="100%" y="{y(share) + 4:.1f}">{100 * share:.0f} %</text>')
    parts.append('</svg><svg class="plot">')
    for share in ticks:
        parts.append(f'<line class="grid" x2="100%" y1="{y(share):.1f}" y2="{y(share):.1f}"/>')
    for place in _dated(len(shown)):
        inner = ' class="inner"' if 0 < place < len(shown) - 1 else ""
        parts.append(
            f'<text{inner} x="{x(place):.2%}" y="{_HEIGHT - 12}">'
            f"{shown[place].finished:%Y-%m-%d}</text>"
        )
    for arm, aside in zip(_ARMS, (-_APART, _APART), strict=True):
        line = " ".join(
            f"{_WIDTH * x(place):.1f},{y(_accuracy(run, arm)):.1f}"
            for place, run in enumerate(shown)
        )
        parts.append(
            f'<g class="{arm}" transform="translate({aside})">'
            f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" preserveAspectRatio="none">'
            f'<polyline points="{line}"/></svg>'
        )
        parts += [_point(x(place), run, arm, y) for place, run in enumerate(shown)]
        parts.append("</g>")
    parts.append("</svg></div>")
    return "".join(parts)


def _dated(number: int) -> list[int]:
    """The places, of so many, with their date below: both ends, and evenly some between."""
    dates = min(number, _DATES)
    return [round(date * (number - 1) / (dates - 1)) for date in range(dates)]


def _point(at: float, run: Headline, arm: str, y: Callable[[float], float]) -> str:
    middle = y(_accuracy(run, arm))
    top, bottom = y(_accuracy(run, arm, "_high")), y(_accuracy(run, arm, "_low"))
    said = (
        f"{_NAMES[arm]}, {run.finished:%Y-%m-%d %H:%M}: {_percent(_accuracy(run, arm))} "
        f"({_percent(_accuracy(run, arm, '_low'))} to {_percent(_accuracy(run, arm, '_high'))}), "
        f"{run.run_id}"
    )
    marker = (
        f'<circle cx="{at:.2%}" cy="{middle:.1f}" r="4"/>'
        if arm == "transfer"
        else f'<rect x="{at:.2%}" y="{middle:.1f}" width="7" height="7" '
        'transform="translate(-3.5 -3.5)"/>'
    )
    return (
        f"<g><title>{escape(said)}</title>"
        f'<line x1="{at:.2%}" x2="{at:.2%}" y1="{top:.1f}" y2="{bottom:.1f}"/>{marker}</g>'
    )


def _scale(shown: Sequence[Headline]) -> tuple[float, float, float]:
    """Lowest and highest share on the axis, and the step between its lines."""
    lowest = min(_accuracy(run, arm, "_low") for run in shown for arm in _ARMS)
    highest = max(_accuracy(run, arm, "_high") for run in shown for arm in _ARMS)
    step = 0.2 if highest - lowest > 0.5 else 0.1 if highest - lowest > 0.2 else 0.05
    low = floor(lowest / step + 1e-9) * step
    high = ceil(highest / step - 1e-9) * step
    return low, max(high, low + step), step


def _accuracy(run: Headline, arm: str, end: str = "") -> float:
    return float(getattr(run, f"{arm}_accuracy{end}"))


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
