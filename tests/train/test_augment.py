"""Random views: real crops and mirrors of the photo, in training only, the same for a seed."""

import keras
import numpy as np
import pytest

from tasks.train.augment import RandomViews

pytestmark = pytest.mark.keras

#: One photo many times, with a gradient along each axis.
SIDE = 32
ROWS, COLUMNS = np.meshgrid(np.arange(SIDE), np.arange(SIDE), indexing="ij")
PHOTO = np.stack([ROWS * 4, COLUMNS * 4, np.full_like(ROWS, 90)], axis=-1).astype(np.uint8)
PHOTOS = np.repeat(PHOTO[None], 64, axis=0)


def views(seed: int = 1, smallest_view: float = 0.6, light: float = 0.0) -> np.ndarray:
    return np.asarray(RandomViews(seed, smallest_view, light)(PHOTOS, training=True))


def test_out_of_training_photos_are_what_they_are() -> None:
    np.testing.assert_array_equal(RandomViews(1)(PHOTOS, training=False), PHOTOS)


def test_a_view_of_the_whole_photo_is_the_photo_or_its_mirror() -> None:
    for view in views(smallest_view=1.0):
        mirror = PHOTO[:, ::-1]
        assert np.allclose(view, PHOTO, atol=1e-3) or np.allclose(view, mirror, atol=1e-3)


def test_a_view_is_a_rectangle_of_the_photo() -> None:
    """On gradients, sampling is linear: a row's value says where in the photo it was taken."""
    for view in views(smallest_view=0.5):
        rows, columns = view[:, 0, 0] / 4, view[0, :, 1] / 4
        if columns[0] > columns[-1]:
            columns = columns[::-1]
        for places in (rows, columns):
            assert places.min() >= 0
            assert places.max() <= SIDE - 1
            inner = np.diff(places)[1:-1]
            assert 0.49 < inner.max() <= 1.001
            assert np.ptp(inner[:-1]) < 0.51  # even steps, but for the edges
        np.testing.assert_allclose(view[..., 2], 90, atol=1e-3)


def test_smaller_views_keep_what_the_photo_shows() -> None:
    """On gradients, a smaller photo's pixel is the mean of those it covers."""
    layer = RandomViews(1, side=SIDE // 4)
    small = np.asarray(layer(PHOTOS, training=False))
    assert small.shape == (64, 8, 8, 3)
    blocks = PHOTOS.reshape(64, 8, 4, 8, 4, 3).mean(axis=(2, 4))
    np.testing.assert_allclose(small[:, 1:-1, 1:-1], blocks[:, 1:-1, 1:-1], atol=0.1)
    assert layer(PHOTOS, training=True).shape == (64, 8, 8, 3)


def test_a_view_that_shrinks_averages_and_does_not_skip() -> None:
    """Of a chequered photo, each pixel of a small view is nearly its mean, not black or white."""
    chequered = np.repeat((((ROWS + COLUMNS) % 2) * 255)[None, ..., None], 3, axis=-1)
    view = np.asarray(RandomViews(1, 1.0, 0.0, side=8)(chequered, training=True))
    assert np.abs(view[:, 1:-1, 1:-1] - 127.5).max() < 20


def test_about_half_of_the_views_are_mirrored() -> None:
    mirrored = sum(view[0, 0, 1] > view[0, -1, 1] for view in views())
    assert 16 < mirrored < 48


def test_light_changes_within_its_share_and_stays_in_range() -> None:
    lit = views(smallest_view=1.0, light=0.2)
    means = lit.mean(axis=(1, 2, 3))
    assert means.min() > 0.79 * PHOTO.mean()
    assert means.max() < 1.21 * PHOTO.mean()
    assert np.ptp(means) > 0.2 * PHOTO.mean()
    bright = RandomViews(1, 1.0, 0.9)(np.full((32, 8, 8, 3), 250, np.uint8), training=True)
    assert np.max(bright) <= 255


def test_a_seed_draws_the_same_views_and_every_batch_others() -> None:
    np.testing.assert_array_equal(views(seed=3), views(seed=3))
    assert not np.allclose(views(seed=3), views(seed=4))
    layer = RandomViews(3)
    assert not np.allclose(layer(PHOTOS, training=True), layer(PHOTOS, training=True))


def test_reseeded_it_draws_as_if_it_were_new() -> None:
    layer = RandomViews(3)
    layer(PHOTOS, training=True)
    layer.reseed(4)
    again = layer(PHOTOS, training=True)
    np.testing.assert_array_equal(again, RandomViews(4)(PHOTOS, training=True))


def test_a_model_may_draw_views_in_inference() -> None:
    """A model overrides the ``training`` that its layers were called with."""
    pixels = keras.Input(PHOTO.shape)
    asked = keras.Model(pixels, RandomViews(1)(pixels, training=True))
    np.testing.assert_array_equal(asked.predict_on_batch(PHOTOS), PHOTOS)
    always = keras.Model(pixels, RandomViews(1, always=True)(pixels))
    assert not np.allclose(always.predict_on_batch(PHOTOS), PHOTOS)


def test_xla_compiles_it() -> None:
    model = keras.Sequential([keras.Input((8, 8, 3)), RandomViews(1), keras.layers.Flatten()])
    model.add(keras.layers.Dense(1))
    model.compile("sgd", "mse", jit_compile=True)
    history = model.fit(np.zeros((4, 8, 8, 3), np.uint8), np.zeros(4), verbose=0)
    assert np.isfinite(history.history["loss"][0])
