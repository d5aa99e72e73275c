"""What a frozen network sees in each photo: computed once, and shared by all later runs.

A frozen network computes the same features of a photo in every epoch, so they are a result of their
own, with a fingerprint of their own: the photos, the weights, the view. A run that only trains
another head finds them. Each view is published by itself, so that a training that is killed loses
one view at most.
"""

import dataclasses
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from tasks.contract.config import SPLITS, Options, Split
from tasks.contract.step import Artifact, Facts, Job, Step, bring_about
from tasks.train.augment import RandomViews
from tasks.train.data import Data
from tasks.train.inference import answers

log = logging.getLogger(__name__)

Features = NDArray[np.float32]


class FeatureOptions(Options):
    """What determines one view's features, beside the photos.

    ``view`` 0 is the photo itself, of all splits; the others are random views of the training
    photos, drawn by ``seed`` (0 for view 0, so that all runs share it).
    """

    weights_sha256: str
    precision: str
    view: int
    smallest_view: float
    seed: int


@dataclasses.dataclass(frozen=True)
class FeatureSets:
    """Features float32 (photos, 1280) in the order of each split's photos.

    Attributes:
        train: one array for each view, the photos themselves first.
        computed: how many of the views were not there already.
    """

    train: list[Features]
    validation: Features
    test: Features
    computed: int


def features_of(
    job: Job,
    data: Data,
    base: keras.Model,
    weights_sha256: str,
    views: int,
    smallest_view: float,
) -> FeatureSets:
    """The features of all photos, found or computed.

    Args:
        base: the frozen network.
        weights_sha256: of the file that its weights came from.
        views: how many views of the training photos, see ``FeatureOptions``.
    """
    train, computed = [], 0
    for view in range(views):
        options = FeatureOptions(
            weights_sha256=weights_sha256,
            precision=keras.mixed_precision.global_policy().name,
            view=view,
            smallest_view=smallest_view if view else 1.0,
            seed=job.options.seed if view else 0,
        )
        artifact, found = _bring_about(job, options, data, base)
        computed += not found
        if view == 0:
            first = artifact
        train.append(_read(artifact.path, "train"))
    if not computed:
        log.info("the features of all photos were there already")
    return FeatureSets(train, _read(first.path, "validation"), _read(first.path, "test"), computed)


def _bring_about(
    job: Job, options: FeatureOptions, data: Data, base: keras.Model
) -> tuple[Artifact, bool]:
    def compute(part: Job) -> Facts:
        splits: Sequence[Split] = SPLITS if options.view == 0 else ("train",)
        network = base if options.view == 0 else _seen_otherwise(base, options)
        for split in splits:
            work = f"features of {split}" + (f", view {options.view + 1}" if options.view else "")
            np.save(part.output / _file(split), answers(network, getattr(data, split), work))
        return {"photos": {split: len(getattr(data, split)) for split in splits}}

    step = Step(
        name="features",
        code=(
            "tasks.train.features",
            "tasks.train.augment",
            "tasks.train.backbone",
            "tasks.train.inference",
            "tasks.train.lite0",
            "tasks.contract.photos",
        ),
        options=FeatureOptions,
        inputs=("preprocess",),
        run=compute,
    )
    upstream = {"preprocess": job.inputs["preprocess"].manifest}
    manifest, found = bring_about(
        step, options, upstream, job.run_id, job.store, job.cache, forced=job.forced
    )
    return Artifact(manifest, job.store, job.cache), found


def _seen_otherwise(base: keras.Model, options: FeatureOptions) -> keras.Model:
    """The network behind a random view, which is drawn in inference, too."""
    views = RandomViews(options.seed + options.view, options.smallest_view)
    pixels = keras.Input(base.input_shape[1:])
    return keras.Model(pixels, base(views(pixels, training=True), training=False))


def _file(split: str) -> str:
    return f"{split}.npy"


def _read(path_of: Callable[[str], Path], split: str) -> Features:
    return np.load(path_of(_file(split)), allow_pickle=False)
