"""A figure is two files that say the same, and the same figure is the same bytes."""

from pathlib import Path
from xml.etree import ElementTree

import matplotlib
from matplotlib.figure import Figure
from PIL import Image

from tasks.compare.drawing import STYLE, FigureFile, save_figure


def drawn(folder: Path, title: str = "Accuracy") -> FigureFile:
    folder.mkdir(exist_ok=True)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(3, 2), layout="constrained")
        axes = figure.subplots()
        axes.plot([1, 2], [0.2, 0.4], marker="o", label="training")
        axes.set_title(title)
        figure.legend(loc="outside lower center")
    return save_figure(figure, folder, "figure", "A caption.", "An alt text.")


def test_both_files_are_whole_and_the_size_is_told(tmp_path: Path) -> None:
    file = drawn(tmp_path)
    with Image.open(tmp_path / file.name) as image:
        assert image.size == (file.width, file.height) == (600, 400)
    root = ElementTree.parse(tmp_path / file.vector).getroot()
    assert root.tag == "{http://www.w3.org/2000/svg}svg"


def test_the_same_figure_is_the_same_bytes(tmp_path: Path) -> None:
    one, two = drawn(tmp_path / "one"), drawn(tmp_path / "two")
    for name in (one.name, one.vector):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    assert one == two
    assert b"<dc:date>" not in (tmp_path / "one" / one.vector).read_bytes()


def test_a_name_with_dollar_signs_is_no_formula(tmp_path: Path) -> None:
    file = drawn(tmp_path, r"$\frac{1}{$ </text><script>")
    ElementTree.parse(tmp_path / file.vector)
