"""One figure: ours beside the plain way's, their ratio, and what was aimed at."""

import json
import operator
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

LATEST = Path(__file__).with_name("latest.json")

_COMPARE = {">=": operator.ge, "<=": operator.le}


class Target(NamedTuple):
    """``ratio >= 1.2``, or ``ours <= 5``."""

    what: Literal["ratio", "ours"]
    sign: Literal[">=", "<="]
    value: float

    def __str__(self) -> str:
        return f"{self.what} {self.sign} {self.value:,g}"


class Figure(NamedTuple):
    """A measured pair.

    Attributes:
        name: what was measured, with its unit.
        plain, ours: the two measurements; ``plain`` is None where there is no plain way.
        ratio: how many times better ours is, whichever way the unit runs.
        target: what was aimed at; None for what is only reported.
    """

    name: str
    plain: float | None
    ours: float
    ratio: float | None
    target: Target | None

    @classmethod
    def of_rates(
        cls, name: str, plain: float | None, ours: float, target: Target | None = None
    ) -> "Figure":
        """More is better."""
        return cls(name, plain, ours, ours / plain if plain else None, target)

    @classmethod
    def of_costs(
        cls, name: str, plain: float | None, ours: float, target: Target | None = None
    ) -> "Figure":
        """Less is better."""
        return cls(name, plain, ours, plain / ours if plain else None, target)

    @property
    def met(self) -> bool | None:
        """Whether the target was reached; None without one."""
        if self.target is None:
            return None
        value = self.ratio if self.target.what == "ratio" else self.ours
        return value is not None and bool(_COMPARE[self.target.sign](value, self.target.value))


def best_seconds(ways: Sequence[Callable[[], object]], rounds: int = 3) -> list[float]:
    """The shortest time of each of several ways, run in turns so that all meet the same noise."""
    best = [float("inf")] * len(ways)
    for _ in range(rounds):
        for number, way in enumerate(ways):
            began = time.perf_counter()
            way()
            best[number] = min(best[number], time.perf_counter() - began)
    return best


def table(figures: Iterable[Figure]) -> str:
    """All figures as an aligned table."""
    rows = [("figure", "plain", "ours", "ratio", "target", "met")]
    for figure in figures:
        met = {True: "yes", False: "NO", None: ""}[figure.met]
        target = str(figure.target) if figure.target else ""
        numbers = (_spelled(figure.plain), _spelled(figure.ours), _spelled(figure.ratio))
        rows.append((figure.name, *numbers, target, met))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def save(figures: Iterable[Figure], path: Path = LATEST) -> None:
    """All figures as JSON, one object each."""
    rows = [
        {
            "name": figure.name,
            "plain": figure.plain,
            "ours": figure.ours,
            "ratio": figure.ratio,
            "target": str(figure.target) if figure.target else None,
            "met": figure.met,
        }
        for figure in figures
    ]
    path.write_text(json.dumps(rows, indent=1) + "\n")


def _spelled(number: float | None) -> str:
    if number is None:
        return ""
    return f"{number:,.0f}" if abs(number) >= 100 else f"{number:.3g}"
