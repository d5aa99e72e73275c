"""How large the photos are and what shape they have.

Both axes of pixels and of shape are logarithmic: twice as large is as far as half as large.
"""

from collections.abc import Sequence
from math import ceil, floor, log2
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator
from numpy.typing import NDArray

from tasks.compare.drawing import (
    INK,
    SIZE,
    SLATE,
    STYLE,
    FigureFile,
    save_figure,
    subject,
    titled,
)
from tasks.compare.summary import Spread, Summary
from tasks.contract.photos import Photo

#: Shapes beyond this are counted at the edge, or one panorama would press all others together.
_LONGEST = 4.0
_SHAPES = {"1:4": 1 / 4, "1:2": 1 / 2, "2:3": 2 / 3, "1:1": 1, "3:2": 3 / 2, "2:1": 2, "4:1": 4}


def draw_distributions(photos: Sequence[Photo], summary: Summary, folder: Path) -> list[FigureFile]:
    """Histograms of the longer side and of the aspect ratio of the photos that are used."""
    width = np.array([photo.width for photo in photos], dtype=np.float64)
    height = np.array([photo.height for photo in photos], dtype=np.float64)
    data, synthetic = summary.data, summary.synthetic
    with matplotlib.rc_context(STYLE):
        title = titled("Size of the photos", synthetic)
        sides = _draw_sides(np.maximum(width, height), data.image_size, title)
        shapes = _draw_shapes(width / height, titled("Shape of the photos", synthetic))
    sides_caption = f"Longer side: {_in_words(data.longer_side, ',.0f', ' pixels')}."
    shapes_caption = f"Width divided by height: {_in_words(data.aspect_ratio, '.2f')}."
    return [
        save_figure(
            sides,
            folder,
            "photo-sizes",
            sides_caption,
            f"{subject('Histogram of the photos’ size', synthetic)}. {sides_caption}",
        ),
        save_figure(
            shapes,
            folder,
            "photo-shapes",
            shapes_caption,
            f"{subject('Histogram of the photos’ shape', synthetic)}. {shapes_caption}",
        ),
    ]


def _in_words(spread: Spread, digits: str, unit: str = "") -> str:
    median = f"{spread.median:{digits}}{unit}"
    if spread.smallest == spread.largest:
        return f"{median} in every photo"
    return (
        f"median {median}, half of the photos between {spread.lower_quartile:{digits}} and "
        f"{spread.upper_quartile:{digits}}, all between {spread.smallest:{digits}} and "
        f"{spread.largest:{digits}}"
    )


def _draw_sides(longer: NDArray[np.float64], image_size: int, title: str) -> Figure:
    low = floor(log2(min(longer.min(), image_size)))
    high = max(ceil(log2(max(longer.max(), image_size))), low + 2)
    figure, axes = _axes(title)
    _draw_bars(axes, longer, 2.0 ** np.arange(low, high + 0.01, 1 / 8))
    _draw_mark(axes, image_size, f"what the networks see: {image_size}")
    every = ceil((high - low) / 8)
    ticks = 2.0 ** np.arange(low, high + 1, every)
    axes.set_xticks(ticks, [f"{tick:.0f}" for tick in ticks])
    axes.set_xlabel("Longer side (pixels, log scale)")
    return figure


def _draw_shapes(ratio: NDArray[np.float64], title: str) -> Figure:
    figure, axes = _axes(title)
    octaves = log2(_LONGEST)
    # An odd number of bars, so that squares stand in the middle of one.
    edges = 2.0 ** np.linspace(-octaves, octaves, 26)
    _draw_bars(axes, np.clip(ratio, edges[0], edges[-1]), edges)
    _draw_mark(axes, 1.0, "what the networks see: 1:1")
    axes.set_xticks(list(_SHAPES.values()), list(_SHAPES))
    beyond = int(np.sum((ratio < edges[0]) | (ratio > edges[-1])))
    axes.set_xlabel(
        "Width : height (log scale)" + (f"; {beyond:,} beyond, at the edges" if beyond else "")
    )
    return figure


def _axes(title: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=SIZE, layout="constrained")
    axes = figure.subplots()
    axes.set_title(title)
    axes.set_xscale("log", base=2)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_ylabel("Photos")
    axes.yaxis.set_major_locator(
        MaxNLocator(nbins=6, integer=True, min_n_ticks=1, steps=[1, 2, 5, 10])
    )
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.grid(axis="x", visible=False)
    return figure, axes


def _draw_bars(axes: Axes, values: NDArray[np.float64], edges: NDArray[np.float64]) -> None:
    axes.hist(values, edges.tolist(), color=SLATE, edgecolor="white", linewidth=0.6)
    axes.set_xlim(edges[0], edges[-1])


def _draw_mark(axes: Axes, place: float, label: str) -> None:
    axes.axvline(place, color=INK, linestyle=":", linewidth=1.8, label=label)
    axes.figure.legend(loc="outside lower center", handlelength=1.6, handletextpad=0.5)
