"""A network without its normalisations says what it said with them."""

import keras
import numpy as np
import pytest

from tasks.train.backbone import empty_base
from tasks.train.folding import folded

pytestmark = pytest.mark.keras


def drawn_base(side: int) -> keras.Model:
    """B0 without its top, with batch statistics as trained ones have: none of them 0 or 1."""
    keras.utils.set_random_seed(3)
    base = empty_base(side)
    random = np.random.default_rng(3)
    for layer in base.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            low, high = [0.5, -0.2, -0.2, 0.5], [1.5, 0.2, 0.2, 1.5]
            layer.set_weights(list(random.uniform(low, high, (layer.gamma.shape[0], 4)).T))
        if isinstance(layer, keras.layers.Normalization):
            layer.set_weights([np.full(3, 0.4), np.full(3, 0.05), np.array(0)])
            layer.finalize_state()
    return base


def test_b0_s_features_are_the_same_without_a_single_normalisation() -> None:
    base = drawn_base(64)
    photos = np.random.default_rng(1).integers(0, 256, (4, 64, 64, 3)).astype(np.uint8)
    made = folded(base)
    assert not any(isinstance(one, keras.layers.BatchNormalization) for one in made.layers)
    expected = base.predict_on_batch(photos)
    assert np.std(expected) > 0.01
    np.testing.assert_allclose(made.predict_on_batch(photos), expected, rtol=1e-3, atol=1e-5)


def test_the_network_itself_stays_as_it_was() -> None:
    base = drawn_base(32)
    before = [weight.copy() for weight in base.get_weights()]
    folded(base)
    for weight, expected in zip(base.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, expected)
