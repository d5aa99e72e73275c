"""The histograms hold for photos of any size and shape, and count every one of them."""

from pathlib import Path

import matplotlib.axes
import numpy as np
import pytest
from PIL import Image

from tasks.compare import distributions
from tasks.compare.drawing import DOTS, SIZE, STYLE
from tasks.compare.summary import Spread

SIZES = {
    "all alike": [(640, 480)] * 5,
    "one, as large as what the networks see": [(224, 224)],
    "powers of two": [(64, 64), (128, 128), (4096, 4096)],
    "panoramas and slips": [(2_700_000, 33), (33, 2_700_000), (500, 400)],
    "smaller than what the networks see": [(32, 32), (33, 40)],
}


@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES.keys())
def test_every_photo_is_in_a_bar(
    sizes: list[tuple[int, int]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = []
    hist = matplotlib.axes.Axes.hist

    def noted(self: matplotlib.axes.Axes, *arguments: object, **options: object) -> object:
        drawn = hist(self, *arguments, **options)
        counted.append(drawn[0].sum())
        return drawn

    monkeypatch.setattr(matplotlib.axes.Axes, "hist", noted)
    width, height = np.array(sizes, dtype=np.float64).T
    with matplotlib.rc_context(STYLE):
        figures = [
            distributions._draw_sides(np.maximum(width, height), 224, "Size"),
            distributions._draw_shapes(width / height, "Shape"),
        ]
        for number, figure in enumerate(figures):
            figure.savefig(tmp_path / f"{number}.png", dpi=DOTS)
            with Image.open(tmp_path / f"{number}.png") as image:
                assert image.size == tuple(round(side * DOTS) for side in SIZE)
    assert counted == [len(sizes)] * 2
    sides, shapes = (figure.axes[0] for figure in figures)
    low, high = sides.get_xlim()
    assert low <= 224 <= high
    assert 2 <= len(sides.get_xticks()) <= 9
    assert ("2 beyond" in shapes.get_xlabel()) == (len(sizes) == 3 and sizes[0][1] == 33)


def test_photos_of_one_size_are_said_to_be_of_one_size() -> None:
    alike, mixed = Spread.of(np.full(5, 640.0)), Spread.of(np.array([100.0, 640, 640, 2000]))
    assert distributions._in_words(alike, ",.0f", " pixels") == "640 pixels in every photo"
    assert distributions._in_words(mixed, ",.0f", " pixels") == (
        "median 640 pixels, half of the photos between 505 and 980, all between 100 and 2,000"
    )
