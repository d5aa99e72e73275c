"""EfficientNet-B0 without its top, with the pretrained weights that an option names."""

import shutil
import warnings
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import h5py
import keras
import numpy as np

from tasks.contract.errors import InputError
from tasks.contract.step import Job
from tasks.train.lite0 import lay_into, normalization_of
from tasks.train.torch_checkpoint import read_checkpoint
from tasks.train.weight_files import is_published, weight_file

#: Standard deviations of ImageNet's channels, as Keras' EfficientNet uses them.
_IMAGENET_DEVIATIONS = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Pretrained:
    """A network that maps pixels 0..255, (n, size, size, 3), to features (n, 1280).

    ``facts`` say whose weights it has: ``source``, ``name`` (for readers), ``sha256`` (hex), and
    ``license`` if it is known.
    """

    base: keras.Model
    facts: dict[str, Any]


def pretrained(job: Job, image_size: int) -> Pretrained:
    """Build the network and load its weights, as weights only.

    Raises:
        InputError: the file is of another network.
        UnavailableError: the file cannot be had.
    """
    source = job.options.weights
    file = weight_file(job.store, job.cache, source, job.options.weights_sha256)
    base = empty_base(image_size)
    facts = {"source": source, "sha256": file.sha256}
    if is_published(file.path, "imagenet"):  # under whatever key
        load_imagenet(base, file.path)
        facts["name"] = "ImageNet weights of EfficientNet-B0, published by Keras"
    elif source == "lite0":
        lay_into(base, read_checkpoint(file.path))
        facts["name"] = "ImageNet weights of EfficientNet-Lite0, laid into B0"
        facts["license"] = "Apache-2.0"
    else:
        load_weights(base, file.path, job.store.uri(source))
        facts["name"] = f"own weights {job.store.uri(source)}"
    return Pretrained(base, facts)


def empty_base(image_size: int) -> keras.Model:
    """The network with random weights."""
    return keras.applications.EfficientNetB0(
        include_top=False,
        weights=None,
        pooling="avg",
        input_shape=(image_size, image_size, 3),
        name="efficientnetb0",
    )


def load_imagenet(base: keras.Model, path: Path) -> None:
    """Load Keras' official file so that it does what ``weights="imagenet"`` does.

    For these weights alone, Keras adds a layer after Normalization that divides by the square root
    of the deviations; without it the file is mis-scaled. Dividing by it is the same as a variance
    that is larger by a deviation: (x - m) / sqrt(v) / sqrt(d) = (x - m) / sqrt(v d). That keeps one
    architecture for every kind of weights.
    """
    load_weights(base, path, "imagenet")
    layer = normalization_of(base)
    mean, variance, count = layer.get_weights()
    layer.set_weights([mean, variance * np.array(_IMAGENET_DEVIATIONS, np.float32), count])
    layer.finalize_state()


def load_weights(base: keras.Model, path: Path, name: str) -> None:
    """Load an HDF5 file of weights, in the layout of Keras 3 or of Keras 2.

    Raises:
        InputError: it is no such file, or not one of all weights of this network.
        FileNotFoundError: it is not there, or not any more.
    """
    load_all_weights(
        base,
        path,
        f"the weights {name}",
        "an EfficientNet-B0 without its top",
        "save them with model.save_weights('x.weights.h5') from that network",
    )


def load_all_weights(network: keras.Model, path: Path, what: str, owner: str, remedy: str) -> None:
    """Load an HDF5 file into a network of which it must have every weight.

    Args:
        what, owner, remedy: for the complaint: the file, whose weights it should have, what to do.

    Raises:
        InputError: it has not.
        FileNotFoundError: it is not there, or not any more.
    """
    # Keras may pass over a layer that a file lacks. What is not a number afterwards was not there.
    for weight in network.weights:
        if weight.dtype == "float32":
            weight.assign(np.full(weight.shape, np.nan, np.float32))
    with TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about those layers
        # Keras goes by the suffix, which files of the cache have none of, and opens a path, which
        # another process may evict meanwhile.
        copy = Path(shutil.copyfile(path, Path(folder, "x")))
        copy = copy.rename(copy.with_suffix(".weights.h5" if _is_keras3(copy) else ".h5"))
        try:
            network.load_weights(copy)
        except Exception as error:  # HDF5, Keras and NumPy each raise their own
            reason = " ".join(str(error).split())[:200]
            raise InputError(f"{what} are not those of {owner} ({reason}): {remedy}") from error
    _finalize(network)
    bad = [weight.path for weight in network.weights if not np.isfinite(weight.numpy()).all()]
    if bad:
        raise InputError(
            f"{what} have no numbers for {bad[0]} ({len(bad)} of {len(network.weights)} weights "
            "are so): use another file"
        )


def _finalize(network: keras.Model) -> None:
    """Let normalisations, also of networks within, take over the mean and variance they got."""
    for layer in network.layers:
        if isinstance(layer, keras.Model):
            _finalize(layer)
        elif isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()


def _is_keras3(path: Path) -> bool:
    """Whether an HDF5 file has Keras 3's layout of weights, by its top-level groups."""
    try:
        with h5py.File(path) as file:
            return "layers" in file or "_layer_checkpoint_dependencies" in file
    except OSError:
        return True  # Keras will say what is wrong
