"""How the networks' test accuracy, and the number of photos, went from run to run."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from tasks.compare.drawing import (
    ARM_COLOURS,
    SLATE,
    STYLE,
    FigureFile,
    save_figure,
    subject,
    titled,
)
from tasks.compare.earlier_runs import ListedArm, ListedRun
from tasks.compare.wording import percent

_SIZE = (4.8, 4.4)
#: Dates along the axis: more would run into one another.
_MOST_DATES = 8
#: How far beside a run's place each network stands, so that their intervals do not hide each other.
_ASIDE = {"scratch": -0.12, "transfer": 0.12}
_MARKERS = {"scratch": "D", "transfer": "o"}
_NAMES = {"scratch": "from scratch", "transfer": "transfer"}


def draw_accuracy_over_runs(runs: Sequence[ListedRun], synthetic: bool, folder: Path) -> FigureFile:
    """Test accuracies with their 95 % Wilson intervals, as ``accuracy-over-runs``.

    Args:
        runs: newest first; the first is the one that the report is of.
    """
    others = sum(not run.is_of_the_archive_of(runs[0]) for run in runs)
    with matplotlib.rc_context(STYLE):
        figure = _draw(runs, titled("Test accuracy, run by run", synthetic))
    told = "; ".join(
        f"{when}, transfer {percent(run.transfer.accuracy)}, "
        f"from scratch {percent(run.scratch.accuracy)}"
        for when, run in (("The last is this run", runs[0]), ("the one before it", runs[1]))
    )
    hollow = " Hollow marks are of another archive and do not compare." if others else ""
    caption = f"{told}.{hollow}"
    about = subject(f"Test accuracy of both networks in {len(runs)} runs", synthetic)
    alt = f"{about}, with 95\u00a0% intervals, and photos used. {caption}"
    return save_figure(figure, folder, "accuracy-over-runs", caption, alt)


def _draw(runs: Sequence[ListedRun], title: str) -> Figure:
    figure = Figure(figsize=_SIZE, layout="constrained")
    above, below = figure.subplots(2, sharex=True, height_ratios=(3, 1))
    oldest_first = list(reversed(runs))
    for name in ("scratch", "transfer"):
        arms = [getattr(run, name) for run in oldest_first]
        solid = [run.is_of_the_archive_of(runs[0]) for run in oldest_first]
        _draw_arm(above, name, arms, solid)
    above.set_title(title)
    above.set_ylim(0, 1)
    above.set_ylabel("Accuracy (share right)")
    below.bar(range(len(runs)), [run.photos_kept for run in oldest_first], 0.6, color=SLATE)
    below.yaxis.set_major_locator(MaxNLocator(nbins=3, integer=True, min_n_ticks=1))
    below.yaxis.set_major_formatter("{x:,.0f}")
    below.set_ylabel("Photos used")
    below.set_xlim(-0.6, len(runs) - 0.4)
    every = -(-len(runs) // _MOST_DATES)
    places = range((len(runs) - 1) % every, len(runs), every)  # so that this run has its date
    dates = [f"{oldest_first[place].created:%Y-%m-%d}" for place in places]
    below.set_xticks(places, dates, rotation=45, ha="right", rotation_mode="anchor", size=9)
    for axes in (above, below):
        axes.grid(axis="x", visible=False)
    figure.legend(loc="outside lower center", ncols=2, handletextpad=0.3)
    return figure


def _draw_arm(axes: Axes, name: str, arms: Sequence[ListedArm], solid: Sequence[bool]) -> None:
    """Each run's accuracy with its interval; the marks that are not ``solid`` are hollow."""
    places = [place + _ASIDE[name] for place in range(len(arms))]
    colour = ARM_COLOURS[name]
    axes.vlines(
        places,
        [arm.accuracy_low for arm in arms],
        [arm.accuracy_high for arm in arms],
        color=colour,
        linewidth=1.5,
        clip_on=False,
    )
    axes.scatter(
        places,
        [arm.accuracy for arm in arms],
        s=30,
        marker=_MARKERS[name],
        facecolors=[colour if one else "white" for one in solid],
        edgecolors=colour,
        linewidths=1.5,
        clip_on=False,
        zorder=3,
    )
    axes.scatter([], [], s=30, marker=_MARKERS[name], color=colour, label=_NAMES[name])
