"""What a frozen network sees in each photo: computed once, and shared by all later runs.

A frozen network computes the same features of a photo in every epoch, so they are a result of their
own, with a fingerprint of their own: the photos, the weights, the view. A run that only trains
another head finds them. Each view is published by itself, so that a training that is killed loses
one view at most.
"""

import dataclasses
import logging
from collections.abc import Sequence
from functools import cached_property

import keras
import numpy as np
from numpy.typing import NDArray

from tasks.contract.config import SPLITS, Options, Split
from tasks.contract.step import Artifact, Facts, Job, Step, bring_about
from tasks.train.augment import RandomViews
from tasks.train.data import Data
from tasks.train.folding import folded
from tasks.train.inference import answers

log = logging.getLogger(__name__)

Features = NDArray[np.float32]

#: Of all the training's code, what features depend on.
_CODE = (
    "tasks.train.features",
    "tasks.train.augment",
    "tasks.train.backbone",
    "tasks.train.folding",
    "tasks.train.inference",
    "tasks.train.lite0",
    "tasks.contract.photos",
)


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
        shared_seconds: what the others took when they were computed.
    """

    train: list[Features]
    validation: Features
    test: Features
    computed: int
    shared_seconds: float


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
    precision = keras.mixed_precision.global_policy().name
    seen = _SeenOtherwise(base, smallest_view)
    parts = [
        _bring_about(
            job,
            data,
            seen,
            FeatureOptions(
                weights_sha256=weights_sha256,
                precision=precision,
                view=view,
                smallest_view=smallest_view if view else 1.0,
                seed=job.options.seed if view else 0,
            ),
        )
        for view in range(views)
    ]
    computed = sum(not found for _, found in parts)
    if not computed:
        log.info("the features of all photos were there already")
    artifacts = [artifact for artifact, _ in parts]
    return FeatureSets(
        [_read(artifact, "train") for artifact in artifacts],
        _read(artifacts[0], "validation"),
        _read(artifacts[0], "test"),
        computed,
        sum(float(artifact.manifest.measurements["seconds"]) for artifact, found in parts if found),
    )


class _SeenOtherwise:
    """The frozen network, by itself and behind a random view, which is traced once, if at all."""

    def __init__(self, base: keras.Model, smallest_view: float) -> None:
        self._base = base
        self._views = RandomViews(0, smallest_view, always=True)

    @cached_property
    def _whole(self) -> keras.Model:
        # Half precision rounds what is folded, and its devices have the time.
        in_full = keras.mixed_precision.global_policy().compute_dtype == "float32"
        return folded(self._base) if in_full else self._base

    @cached_property
    def _behind_views(self) -> keras.Model:
        return self._views.before(self._whole, self._base.input_shape[1])

    def by_view(self, options: FeatureOptions) -> keras.Model:
        if options.view == 0:
            return self._whole
        self._views.reseed(options.seed + options.view)
        return self._behind_views


def _bring_about(
    job: Job, data: Data, seen: _SeenOtherwise, options: FeatureOptions
) -> tuple[Artifact, bool]:
    def compute(part: Job) -> Facts:
        splits: Sequence[Split] = SPLITS if options.view == 0 else ("train",)
        network = seen.by_view(options)
        for split in splits:
            work = f"features of {split}" + (f", view {options.view + 1}" if options.view else "")
            np.save(part.output / _file(split), answers(network, data.split(split), work))
        return {"photos": {split: len(data.split(split)) for split in splits}}

    step = Step(
        name="features",
        code=_CODE,
        options=FeatureOptions,
        inputs=("preprocess",),
        run=compute,
    )
    upstream = {"preprocess": job.inputs["preprocess"].manifest}
    manifest, found = bring_about(
        step, options, upstream, job.run_id, job.store, job.cache, forced=job.forced
    )
    return Artifact(manifest, job.store, job.cache), found


def _file(split: str) -> str:
    return f"{split}.npy"


def _read(artifact: Artifact, split: str) -> Features:
    features: Features = np.load(artifact.path(_file(split)), allow_pickle=False)
    return features
