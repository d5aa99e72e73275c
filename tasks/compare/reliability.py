"""Whether a network's probabilities can be believed: the reliability diagram.

As Guo et al. 2017 draw it ("On calibration of modern neural networks"), with the photos of each bin
below, because a bin of three photos says little; its interval says how little.
"""

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from tasks.compare.drawing import (
    ARM_COLOURS,
    INK,
    STYLE,
    FigureFile,
    save_figure,
    subject,
    titled,
)
from tasks.compare.summary import Summary
from tasks.compare.wording import count, percent
from tasks.contract.statistics import wilson_interval
from tasks.contract.training import Bin, Metrics

_SIZE = (4.8, 4.6)


def draw_reliability(
    arm: str, title: str, metrics: Metrics, summary: Summary, folder: Path
) -> FigureFile:
    """The reliability diagram of one network's test, as ``<arm>-reliability``.

    Args:
        arm: "scratch" or "transfer".
        title: what readers call it.
    """
    bins = [one for one in metrics.reliability if one.photos]
    with matplotlib.rc_context(STYLE):
        figure = _draw(bins, ARM_COLOURS[arm], titled(f"{title}: reliability", summary.synthetic))
    confidence = sum(one.photos * one.confidence for one in bins) / metrics.photos
    caption = (
        f"Expected calibration error {percent(metrics.calibration_error)}: on average "
        f"{percent(confidence)} sure, and right {percent(metrics.accuracy)} of the time."
    )
    about = subject(title, summary.synthetic)
    alt = f"{about}: accuracy by confidence in {count(len(bins), 'bin')}. {caption}"
    return save_figure(figure, folder, f"{arm}-reliability", caption, alt)


def _draw(bins: Sequence[Bin], colour: str, title: str) -> Figure:
    figure = Figure(figsize=_SIZE, layout="constrained")
    above, below = figure.subplots(2, sharex=True, height_ratios=(3, 1))
    sure = np.array([one.confidence for one in bins])
    right = np.array([one.accuracy for one in bins])
    ranges = [wilson_interval(round(one.accuracy * one.photos), one.photos) for one in bins]
    reach = np.array(
        [(at - low, high - at) for at, (low, high) in zip(right, ranges, strict=True)]
    ).T.clip(min=0)  # rounding may put a share of 0 or 1 a hair outside its interval
    above.plot([0, 1], [0, 1], color=INK, linestyle=":", linewidth=1.5, label="as sure as right")
    above.errorbar(
        sure,
        right,
        yerr=reach,
        color=colour,
        fmt="o",
        markersize=6,
        elinewidth=1.5,
        clip_on=False,
        label="photos of one bin, 95 % interval",
    )
    above.set_ylim(0, 1)
    above.set_ylabel("Accuracy (share right)")
    above.set_title(title)
    below.bar(
        [one.low for one in bins],
        [one.photos for one in bins],
        [one.high - one.low for one in bins],
        align="edge",
        color=colour,
        edgecolor="white",
        linewidth=0.6,
    )
    below.set_xlim(0, 1)
    below.yaxis.set_major_locator(MaxNLocator(nbins=3, integer=True, min_n_ticks=1))
    below.yaxis.set_major_formatter("{x:,.0f}")
    below.set_ylabel("Photos")
    below.set_xlabel("Confidence (probability of the answer)")
    below.grid(axis="x", visible=False)
    figure.legend(loc="outside lower center", ncols=2, handlelength=1.6, handletextpad=0.5)
    return figure
