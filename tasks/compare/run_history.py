"""This run among those before it: the table that page and Markdown share, and its figure."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from tasks.compare.accuracy_over_runs import draw_accuracy_over_runs
from tasks.compare.drawing import FigureFile
from tasks.compare.earlier_runs import ListedArm, ListedRun
from tasks.compare.names import shortened
from tasks.compare.summary import Summary
from tasks.compare.wording import percent, percent_range, points, utc

_UNKNOWN = "–"


class Cell(NamedTuple):
    """What stands in a cell, and smaller below or behind it."""

    text: str
    small: str = ""


@dataclass(frozen=True)
class RunHistory:
    """The runs, this one first, then those before it, newest first.

    Attributes:
        columns: title of each, and whether it holds numbers.
        figure: None if there is no run before this one.
    """

    columns: Sequence[tuple[str, bool]]
    rows: Sequence[Sequence[Cell]]
    figure: FigureFile | None


_COLUMNS = (
    ("Run, finished (UTC)", False),
    ("Archive, SHA-256", False),
    ("Photos used", True),
    ("Test photos", True),
    ("Image size", True),
    ("Recipe", False),
    ("Epochs (scratch, transfer)", True),
    ("Seed", True),
    ("From scratch", False),
    ("Transfer", False),
    ("Difference", True),
)


def write_run_history(summary: Summary, folder: Path) -> RunHistory:
    """Write the figure, if there is anything to compare with."""
    runs = [summary.as_listed, *(summary.earlier or [])]
    figure = draw_accuracy_over_runs(runs, summary.synthetic, folder) if len(runs) > 1 else None
    return RunHistory(_COLUMNS, [_row(run) for run in runs], figure)


def _row(run: ListedRun) -> list[Cell]:
    arms = (run.scratch, run.transfer)
    return [
        Cell(shortened(run.run_id), utc(run.created)),
        Cell(shortened(run.archive_key) or _UNKNOWN, run.archive_sha256[:12]),
        Cell(f"{run.photos_kept:,}"),
        Cell(f"{run.test_photos:,}"),
        _known(run.image_size),
        Cell(", ".join(dict.fromkeys(arm.recipe for arm in arms))),
        Cell(", ".join(_known(arm.epochs).text for arm in arms)),
        _known(run.seed),
        *(_accuracy(arm) for arm in arms),
        Cell(points(run.difference)),
    ]


def _known(value: int | None) -> Cell:
    return Cell(_UNKNOWN if value is None else str(value))


def _accuracy(arm: ListedArm) -> Cell:
    return Cell(percent(arm.accuracy), percent_range(arm.accuracy_low, arm.accuracy_high))
