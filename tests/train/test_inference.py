"""Answers to a whole split, in constant memory."""

import numpy as np
import pytest

from tasks.contract.photos import PhotoSet
from tasks.train.inference import answers, forward_batch
from tests.train.conftest import small_network

pytestmark = pytest.mark.keras


def test_answers_are_those_of_the_model_in_the_order_of_the_photos(train: PhotoSet) -> None:
    model = small_network()
    found = answers(model, train, "test")
    expected = model(train.pixels(range(len(train))).astype(np.float32), training=False)
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize(("image_size", "photos"), [(32, 64), (224, 64), (448, 16), (600, 8)])
def test_large_photos_pass_through_the_network_in_small_batches(
    image_size: int, photos: int
) -> None:
    assert forward_batch(image_size) == photos
