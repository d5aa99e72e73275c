"""The steps ``champion`` and ``promote``: what decides (``tasks.champion``) and what runs networks.

No step imports another; this joins two, as ``tasks.predict`` does, and no step imports it.
"""

import os

import numpy as np
from numpy.typing import NDArray

from tasks.champion import champion_step, promote_step
from tasks.contract.photos import PhotoSet
from tasks.contract.step import Artifact
from tasks.train.quiet import hushed


def _answers(training: Artifact, photos: PhotoSet) -> NDArray[np.float32]:
    # A test needs no GPU, and a training may want all of it.
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
    with hushed():
        from tasks.train.inference import answers  # TensorFlow: not before it is needed
        from tasks.train.saved import trained_network

        network = trained_network(training)
    return answers(network, photos, "the champion's test")


CHAMPION = champion_step(_answers)
PROMOTE = promote_step(_answers)
