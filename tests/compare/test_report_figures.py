"""The figures hold for few and many classes, hostile names and unequal trainings."""

from pathlib import Path
from types import SimpleNamespace

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from tasks.compare import both_arms, confusion_matrix, learning_curves, reliability
from tasks.compare.confusion_matrix import numbered
from tasks.compare.drawing import STYLE, titled
from tasks.compare.names import drawable, shortened
from tasks.contract.training import Bin, Epoch


@pytest.fixture(autouse=True)
def style():
    with matplotlib.rc_context(STYLE):
        yield


def history(*seconds: float) -> list[Epoch]:
    return [
        Epoch(accuracy=0.5, loss=1, val_accuracy=0.1 * number, val_loss=1, seconds=at)
        for number, at in enumerate(seconds, start=1)
    ]


@pytest.mark.parametrize(
    ("transfer", "scratch", "scale", "label"),
    [
        ([5.0, 10.0], [30.0, 60.0], "linear", "(seconds)"),
        ([60.0], [200.0, 400.0], "linear", "(minutes)"),
        ([3600.0], [20_000.0], "linear", "(hours)"),
        ([20.0, 21.0], [900.0, 1800.0], "log", "(log scale)"),
        ([0.0], [900.0], "linear", "(minutes)"),
    ],
)
def test_time_has_the_unit_and_the_scale_that_show_both_networks(
    transfer: list[float], scratch: list[float], scale: str, label: str, tmp_path: Path
) -> None:
    histories = {"transfer": history(*transfer), "scratch": history(*scratch)}
    figure = both_arms._draw_by_time(histories, {}, 3, "Title")
    axes = figure.axes[0]
    assert axes.get_xscale() == scale
    assert label in axes.get_xlabel()
    low, high = axes.get_xlim()
    for line in axes.lines[1:]:
        assert low <= min(line.get_xdata())
        assert max(line.get_xdata()) <= high
    assert len([mark for mark in axes.get_xticks() if low <= mark <= high]) >= 2
    figure.savefig(tmp_path / "figure.png")


@pytest.mark.parametrize("transfer", [2.0, 60.0])
def test_larger_photos_begin_where_the_smaller_ones_end(transfer: float) -> None:
    histories = {"transfer": history(transfer), "scratch": history(30.0, 60.0, 120.0)}
    borders = {"scratch": both_arms._Border(2, "16 → 32 px")}
    by_epoch = both_arms._draw_by_epoch(histories, borders, 3, "Title").axes[0]
    by_time = both_arms._draw_by_time(histories, borders, 3, "Title").axes[0]
    border, own = by_time.lines[-1], by_time.lines[-2]
    assert list(border.get_xdata()) == [own.get_xdata()[1]] * 2
    assert list(by_epoch.lines[-1].get_xdata()) == [2.5, 2.5]
    assert [text.get_text() for text in by_time.texts] == ["16 → 32 px"]


def cut(figure: Figure) -> list[str]:
    """The texts of a figure that do not lie wholly in it."""
    figure.draw_without_rendering()
    width, height = figure.bbox.size
    found = []
    for text in figure.findobj(Text):
        if text.get_visible() and text.get_text():
            box = text.get_window_extent()
            if box.x0 < 0 or box.y0 < 0 or box.x1 > width or box.y1 > height:
                found.append(text.get_text())
    return found


@pytest.mark.parametrize("name", ["elk", "m" * 10, "m" * 40])
@pytest.mark.parametrize("classes", [2, 6, 7, 30, 200])
@pytest.mark.parametrize("synthetic", [False, True])
def test_no_text_of_a_confusion_matrix_is_cut(classes: int, name: str, synthetic: bool) -> None:
    names = [f"{name}_{number}" for number in range(classes)]
    title = titled("From scratch: test photos by class", synthetic)
    figure = confusion_matrix._draw(np.eye(classes, dtype=int), names, title)
    assert cut(figure) == []


def test_a_border_near_the_end_has_its_label_whole() -> None:
    histories = {"transfer": history(1.0), "scratch": history(1.0) * 40}
    borders = {"scratch": both_arms._Border(39, "from scratch: 128 → 224 px")}
    figure = both_arms._draw_by_epoch(histories, borders, 3, titled("Both: accuracy", True))
    assert cut(figure) == []
    label, title = figure.axes[0].texts[0], figure.axes[0]._left_title
    assert label.get_window_extent().y1 < title.get_window_extent().y0


def test_the_best_epoch_of_each_network_is_said() -> None:
    histories = {"transfer": history(5, 6, 7), "scratch": history(9)}
    said = both_arms._best(histories, lambda own, at: f"in epoch {at + 1} of {len(own)}")
    assert said.replace("\u00a0", " ") == (
        "Highest validation accuracy: transfer 30.0 % in epoch 3 of 3, "
        "from scratch 10.0 % in epoch 1 of 1."
    )


def test_an_exploded_loss_has_a_logarithmic_axis_of_plain_numbers() -> None:
    made = [
        Epoch(accuracy=0, loss=loss, val_accuracy=0, val_loss=1, seconds=1) for loss in (1, 5e6)
    ]
    figure = learning_curves._draw_loss(SimpleNamespace(history=made), 3, "Title")
    figure.draw_without_rendering()
    axes = figure.axes[0]
    assert "log scale" in axes.get_ylabel()
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert "10,000" in labels
    assert not any("$" in label for label in labels)


HOSTILE = ["$\\frac{$", "熊" * 3, "דוב", "a\nb", "  ", "x" * 65_535, "</text><script>"]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_is_drawn_as_it_is_or_as_a_number(name: str, tmp_path: Path) -> None:
    figure = Figure(figsize=(6, 6), layout="constrained")
    axes = figure.subplots()
    axes.imshow(np.eye(2))
    confusion_matrix._draw_ticks(axes, ["bear", name])
    label = axes.get_yticklabels()[1].get_text()
    assert label == (shortened(name, 16) if drawable(name) else "class 2")
    assert len(label) <= 17
    assert numbered(["bear", name]) == (label == "class 2")
    figure.savefig(tmp_path / "figure.svg")
    assert "<script" not in (tmp_path / "figure.svg").read_text()


@pytest.mark.parametrize("classes", [2, 20, 30, 31, 200])
def test_ticks_are_names_while_they_can_be_read(classes: int) -> None:
    axes = Figure().subplots()
    axes.imshow(np.eye(classes))
    confusion_matrix._draw_ticks(axes, [f"class_{number}" for number in range(classes)])
    labels = [label.get_text() for label in axes.get_xticklabels()]
    if classes <= 30:
        assert labels == [f"class_{number}" for number in range(classes)]
    else:
        assert labels[0] == "1"
        assert len(labels) <= 12
        assert [place + 1 for place in axes.get_xticks()] == [int(label) for label in labels]


def test_a_bin_lies_at_its_accuracy_with_its_interval() -> None:
    bins = [
        Bin(low=0.4, high=0.6, photos=2, confidence=0.5, accuracy=1.0),
        Bin(low=0.8, high=1.0, photos=400, confidence=0.9, accuracy=0.5),
    ]
    figure = reliability._draw(bins, "black", "Title")
    above, below = figure.axes
    points = above.containers[0]
    assert points.lines[0].get_xydata().tolist() == [[0.5, 1.0], [0.9, 0.5]]
    wide, narrow = (line[1, 1] - line[0, 1] for line in points.lines[2][0].get_segments())
    assert wide > 4 * narrow
    assert [bar.get_height() for bar in below.patches] == [2, 400]
