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


def test_every_batch_has_one_size_so_that_the_network_is_traced_once(
    train: PhotoSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = small_network()
    monkeypatch.setattr("tasks.train.inference.forward_batch", lambda _size: 5)
    sizes = []
    predict = model.predict_on_batch

    def noted(batch: np.ndarray) -> np.ndarray:
        sizes.append(len(batch))
        return predict(batch)

    monkeypatch.setattr(model, "predict_on_batch", noted)
    found = answers(model, train, "test")
    assert sizes == [5, 5, 5, 5]
    expected = model(train.pixels(range(len(train))).astype(np.float32), training=False)
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize(("image_size", "photos"), [(32, 64), (224, 64), (448, 16), (600, 8)])
def test_large_photos_pass_through_the_network_in_small_batches(
    image_size: int, photos: int
) -> None:
    assert forward_batch(image_size) == photos
