"""Which classes each network takes for which, as a shaded matrix."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from tasks.compare.drawing import INK, STYLE, FigureFile, save_figure, subject, titled
from tasks.compare.names import drawable, shortened
from tasks.compare.summary import Summary
from tasks.compare.wording import count, percent
from tasks.contract.training import Metrics

#: Up to so many classes, counts stand in the cells, and names along the sides; beyond, numbers.
_MOST_COUNTS, MOST_NAMES = 20, 30
#: Characters of a name.
_LONGEST_NAME = 16
#: Width and height in inches: of few classes of short names (in characters), and of others.
_FEW, _SHORT, _SMALL, _LARGE = 6, 12, (4.4, 4.7), (6.0, 6.9)
#: Shares darker than this have light figures on them.
_DARK = 0.68


def draw_confusion(
    arm: str, title: str, metrics: Metrics, summary: Summary, folder: Path
) -> FigureFile:
    """The confusion matrix of one network's test, as ``<arm>-confusion``.

    A row is a true class, and its shades are shares of that class's test photos: a row without
    test photos stays blank.

    Args:
        arm: "scratch" or "transfer".
        title: what readers call it.
    """
    counts = np.array(metrics.confusion)
    names = [row.name for row in summary.classes]
    with matplotlib.rc_context(STYLE | {"axes.grid": False}):
        figure = _draw(counts, names, titled(f"{title}: test photos by class", summary.synthetic))
    caption = (
        f"{metrics.correct:,} of {count(metrics.photos, 'test photo')} "
        f"{'lies' if metrics.photos == 1 else 'lie'} on the diagonal ({percent(metrics.accuracy)})."
    )
    about = subject(title, summary.synthetic)
    alt = f"{about}: confusion matrix of {len(counts)} classes. {caption}"
    return save_figure(figure, folder, f"{arm}-confusion", caption, alt)


def _draw(counts: NDArray[np.int64], names: Sequence[str], title: str) -> Figure:
    small = len(names) <= _FEW and max(len(name) for name in names) <= _SHORT
    figure = Figure(figsize=_SMALL if small else _LARGE, layout="constrained")
    axes = figure.subplots()
    # Above the whole figure: over the axes alone, which long names make narrow, it would be cut.
    figure.suptitle(
        title,
        x=0.02,
        ha="left",
        size=STYLE["axes.titlesize"],
        weight=STYLE["axes.titleweight"],
    )
    support = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, support, out=np.full(counts.shape, np.nan), where=support > 0)
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
    bar = figure.colorbar(
        image, ax=axes, location="bottom", shrink=0.6, aspect=40, pad=0.02, format="{x:.0%}"
    )
    bar.set_label("Share of the row’s photos")
    bar.outline.set_visible(False)
    axes.spines[["top", "right"]].set_visible(True)
    axes.set_xlabel("Named by the network")
    axes.set_ylabel("True class")
    _draw_ticks(axes, names)
    if len(counts) <= _MOST_COUNTS:
        _draw_counts(axes, counts, shares)
        # Between the cells, or two dark ones would look like one.
        edges = np.arange(len(counts) - 1) + 0.5
        axes.hlines(edges, -0.5, len(counts) - 0.5, color="white", linewidth=1)
        axes.vlines(edges, -0.5, len(counts) - 0.5, color="white", linewidth=1)
    return figure


def numbered(names: Sequence[str]) -> bool:
    """Whether some ticks are the numbers of classes, so that readers need a key to them."""
    return len(names) > MOST_NAMES or not all(drawable(name) for name in names)


def _draw_ticks(axes: Axes, names: Sequence[str]) -> None:
    """Names, or from 1 the number of a class: of all, if there are many, or of one that no figure
    can show."""
    axes.tick_params(length=0)
    if len(names) > MOST_NAMES:
        steps = MaxNLocator(nbins=10, integer=True).tick_values(0, len(names))
        numbers = [1, *(round(step) for step in steps if 0 < step <= len(names))]
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_ticks([number - 1 for number in numbers], [f"{n}" for n in numbers])
        axes.set_xlabel("Named by the network (number of the class)")
        axes.set_ylabel("True class (number)")
        return
    labels = [
        shortened(name, _LONGEST_NAME) if drawable(name) else f"class {number}"
        for number, name in enumerate(names, start=1)
    ]
    size = 10 if len(names) <= 12 else 9 if len(names) <= _MOST_COUNTS else 8
    axes.set_xticks(
        range(len(names)), labels, rotation=45, ha="right", rotation_mode="anchor", size=size
    )
    axes.set_yticks(range(len(names)), labels, size=size)


def _draw_counts(axes: Axes, counts: NDArray[np.int64], shares: NDArray[np.float64]) -> None:
    size = 11 if len(counts) <= _FEW else 9.5 if len(counts) <= 12 else 7.5
    for row, column in np.argwhere(counts):
        dark = shares[row, column] > _DARK
        axes.text(
            column,
            row,
            f"{counts[row, column]}",
            ha="center",
            va="center",
            size=size,
            color="white" if dark else INK,
        )
