"""Lite0's weights in B0: every kernel in its place, and statistics of the photos at hand."""

import importlib.util
from pathlib import Path

import keras
import numpy as np
import pytest

from tasks.contract.errors import InputError
from tasks.train.backbone import empty_base
from tasks.train.lite0 import estimate_statistics, lay_into, normalization_of
from tasks.train.torch_checkpoint import Arrays, read_checkpoint
from tasks.train.weight_files import LITE0_FILE, LITE0_PACKAGE

pytestmark = pytest.mark.keras


@pytest.fixture(scope="module")
def checkpoint() -> Arrays:
    spec = importlib.util.find_spec(LITE0_PACKAGE)
    assert spec is not None
    assert spec.origin is not None
    return read_checkpoint(Path(spec.origin).parent / "models" / LITE0_FILE)


@pytest.fixture(scope="module")
def base(checkpoint: Arrays) -> keras.Model:
    base = empty_base(32)
    lay_into(base, checkpoint)
    return base


def photos(count: int, size: int = 32, seed: int = 0) -> np.ndarray:
    """Smooth blots, which are more like photos than noise is."""
    small = np.random.default_rng(seed).integers(0, 256, (count, 4, 4, 3))
    return small.repeat(size // 4, 1).repeat(size // 4, 2).astype(np.uint8)


def test_the_published_checkpoint_is_read_whole(checkpoint: Arrays) -> None:
    floats = [array for array in checkpoint.values() if array.dtype == np.float32]
    assert checkpoint["_conv_stem.weight"].shape == (32, 3, 3, 3)
    assert checkpoint["_fc.weight"].shape == (1000, 1280)
    assert all(np.isfinite(array).all() for array in floats)
    assert sum(array.size for array in floats) == 4_652_008 + 2 * 21_008


def test_every_tensor_of_the_checkpoint_but_the_classifier_is_used(
    base: keras.Model, checkpoint: Arrays
) -> None:
    expected = {
        name: np.sort(array, axis=None)
        for name, array in checkpoint.items()
        if not name.startswith("_fc") and not name.endswith("num_batches_tracked")
    }
    placed = [
        np.sort(weight, axis=None)
        for layer in base.layers
        if not layer.name.endswith(("se_reduce", "se_expand"))
        and not isinstance(layer, keras.layers.Normalization)
        for weight in layer.get_weights()
    ]
    assert len(placed) == len(expected)
    for values in expected.values():
        assert any(np.array_equal(values, weight) for weight in placed)


def convolved(pixels: np.ndarray, kernel: np.ndarray, groups: int) -> np.ndarray:
    """PyTorch's convolution as its documentation defines it, stride 1, "same" padding, by hand.

    Args:
        pixels: (height, width, in).
        kernel: (out, in / groups, height, width), as PyTorch stores it.
    """
    out, per_group, height, width = kernel.shape
    padded = np.pad(pixels, ((height // 2,) * 2, (width // 2,) * 2, (0, 0)))
    result = np.zeros((*pixels.shape[:2], out))
    for o in range(out):
        first = o * groups // out * per_group
        for y in range(pixels.shape[0]):
            for x in range(pixels.shape[1]):
                patch = padded[y : y + height, x : x + width, first : first + per_group]
                result[y, x, o] = (patch.transpose(2, 0, 1) * kernel[o]).sum()
    return result


@pytest.mark.parametrize(
    ("layer", "tensor", "depthwise"),
    [
        ("block1a_dwconv", "_blocks.0._depthwise_conv", True),
        ("block1a_project_conv", "_blocks.0._project_conv", False),
        ("block3b_dwconv", "_blocks.4._depthwise_conv", True),
        ("block7a_expand_conv", "_blocks.15._expand_conv", False),
    ],
)
def test_a_laid_kernel_computes_what_pytorch_defines(
    layer: str, tensor: str, depthwise: bool, base: keras.Model, checkpoint: Arrays
) -> None:
    kernel = checkpoint[f"{tensor}.weight"]
    channels = kernel.shape[0] if depthwise else kernel.shape[1]
    pixels = np.random.default_rng(1).normal(size=(5, 5, channels)).astype(np.float32)
    found = base.get_layer(layer)(pixels[None])[0]
    expected = convolved(pixels, kernel, channels if depthwise else 1)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_pixels_are_scaled_as_lite0_expects(base: keras.Model) -> None:
    pixels = np.array([0, 127, 255], np.float32).reshape(1, 1, 1, 3) / 255
    np.testing.assert_allclose(
        np.ravel(normalization_of(base)(pixels)), [-127 / 128, 0, 1], atol=1e-6
    )


def test_squeeze_and_excitation_changes_nothing(base: keras.Model) -> None:
    for block in ("block1a", "block4b", "block7a"):
        excited = base.get_layer(f"{block}_se_excite")
        probe = keras.Model(base.input, [*excited.input, excited.output])
        before, _, after = probe(photos(2).astype(np.float32), training=False)
        np.testing.assert_array_equal(before, after)


def test_batch_normalisation_divides_by_the_same_as_lite0(base: keras.Model) -> None:
    """Lite0 was trained with epsilon 1e-3 (its own code); PyTorch's default would be 1e-5."""
    norms = [layer for layer in base.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert {layer.epsilon for layer in norms} == {1e-3}


def test_statistics_are_those_of_the_photos(checkpoint: Arrays) -> None:
    base = empty_base(32)
    lay_into(base, checkpoint)
    sample = photos(24)
    estimate_statistics(base, sample)
    # One batch: with its statistics, inference is what training mode computes.
    norms = [layer for layer in base.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert all(layer.momentum == 0.99 for layer in norms)
    probe = keras.Model(base.input, [base.get_layer(n).output for n in ("stem_conv", "top_conv")])
    stem, top = probe(sample.astype(np.float32), training=False)
    for name, found in (("stem_bn", stem), ("top_bn", top)):
        mean, variance = (np.asarray(w) for w in base.get_layer(name).non_trainable_weights)
        np.testing.assert_allclose(mean, np.mean(found, (0, 1, 2)), rtol=1e-2, atol=1e-3)
        np.testing.assert_allclose(variance, np.var(found, (0, 1, 2)), rtol=2e-2, atol=1e-3)


def test_statistics_of_many_batches_are_those_of_all_photos(checkpoint: Arrays) -> None:
    """The first layer's can be computed by hand: nothing before it depends on the batch."""
    base = empty_base(32)
    lay_into(base, checkpoint)
    sample = np.concatenate([photos(100), photos(100, seed=1) // 3])  # dark ones come last
    estimate_statistics(base, sample)
    stem = keras.Model(base.input, base.get_layer("stem_conv").output)
    found = np.asarray(stem(sample.astype(np.float32), training=False))
    mean, variance = (np.asarray(w) for w in base.get_layer("stem_bn").non_trainable_weights)
    np.testing.assert_allclose(mean, found.mean((0, 1, 2)), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(variance, found.var((0, 1, 2)), rtol=1e-3, atol=1e-4)


def test_statistics_are_the_same_each_time(checkpoint: Arrays) -> None:
    weights = []
    for _ in range(2):
        base = empty_base(32)
        lay_into(base, checkpoint)
        estimate_statistics(base, photos(16))
        weights.append(base.get_weights())
    for one, other in zip(*weights, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def test_a_checkpoint_of_another_network_is_refused(checkpoint: Arrays) -> None:
    without = {name: array for name, array in checkpoint.items() if "_blocks.15" not in name}
    with pytest.raises(InputError, match=r"it is not Lite0's"):
        lay_into(empty_base(32), without)
    reshaped = checkpoint | {"_conv_stem.weight": np.zeros((40, 3, 3, 3), np.float32)}
    with pytest.raises(InputError, match=r"it is not Lite0's"):
        lay_into(empty_base(32), reshaped)
