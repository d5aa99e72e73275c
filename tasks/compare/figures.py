"""All figures about the two networks; those about the data are the data card's."""

from dataclasses import dataclass
from pathlib import Path

from tasks.compare.both_arms import draw_both_arms
from tasks.compare.confusion_matrix import draw_confusion
from tasks.compare.drawing import FigureFile
from tasks.compare.evidence import Evidence
from tasks.compare.learning_curves import draw_curves
from tasks.compare.reliability import draw_reliability
from tasks.compare.summary import Summary

_TITLES = {"scratch": "From scratch", "transfer": "Transfer"}


@dataclass(frozen=True)
class Figures:
    """By network ("scratch", "transfer"), or of ``both`` on one axis."""

    curves: dict[str, list[FigureFile]]
    both: list[FigureFile]
    confusion: dict[str, FigureFile]
    reliability: dict[str, FigureFile]


def draw_figures(evidence: Evidence, summary: Summary, folder: Path) -> Figures:
    """Write every figure into the folder."""
    metrics = {"scratch": evidence.scratch.metrics, "transfer": evidence.transfer.metrics}
    return Figures(
        curves={arm: draw_curves(arm, title, summary, folder) for arm, title in _TITLES.items()},
        both=draw_both_arms(summary, folder),
        confusion={
            arm: draw_confusion(arm, title, metrics[arm], summary, folder)
            for arm, title in _TITLES.items()
        },
        reliability={
            arm: draw_reliability(arm, title, metrics[arm], summary, folder)
            for arm, title in _TITLES.items()
        },
    )
