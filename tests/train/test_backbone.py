"""Pretrained weights: what Keras itself would compute with them, or one clear line."""

import hashlib
from pathlib import Path
from types import SimpleNamespace

import h5py
import keras
import numpy as np
import pytest
from keras.src.applications import efficientnet
from keras.src.legacy.saving import legacy_h5_format

from tasks.contract.cache import Cache
from tasks.contract.errors import InputError
from tasks.contract.store import Store
from tasks.train import weight_files
from tasks.train.backbone import empty_base, load_imagenet, load_weights, pretrained
from tasks.train.lite0 import normalization_of

pytestmark = pytest.mark.keras

PIXELS = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def network() -> keras.Model:
    """A network whose every weight differs from what a new one has, Normalization's too."""
    keras.utils.set_random_seed(1)
    base = empty_base(32)
    random = np.random.default_rng(2)
    for layer in base.layers:
        if isinstance(layer, keras.layers.Normalization):
            mean, variance = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225]) ** 2
            layer.set_weights([mean, variance, np.array(7)])
            layer.finalize_state()
        elif isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights(
                [random.uniform(0.5, 1.5, weight.shape) for weight in layer.get_weights()]
            )
    return base


@pytest.fixture
def legacy_file(network: keras.Model, tmp_path: Path) -> Path:
    """The layout of Keras' official files: HDF5 as Keras 2 wrote it, weights only."""
    path = tmp_path / "no suffix, as in the cache"
    with h5py.File(path, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, network)
    return path


def test_the_pinned_address_and_hash_are_those_of_keras() -> None:
    folder, hashes = efficientnet.BASE_WEIGHTS_PATH, efficientnet.WEIGHTS_HASHES
    assert folder + "efficientnetb0_notop.h5" == weight_files.IMAGENET_URL
    assert hashes["b0"][1] == weight_files.IMAGENET_MD5


def answer(model: keras.Model) -> np.ndarray:
    return np.asarray(model.predict(PIXELS, verbose=0))


def test_the_official_file_does_what_keras_does_with_weights_imagenet(
    legacy_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through Keras' own path: its cache folder, its hash check, its extra layer."""
    folder = tmp_path / "keras" / "models"
    folder.mkdir(parents=True)
    (folder / "efficientnetb0_notop.h5").write_bytes(legacy_file.read_bytes())
    md5 = hashlib.md5(legacy_file.read_bytes()).hexdigest()
    monkeypatch.setitem(efficientnet.WEIGHTS_HASHES, "b0", ("", md5))
    monkeypatch.setattr(keras.src.backend.config, "_KERAS_DIR", str(tmp_path / "keras"))
    official = keras.applications.EfficientNetB0(
        include_top=False, weights="imagenet", pooling="avg", input_shape=(32, 32, 3)
    )

    ours = empty_base(32)
    load_imagenet(ours, legacy_file)
    np.testing.assert_allclose(answer(ours), answer(official), rtol=1e-4, atol=1e-5)

    plain = empty_base(32)
    load_weights(plain, legacy_file, "plain")
    assert not np.allclose(answer(plain), answer(official), rtol=1e-2), "the trap has gone"


@pytest.mark.parametrize("key", ["imagenet", "weights/somewhere-else.h5"])
def test_the_official_file_is_known_by_its_bytes_whatever_its_key(
    key: str,
    legacy_file: Path,
    store: Store,
    cache: Cache,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    content = legacy_file.read_bytes()
    monkeypatch.setattr(weight_files, "IMAGENET_MD5", hashlib.md5(content).hexdigest())
    store.write("weights/efficientnetb0_notop.h5" if key == "imagenet" else key, content)
    sha256 = hashlib.sha256(content).hexdigest()
    options = SimpleNamespace(weights=key, weights_sha256=sha256)
    found = pretrained(SimpleNamespace(options=options, store=store, cache=cache), 32)  # type: ignore[arg-type]
    assert found.facts == {
        "source": key,
        "sha256": sha256,
        "name": "ImageNet weights of EfficientNet-B0, published by Keras",
    }
    expected = empty_base(32)
    load_imagenet(expected, legacy_file)
    for ours, theirs in zip(found.base.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("layout", ["Keras 3", "Keras 2"])
def test_own_weights_compute_what_the_saved_network_computed(
    layout: str, network: keras.Model, legacy_file: Path, tmp_path: Path
) -> None:
    path = legacy_file
    if layout == "Keras 3":
        saved = tmp_path / "own.weights.h5"
        network.save_weights(saved)
        path = saved.rename(tmp_path / "no suffix")
    base = empty_base(32)
    load_weights(base, path, "own")
    np.testing.assert_allclose(answer(base), answer(network), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(np.ravel(normalization_of(base).mean), [0.485, 0.456, 0.406])


def other_network() -> keras.Model:
    return keras.applications.MobileNetV2(
        include_top=False, weights=None, pooling="avg", input_shape=(32, 32, 3), alpha=0.35
    )


@pytest.mark.parametrize("layout", ["Keras 3", "Keras 2", "no HDF5", "cut", "empty HDF5"])
def test_another_file_is_one_clear_line(layout: str, network: keras.Model, tmp_path: Path) -> None:
    path = tmp_path / "x.weights.h5"
    if layout == "Keras 3":
        other_network().save_weights(path)
    elif layout == "Keras 2":
        with h5py.File(path, "w") as file:
            legacy_h5_format.save_weights_to_hdf5_group(file, other_network())
    elif layout == "no HDF5":
        path.write_bytes(b"<html>not found</html>")
    elif layout == "cut":
        network.save_weights(path)
        path.write_bytes(path.read_bytes()[:1_000_000])
    else:
        h5py.File(path, "w").close()
    with pytest.raises(InputError, match=r"^the weights s3://b/x are not those of") as caught:
        load_weights(empty_base(32), path, "s3://b/x")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


def test_a_file_that_is_gone_is_not_called_another_one(tmp_path: Path) -> None:
    gone = tmp_path / "evicted-meanwhile"
    with pytest.raises(FileNotFoundError) as caught:
        load_weights(empty_base(32), gone, "s3://b/x")
    assert str(caught.value.filename) == str(gone)


@pytest.mark.parametrize("layer", ["batch_normalization_5", "conv2d", "normalization"])
def test_a_file_that_lacks_a_layer_is_refused(
    layer: str, network: keras.Model, tmp_path: Path
) -> None:
    """Rather than trained on with that layer at random."""
    path = tmp_path / "x.weights.h5"
    network.save_weights(path)
    with h5py.File(path, "a") as file:
        del file[f"layers/{layer}"]
    with pytest.raises(InputError, match=r"the weights x (are not those|have no numbers)"):
        load_weights(empty_base(32), path, "x")


def test_of_a_network_with_its_top_the_rest_is_used(tmp_path: Path) -> None:
    """Such as the arm from scratch leaves it."""
    path = tmp_path / "x.weights.h5"
    whole = keras.applications.EfficientNetB0(weights=None, classes=3, input_shape=(32, 32, 3))
    whole.save_weights(path)
    base = empty_base(32)
    load_weights(base, path, "x")
    for ours, theirs in zip(base.get_weights(), whole.get_weights(), strict=False):
        np.testing.assert_array_equal(ours, theirs)


def test_weights_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    broken = empty_base(32)
    kernel = broken.get_layer("top_conv").get_weights()[0]
    kernel[0, 0, 5, 5] = np.nan
    broken.get_layer("top_conv").set_weights([kernel])
    path = tmp_path / "x.weights.h5"
    broken.save_weights(path)
    with pytest.raises(
        InputError, match=r"the weights x have no numbers for top_conv/kernel \(1 of 312"
    ):
        load_weights(empty_base(32), path, "x")
