"""A trained network, built by this code and filled with what a training left: weights alone."""

from collections.abc import Callable

import keras

from tasks.contract.errors import InputError
from tasks.contract.step import Artifact
from tasks.contract.training import WEIGHTS_FILE
from tasks.train.backbone import empty_base, load_all_weights
from tasks.train.head import new_head
from tasks.train.scratch import scratch_network
from tasks.train.transfer import whole_network


def trained_network(training: Artifact) -> keras.Model:
    """Pixels 0..255 (photos, size, size, 3) in, probabilities (photos, classes) out.

    Nothing that a file could hold besides numbers is ever run.

    Args:
        training: the result of ``train_scratch`` or ``train_transfer``.

    Raises:
        InputError: it is no such result, or its weights are of another network.
    """
    facts = training.facts
    try:
        arm, size, classes = facts["arm"], int(facts["image_size"]), len(facts["classes"])
        network = _NETWORKS[arm](size, classes)
    except (KeyError, TypeError, ValueError):
        raise InputError(
            f"{training.manifest.key} is not the result of a training of this version: name the "
            "manifest of a train_scratch or train_transfer"
        ) from None
    load_all_weights(
        network,
        training.path(WEIGHTS_FILE),
        f"the weights of {training.manifest.key}",
        f"an EfficientNet-B0 of {classes} classes",
        "train again with force",
    )
    return network


def _transfer(size: int, classes: int) -> keras.Model:
    return whole_network(empty_base(size), new_head(classes), size)


#: What makes each arm's network of an image size and a number of classes.
_NETWORKS: dict[str, Callable[[int, int], keras.Model]] = {
    "scratch": scratch_network,
    "transfer": _transfer,
}
