"""The network whose batch normalisations are one operation each."""

import keras
import numpy as np
import pytest

from tasks.train.fusing import fused
from tasks.train.scratch import scratch_network

pytestmark = pytest.mark.keras


def _photos(count: int = 6) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (count, 64, 64, 3), dtype=np.uint8)


def _network(momentum: float = 0.9) -> keras.Model:
    """Without dropout, whose draws would differ between two networks."""
    keras.utils.set_random_seed(1)
    network = scratch_network(64, 3, momentum)
    for layer in network.layers:
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = 0.0
    return network


def test_it_learns_what_keras_own_layers_learn() -> None:
    plain, within = _network(), _network()
    model = fused(within)
    photos, labels = _photos(), np.arange(6) % 3
    for trained in (plain, model):
        trained.compile(keras.optimizers.SGD(0.01), "sparse_categorical_crossentropy")
    losses = [[one.train_on_batch(photos, labels) for _ in range(3)] for one in (plain, model)]
    np.testing.assert_allclose(*losses, rtol=1e-3)
    for ours, kerass in zip(within.variables, plain.variables, strict=True):
        if "seed" not in ours.path:
            np.testing.assert_allclose(ours.numpy(), kerass.numpy(), rtol=2e-2, atol=1e-3)


def test_the_moving_averages_are_of_the_biased_variance_as_keras_has_it() -> None:
    """The operation's own is larger by n / (n - 1), which small batches of small photos show."""
    values = np.random.default_rng(1).normal(3, 2, (2, 1, 2, 1)).astype(np.float32)
    layer = keras.layers.BatchNormalization(momentum=0.0)
    inputs = keras.Input((1, 2, 1))
    model = fused(keras.Model(inputs, layer(inputs)))
    model(values, training=True)
    np.testing.assert_allclose(layer.moving_variance.numpy(), values.var(), rtol=1e-5)
    np.testing.assert_allclose(layer.moving_mean.numpy(), values.mean(), rtol=1e-5)


def test_in_inference_the_network_itself_answers() -> None:
    network = _network()
    photos = _photos()
    np.testing.assert_array_equal(fused(network)(photos), network(photos))


def test_frozen_layers_keep_their_averages() -> None:
    network = _network()
    network.trainable = False
    before = [variable.numpy() for variable in network.variables]
    fused(network)(_photos(), training=True)
    for variable, value in zip(network.variables, before, strict=True):
        if "seed" not in variable.path:
            np.testing.assert_array_equal(variable.numpy(), value)


@pytest.mark.parametrize("precision", ["mixed_float16", "mixed_bfloat16"])
def test_in_half_precision_the_averages_stay_whole(precision: str) -> None:
    keras.mixed_precision.set_global_policy(precision)
    try:
        network = scratch_network(64, 3)
    finally:
        keras.mixed_precision.set_global_policy("float32")
    answers = np.asarray(fused(network)(_photos(), training=True))
    assert answers.dtype == np.float32
    assert np.isfinite(answers).all()
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            assert {weight.dtype for weight in layer.weights} == {"float32"}
            assert np.abs(layer.moving_variance.numpy() - 1).max() > 0
