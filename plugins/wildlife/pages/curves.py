"""A training's curves as paths of SVG, drawn by hand: two lines in a frame, and what its axes say.

The frame is ``WIDTH`` by ``HEIGHT`` of the drawing's own units; y grows downwards.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 300.0, 120.0
#: More points than this cannot be told apart at that width.
_MOST_POINTS = 300


@dataclass(frozen=True)
class Chart:
    """Training and validation over the epochs, and the labels of the axes.

    Attributes:
        training, validation: paths; empty before the first epoch has ended.
        top, middle: what the upper end of the y axis stands for and its middle; the lower is 0.
        last: the epoch at the right end of the x axis; empty if it is the first or not known.
        told: the newest values, in words.
    """

    training: str
    validation: str
    top: str
    middle: str
    last: str
    told: str


def accuracy_chart(training: Sequence[float], validation: Sequence[float], epochs: int) -> Chart:
    """Of accuracies, 0..1, over so many epochs."""
    return Chart(
        training=path(training, epochs, 1.0),
        validation=path(validation, epochs, 1.0),
        top="100 %",
        middle="50 %",
        last=_last(epochs, training),
        told=_told(training, validation, lambda value: f"{100 * value:.1f}\N{NO-BREAK SPACE}%"),
    )


def loss_chart(training: Sequence[float], validation: Sequence[float], epochs: int) -> Chart:
    """Of cross-entropies, in nats, over so many epochs."""
    top = round_above(max(filter(math.isfinite, (*training, *validation)), default=0.0))
    return Chart(
        training=path(training, epochs, top),
        validation=path(validation, epochs, top),
        top=f"{top:g}",
        middle=f"{top / 2:g}",
        last=_last(epochs, training),
        told=_told(training, validation, lambda value: f"{value:.3f}"),
    )


def path(values: Sequence[float], epochs: int, top: float) -> str:
    """A line through one value per epoch, the first at x = 0 and the last possible at ``WIDTH``.

    What is above ``top`` or below 0 is drawn at the frame; a value that is no finite number is
    left out, and the line is broken there.
    """
    last = max(epochs, len(values)) - 1
    pen, steps = "M", []
    for index in _drawn(len(values)):
        value = values[index]
        if not math.isfinite(value):
            pen = "M"
            continue
        x = WIDTH * index / last if last else WIDTH / 2
        y = HEIGHT * (1 - min(max(value / top, 0.0), 1.0))
        steps.append(f"{pen}{x:.1f} {y:.1f}")
        pen = "L"
    # A line of no length has round ends: a dot, so that a single epoch is seen.
    return "".join(steps) + "h0" if steps else ""


def round_above(value: float) -> float:
    """The least of 1, 2 and 5 times a power of ten that is not below a value; 1 for nothing."""
    if not (math.isfinite(value) and value > 1e-9):
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next((step * power for step in (1, 2, 5) if step * power >= value), 10 * power)


def _last(epochs: int, values: Sequence[float]) -> str:
    last = max(epochs, len(values))
    return str(last) if last > 1 else ""


def _told(
    training: Sequence[float], validation: Sequence[float], say: Callable[[float], str]
) -> str:
    if not (training and validation):
        return "no epoch has ended yet"
    return f"training {say(training[-1])}, validation {say(validation[-1])}"


def _drawn(count: int) -> list[int]:
    """Which of so many points are drawn: all, or evenly many with the first and the last."""
    if count <= _MOST_POINTS:
        return list(range(count))
    return [round(step * (count - 1) / (_MOST_POINTS - 1)) for step in range(_MOST_POINTS)]
