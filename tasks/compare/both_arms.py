"""Both networks' accuracy on one axis: by epoch, and by the time that training had taken.

The networks have the colours of the page; markers and line styles tell them apart in grey.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator

from tasks.compare.drawing import (
    ARM_COLOURS,
    GREY,
    SIZE,
    STYLE,
    FigureFile,
    mark_border,
    save_figure,
    subject,
    titled,
)
from tasks.compare.summary import Summary
from tasks.compare.wording import duration, percent
from tasks.contract.training import Epoch

#: Beyond this ratio of the longer time to the shorter, a linear axis would hide the shorter.
_LOG_RATIO = 20
#: An axis of time has the largest unit (in seconds) of which it shows two.
_UNITS = {"hours": 3600.0, "minutes": 60.0, "seconds": 1.0}
#: The marks of a logarithmic one, in seconds.
_MARKS = {
    0.1: "0.1 s", 0.3: "0.3 s", 1: "1 s", 3: "3 s", 10: "10 s", 30: "30 s", 120: "2 min",
    600: "10 min", 1800: "30 min", 7200: "2 h", 36_000: "10 h", 180_000: "50 h",
}  # fmt: skip


class _Look(NamedTuple):
    title: str
    colour: str
    marker: str
    size: float


_LOOKS = {
    "transfer": _Look("transfer", ARM_COLOURS["transfer"], "o", 6),
    "scratch": _Look("from scratch", ARM_COLOURS["scratch"], "D", 4.5),
}
_Histories = Mapping[str, Sequence[Epoch]]


class _Border(NamedTuple):
    """After how many epochs of a network the photos became larger, and what says so."""

    epochs: int
    label: str


_Borders = Mapping[str, _Border]


def draw_both_arms(summary: Summary, folder: Path) -> list[FigureFile]:
    """Validation and, fainter, training accuracy: ``both-by-epoch`` and ``both-by-time``."""
    histories = {"transfer": summary.transfer.history, "scratch": summary.scratch.history}
    borders = _borders(summary)
    classes, synthetic = len(summary.classes), summary.synthetic
    with matplotlib.rc_context(STYLE):
        title = titled("Both: accuracy by epoch", synthetic)
        by_epoch = _draw_by_epoch(histories, borders, classes, title)
        title = titled("Both: accuracy by time", synthetic)
        by_time = _draw_by_time(histories, borders, classes, title)
    in_epochs = _best(histories, lambda history, at: f"in epoch {at + 1} of {len(history)}")
    in_time = _best(histories, lambda history, at: f"after {duration(history[at].seconds)}")
    about = f"{subject('Both networks', synthetic)}, training and validation accuracy by"
    return [
        save_figure(by_epoch, folder, "both-by-epoch", in_epochs, f"{about} epoch. {in_epochs}"),
        save_figure(by_time, folder, "both-by-time", in_time, f"{about} elapsed time. {in_time}"),
    ]


def _borders(summary: Summary) -> _Borders:
    networks = {"transfer": summary.transfer, "scratch": summary.scratch}
    size = summary.data.image_size
    return {
        arm: _Border(network.border, f"{_LOOKS[arm].title}: {network.early_side} → {size} px")
        for arm, network in networks.items()
        if network.border is not None
    }


def _best(histories: _Histories, when: Callable[[Sequence[Epoch], int], str]) -> str:
    """The highest validation accuracy of each network, and when it was first reached."""
    parts = []
    for arm, history in histories.items():
        at = max(range(len(history)), key=lambda number: history[number].val_accuracy)
        best = percent(history[at].val_accuracy)
        parts.append(f"{_LOOKS[arm].title} {best} {when(history, at)}")
    return f"Highest validation accuracy: {', '.join(parts)}."


def _draw_by_epoch(histories: _Histories, borders: _Borders, classes: int, title: str) -> Figure:
    places = {arm: range(1, len(history) + 1) for arm, history in histories.items()}
    figure, axes = _draw(histories, places, classes, title)
    longest = max(len(history) for history in histories.values())
    axes.set_xlim(0.5, longest + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True, min_n_ticks=1))
    axes.set_xlabel("Epoch")
    for border in borders.values():
        mark_border(axes, border.epochs + 0.5, border.label)
    return figure


def _draw_by_time(histories: _Histories, borders: _Borders, classes: int, title: str) -> Figure:
    ends = [history[-1].seconds for history in histories.values()]
    logarithmic = min(ends) > 0 and max(ends) > _LOG_RATIO * min(ends)
    unit = next((name for name, size in _UNITS.items() if max(ends) >= 2 * size), "seconds")
    size = 1.0 if logarithmic else _UNITS[unit]
    places = {arm: [epoch.seconds / size for epoch in own] for arm, own in histories.items()}
    figure, axes = _draw(histories, places, classes, title)
    for arm, border in borders.items():
        mark_border(axes, places[arm][border.epochs - 1], border.label)
    if logarithmic:
        first = min(seconds for own in places.values() for seconds in own if seconds > 0)
        axes.set_xscale("log")
        axes.set_xlim(first / 1.5, max(ends) * 1.5)
        marks = [seconds for seconds in _MARKS if first / 1.5 <= seconds <= max(ends) * 1.5]
        axes.set_xticks(marks, [_MARKS[seconds] for seconds in marks])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xlabel("Time since training began (log scale)")
    else:
        axes.set_xlim(0, max(1.03 * max(ends) / size, 1e-3))
        axes.set_xlabel(f"Time since training began ({unit})")
    return figure


def _draw(
    histories: _Histories, places: Mapping[str, Sequence[float]], classes: int, title: str
) -> tuple[Figure, Axes]:
    """Both networks' curves over their places on the x axis."""
    figure = Figure(figsize=SIZE, layout="constrained")
    axes = figure.subplots()
    axes.set_title(title)
    axes.grid(axis="x", visible=False)
    axes.axhline(1 / classes, color=GREY, linestyle=":", linewidth=1.5)
    for arm, history in histories.items():
        look, every = _LOOKS[arm], max(1, len(history) // 12)
        axes.plot(
            places[arm],
            [epoch.accuracy for epoch in history],
            color=look.colour,
            linestyle=(0, (3, 1.5)),
            linewidth=1.2,
            marker=look.marker,
            markersize=look.size - 2.5,
            markevery=every,
            alpha=0.75,
            label=f"{look.title}, training",
        )
        axes.plot(
            places[arm],
            [epoch.val_accuracy for epoch in history],
            color=look.colour,
            marker=look.marker,
            markersize=look.size,
            markevery=every,
            label=f"{look.title}, validation",
        )
    for line in axes.lines[1:]:
        line.set_clip_on(False)  # a marker at an accuracy of 1.0 shows whole
    axes.set_ylim(0, 1)
    axes.set_ylabel("Accuracy (share right)")
    # Below the axes, where it hides no curve.
    figure.legend(
        loc="outside lower center",
        ncols=2,
        columnspacing=1.2,
        handlelength=2.4,
        handletextpad=0.5,
    )
    return figure, axes
