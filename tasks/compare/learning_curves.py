"""The learning curves of one network. Training is orange and validation blue, as the lab
draws them.

The two shades are told apart with any colour vision, and the markers tell them apart in grey.
"""

from collections.abc import Sequence
from math import log
from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter

from tasks.compare.drawing import (
    BLUE,
    GREY,
    ORANGE,
    SIZE,
    STYLE,
    FigureFile,
    mark_border,
    save_figure,
    subject,
    titled,
)
from tasks.compare.summary import ArmSummary, Summary
from tasks.compare.wording import count, decimal, percent

#: A loss this many times that of even guessing would flatten all the rest of a linear axis.
_EXPLODED = 4


def draw_curves(arm: str, title: str, summary: Summary, folder: Path) -> list[FigureFile]:
    """Accuracy and loss of one network by epoch, as ``<arm>-accuracy`` and ``<arm>-loss``.

    Args:
        arm: "scratch" or "transfer".
        title: what readers call it.
    """
    network: ArmSummary = getattr(summary, arm)
    classes, synthetic = len(summary.classes), summary.synthetic
    with matplotlib.rc_context(STYLE):
        accuracy = _draw_accuracy(network, classes, titled(f"{title}: accuracy", synthetic))
        loss = _draw_loss(network, classes, titled(f"{title}: loss", synthetic))
        if network.border is not None:
            for figure in (accuracy, loss):
                label = f"{network.early_side} → {summary.data.image_size} px"
                mark_border(figure.axes[0], network.border + 0.5, label)
    last, epochs = network.history[-1], count(len(network.history), "epoch")
    accuracy_ends = (
        f"After {epochs}: training {percent(last.accuracy)}, "
        f"validation {percent(last.val_accuracy)}."
    )
    loss_ends = (
        f"After {epochs}: training {decimal(last.loss)} nats, "
        f"validation {decimal(last.val_loss)} nats."
    )
    about = subject(title, synthetic)
    return [
        save_figure(
            accuracy,
            folder,
            f"{arm}-accuracy",
            accuracy_ends,
            f"{about}, accuracy by epoch. {accuracy_ends}",
        ),
        save_figure(
            loss,
            folder,
            f"{arm}-loss",
            loss_ends,
            f"{about}, loss by epoch. {loss_ends}",
        ),
    ]


def _draw_accuracy(network: ArmSummary, classes: int, title: str) -> Figure:
    figure, axes = _axes(title, len(network.history))
    _draw_guessing(axes, 1 / classes, f"guessing (1 in {classes})")
    _draw_pair(
        axes,
        [epoch.accuracy for epoch in network.history],
        [epoch.val_accuracy for epoch in network.history],
    )
    axes.set_ylim(0, 1)
    axes.set_ylabel("Accuracy (share right)")
    _draw_legend(axes)
    return figure


def _draw_loss(network: ArmSummary, classes: int, title: str) -> Figure:
    figure, axes = _axes(title, len(network.history))
    guessing = log(classes)
    training = [epoch.loss for epoch in network.history]
    validation = [epoch.val_loss for epoch in network.history]
    _draw_guessing(axes, guessing, f"guessing (ln {classes})")
    _draw_pair(axes, training, validation)
    if max(training + validation) > _EXPLODED * guessing and min(training + validation) > 0:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:,g}")  # the usual one writes formulas
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.set_ylabel("Loss (cross-entropy, nats; log scale)")
    else:
        axes.set_ylim(0, 1.05 * max(training + validation + [guessing]))
        axes.set_ylabel("Loss (cross-entropy, nats)")
    _draw_legend(axes)
    return figure


def _axes(title: str, epochs: int) -> tuple[Figure, Axes]:
    figure = Figure(figsize=SIZE, layout="constrained")
    axes = figure.subplots()
    axes.set_title(title)
    axes.set_xlabel("Epoch")
    axes.set_xlim(0.5, epochs + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True, min_n_ticks=1))
    axes.grid(axis="x", visible=False)
    return figure, axes


def _draw_pair(axes: Axes, training: Sequence[float], validation: Sequence[float]) -> None:
    epochs = range(1, len(training) + 1)
    every = max(1, len(training) // 12)
    # Markers of two sizes: where the two points of an epoch coincide, both still show.
    axes.plot(epochs, training, color=ORANGE, marker="o", markersize=8, label="training")
    axes.plot(epochs, validation, color=BLUE, marker="s", markersize=5, label="validation")
    for line in axes.lines:
        line.set_markevery(every)
        line.set_clip_on(False)  # a marker at an accuracy of 1.0 shows whole


def _draw_guessing(axes: Axes, height: float, label: str) -> None:
    """The height that answering without looking would reach: the same for both networks."""
    axes.axhline(height, color=GREY, linestyle=":", linewidth=1.5, label=label)


def _draw_legend(axes: Axes) -> None:
    """Below the axes, where it hides no curve."""
    handles, labels = axes.get_legend_handles_labels()
    order = [1, 2, 0]
    axes.figure.legend(
        [handles[i] for i in order],
        [labels[i] for i in order],
        loc="outside lower center",
        ncols=3,
        columnspacing=1.2,
        handlelength=1.6,
        handletextpad=0.5,
    )
