"""How every picture of the report looks."""

from dataclasses import dataclass

ORANGE, BLUE, SLATE = "#d95f02", "#0068b5", "#5f7f95"
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
}


@dataclass(frozen=True)
class FigureFile:
    """A picture of the report. ``alt`` says in words what it shows."""

    name: str
    caption: str
    alt: str
