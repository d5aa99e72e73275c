"""Resizing: the same bicubic filter as Pillow's, to a grey level or two."""

import numpy as np
import pytest
from PIL import Image

from tasks.preprocess.resize import resized
from tests.preprocess.archives import picture


@pytest.mark.parametrize("shape", [(354, 265), (100, 100), (1500, 1000), (33, 400), (50, 60)])
@pytest.mark.parametrize("side", [32, 224])
def test_a_resize_is_pillows_bicubic_to_a_level_or_two(shape: tuple[int, int], side: int) -> None:
    image = picture(5, *shape)
    pillow = np.asarray(image.resize((side, side), Image.Resampling.BICUBIC)).astype(int)
    assert np.abs(resized(np.asarray(image), side).astype(int) - pillow).max() <= 2


@pytest.mark.parametrize("shape", [(300, 200), (200, 300), (201, 300), (64, 64)])
def test_a_crop_keeps_proportions(shape: tuple[int, int]) -> None:
    image = picture(6, *shape)
    side, (width, height) = min(shape), shape
    left, top = (width - side) / 2, (height - side) / 2
    box = (left, top, left + side, top + side)
    pillow = np.asarray(image.resize((64, 64), Image.Resampling.BICUBIC, box=box)).astype(int)
    assert np.abs(resized(np.asarray(image), 64, "crop").astype(int) - pillow).max() <= 2


def test_pixels_that_do_not_lie_in_a_row_are_taken_right() -> None:
    image = np.asarray(picture(8, 80, 60))
    assert np.array_equal(resized(image[:, ::-1], 32), resized(image[:, ::-1].copy(), 32))
