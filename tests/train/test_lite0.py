"""Lite0's weights in B0: every kernel in its place, and nearly the same answers."""

import importlib.util
from pathlib import Path

import keras
import numpy as np
import pytest
from keras.src.applications import efficientnet

from tasks.contract.errors import InputError
from tasks.train.backbone import empty_base
from tasks.train.lite0 import lay_into, normalization_of
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


def test_every_kernel_is_used_as_it_is(base: keras.Model, checkpoint: Arrays) -> None:
    expected = [
        np.sort(array, axis=None)
        for name, array in checkpoint.items()
        if array.ndim == 4 and not name.startswith("_fc")
    ]
    placed = [
        np.sort(layer.get_weights()[0], axis=None)
        for layer in base.layers
        if "conv" in layer.name and layer.weights
    ]
    assert len(placed) == len(expected) == 49
    for values in expected:
        assert any(np.array_equal(values, kernel) for kernel in placed)


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


def lite0(checkpoint: Arrays) -> keras.Model:
    """Lite0 itself, as it was trained, up to its last activation; a ReLU for ReLU6."""
    blocks = [block | {"se_ratio": 0} for block in efficientnet.DEFAULT_BLOCKS_ARGS]
    network = efficientnet.EfficientNet(
        1.0,
        1.0,
        224,
        activation="relu",
        blocks_args=blocks,
        include_top=False,
        weights=None,
        input_shape=(64, 64, 3),
    )
    parts = ("weight", "bias", "running_mean", "running_var")
    tensors = iter([name for name in checkpoint if name.endswith("weight")])
    for layer in network.layers:  # both networks name their layers in the order of the data
        if isinstance(layer, keras.layers.Normalization):
            layer.set_weights([np.full(3, 127 / 255), np.full(3, (128 / 255) ** 2), np.array(0)])
            layer.finalize_state()
        elif layer.weights:
            name = next(tensors).removesuffix("weight")
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.set_weights([checkpoint[name + part] for part in parts])
            else:
                depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
                axes = (2, 3, 0, 1) if depthwise else (2, 3, 1, 0)
                layer.set_weights([checkpoint[name + "weight"].transpose(axes)])
    return keras.Model(network.input, network.get_layer("top_bn").output)


def test_b0_computes_what_lite0_computes_with_a_relu(checkpoint: Arrays) -> None:
    """Up to its last activation, and without the bound of ReLU6, which B0 cannot have."""
    base = empty_base(64)
    lay_into(base, checkpoint)
    ours = keras.Model(base.input, base.get_layer("top_bn").output)
    sample = photos(8, 64).astype(np.float32)
    found = np.ravel(ours(sample, training=False))
    expected = np.ravel(lite0(checkpoint)(sample, training=False))
    assert np.corrcoef(found, expected)[0, 1] > 0.995
    assert np.abs(found - expected).mean() < 0.06 * np.abs(expected).mean()


def test_a_checkpoint_of_another_network_is_refused(checkpoint: Arrays) -> None:
    without = {name: array for name, array in checkpoint.items() if "_blocks.15" not in name}
    with pytest.raises(InputError, match=r"it is not Lite0's"):
        lay_into(empty_base(32), without)
    reshaped = checkpoint | {"_conv_stem.weight": np.zeros((40, 3, 3, 3), np.float32)}
    with pytest.raises(InputError, match=r"it is not Lite0's"):
        lay_into(empty_base(32), reshaped)
