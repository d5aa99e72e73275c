"""How every figure of the report looks, and the one way it is written."""

from dataclasses import dataclass
from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

ORANGE, BLUE, SLATE = "#d95f02", "#0068b5", "#5f7f95"
#: The two networks, as the page's style sheet has them; markers tell them apart in grey.
ARM_COLOURS = {"transfer": "#1a6b4c", "scratch": "#7b837f"}
INK, GREY = "#1d2321", "#69706c"

#: In inches and dots per inch. A page shows 100 dots of it as 50 CSS pixels or a little less, so
#: 10.5 points come out at 14 pixels or a little less.
SIZE, DOTS = (4.8, 3.3), 200
STYLE = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same picture on every machine
    "font.size": 10.5,
    "axes.titlesize": 12,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e3e6e4",
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "legend.fontsize": 10,
    "lines.linewidth": 2,
    "text.parse_math": False,  # a name from the archive may hold dollar signs
    "svg.fonttype": "path",  # the same letters on every machine
    "svg.hashsalt": "wildlife",  # identifiers inside an SVG are random without
}


@dataclass(frozen=True)
class FigureFile:
    """A figure of the report: a PNG file, and the same as SVG.

    Attributes:
        name, vector: the two files.
        width, height: of the PNG, in pixels.
        alt: says in words what the figure shows.
    """

    name: str
    vector: str
    width: int
    height: int
    caption: str
    alt: str


def titled(title: str, synthetic: bool) -> str:
    """A figure's title: one of made-up photos says so, for a figure may be shown by itself."""
    return f"SYNTHETIC DATA\n{title}" if synthetic else title


def mark_border(axes: Axes, place: float, label: str) -> None:
    """A thin vertical line with a label above it: where photos of another size begin.

    The title moves up for the label, which would hide curves if it stood among them.
    """
    axes.axvline(place, color=GREY, linewidth=1)
    axes.annotate(
        label,
        (place, 1),
        (0, 3),
        xycoords=("data", "axes fraction"),
        textcoords="offset points",
        ha="center",
        va="bottom",
        size=9,
    )
    axes.set_title(axes.get_title("left"), pad=22)


def subject(name: str, synthetic: bool) -> str:
    """What a figure is of, as its ``alt`` begins."""
    return f"{name}, synthetic data" if synthetic else name


def save_figure(figure: Figure, folder: Path, name: str, caption: str, alt: str) -> FigureFile:
    """Write ``<name>.png`` and ``<name>.svg``. The same figure gives the same bytes."""
    with matplotlib.rc_context(STYLE):
        figure.savefig(folder / f"{name}.png", dpi=DOTS)
        figure.savefig(folder / f"{name}.svg", metadata={"Date": None})
    width, height = (round(side * DOTS) for side in figure.get_size_inches())
    return FigureFile(f"{name}.png", f"{name}.svg", width, height, caption, alt)
