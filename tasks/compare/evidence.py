"""What the comparison rests on: the earlier steps' results, checked to belong together."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from tasks.compare.measured import read_metrics
from tasks.compare.names import shortened
from tasks.compare.results import read_file, validated
from tasks.contract.archive import DatasetCard
from tasks.contract.decision import Decision
from tasks.contract.errors import InputError
from tasks.contract.manifest import Manifest
from tasks.contract.photos import PHOTOS_FILE, REFUSED_FILE, Photo, Refusal, read_rows
from tasks.contract.step import Artifact
from tasks.contract.training import (
    HISTORY_FILE,
    PREDICTIONS_FILE,
    Epoch,
    Metrics,
    Predictions,
    read_history,
)


class _Facts(BaseModel):
    """Facts are read by the fields named here; a step may state more."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class ArchiveFacts(_Facts):
    """``size`` in bytes, ``sha256`` in hex."""

    size: int
    sha256: str


class PhotoCounts(_Facts):
    entries: int
    kept: int
    refused: int


class SplitCounts(_Facts):
    """How many photos of one class each split holds, and how many were refused."""

    train: int
    validation: int
    test: int
    refused: int = 0

    @property
    def used(self) -> int:
        return self.train + self.validation + self.test

    @property
    def total(self) -> int:
        return self.used + self.refused


class DataFacts(_Facts):
    """What ``preprocess`` states."""

    classes: list[str] = Field(min_length=2)
    image_size: int
    dataset: DatasetCard
    archive: ArchiveFacts
    photos: PhotoCounts
    refused: dict[str, int]
    per_class: dict[str, SplitCounts]
    near_duplicate_groups: int


class Parameters(_Facts):
    """Numbers in the network: all of them, and those that training changed."""

    total: int
    trained: int


class Weights(_Facts):
    """Where training began. ``name`` is for readers; ``sha256`` (hex) is empty without a file."""

    source: str
    name: str
    sha256: str = ""


class Recipe(_Facts):
    """How a network was trained; see ``tasks.train.recipes``.

    Attributes:
        warm_up_epochs: without, the learning rate stays where it is.
    """

    name: str = "unknown"
    epochs: int | None = None
    fine_tune_epochs: int = 0
    warm_up_epochs: float | None = None

    @property
    def planned_epochs(self) -> int | None:
        """All of them, if the number is known."""
        return None if self.epochs is None else self.epochs + self.fine_tune_epochs


class ArmFacts(_Facts):
    """What a training step states.

    ``early_epochs`` of the epochs, the first, were on photos of ``early_side`` pixels instead of
    the image size.
    """

    architecture: str
    classes: list[str]
    epochs: int
    early_epochs: int = 0
    early_side: int | None = None
    batch_size: int
    learning_rate: float
    optimizer: str
    recipe: Recipe = Recipe()
    parameters: Parameters
    weights: Weights


class ArmMeasurements(_Facts):
    """Wall-clock times and rates of a training step; ``seconds`` is the whole step's.

    ``shared_seconds`` of ``train_seconds`` were spent by earlier runs, on features that this one
    found. ``resumed`` tells how often the training went on from a checkpoint: ``seconds`` is then
    of the last of so many processes and one more, and ``train_seconds`` of all.
    """

    resumed: int = 0
    shared_seconds: float = 0.0
    seconds: float | None = None
    train_seconds: float | None = None
    feature_seconds: float | None = None
    head_seconds: float | None = None
    photos_per_second: float | None = None
    device: str = "unknown device"


@dataclass(frozen=True)
class Arm:
    """One network's result.

    Attributes:
        metrics: how good its answers to the test photos are, as the training measured them.
        probabilities: those answers, float32, shape (test photos, classes).
    """

    manifest: Manifest
    facts: ArmFacts
    measurements: ArmMeasurements
    history: list[Epoch]
    metrics: Metrics
    probabilities: NDArray[np.float32]

    @property
    def predicted(self) -> NDArray[np.int64]:
        """The most probable label of each test photo, shape (test photos,)."""
        return np.asarray(self.probabilities.argmax(axis=1))


@dataclass(frozen=True)
class Evidence:
    """Both networks' answers to the same photos, in the same order.

    Attributes:
        fetch: where the archive lay when this run fetched it, or an earlier one that it repeats.
        photos, refused: every photo of the archive that is used, and that is not.
        test_photos: those of the test, in the order of all that follows.
        labels: the true label of each, int32, shape (test photos,).
        groups: the near-duplicate group of each of them, likewise.
        champion: how the better network did against the promoted one; ``decision`` is what it says.
    """

    fetch: Manifest
    preprocess: Manifest
    data: DataFacts
    photos: list[Photo]
    refused: list[Refusal]
    test_photos: list[Photo]
    labels: NDArray[np.int32]
    groups: NDArray[np.str_]
    scratch: Arm
    transfer: Arm
    champion: Manifest
    decision: Decision

    @property
    def near_duplicates(self) -> int:
        """How many test photos look like another test photo."""
        sizes = self._group_sizes
        return int(sizes[sizes > 1].sum())

    @property
    def design_effect(self) -> float:
        """By how much near duplicates may widen the variance of an accuracy: 1 if there are none.

        As much as if the photos of a group were always right or wrong together (L. Kish, "Survey
        Sampling", 1965, 8.2, with an intraclass correlation of 1 and groups of any sizes).
        """
        sizes = self._group_sizes
        return float((sizes**2).sum() / sizes.sum())

    @property
    def _group_sizes(self) -> NDArray[np.int64]:
        return np.asarray(np.unique(self.groups, return_counts=True)[1], dtype=np.int64)


def read_evidence(
    fetch: Artifact,
    preprocess: Artifact,
    scratch: Artifact,
    transfer: Artifact,
    champion: Artifact,
) -> Evidence:
    """Read the earlier results; of ``fetch``, no more than its manifest.

    Raises:
        InputError: one is incomplete, or they are not about the same photos and classes.
    """
    data = validated(DataFacts, preprocess.facts, "preprocess")
    photos = read_file(PHOTOS_FILE, preprocess, lambda path: read_rows(path, Photo))
    _check_photos(photos, data)
    test = sorted((row for row in photos if row.split == "test"), key=lambda row: row.photo)
    if not test:
        raise InputError("there are no test photos to compare on: raise test_share and run again")
    return Evidence(
        fetch=fetch.manifest,
        preprocess=preprocess.manifest,
        data=data,
        photos=photos,
        refused=read_file(REFUSED_FILE, preprocess, lambda path: read_rows(path, Refusal)),
        test_photos=test,
        labels=np.array([row.label for row in test], dtype=np.int32),
        groups=np.array([row.group for row in test]),
        scratch=_read_arm(scratch, data.classes, test),
        transfer=_read_arm(transfer, data.classes, test),
        champion=champion.manifest,
        decision=validated(Decision, champion.facts, "champion"),
    )


def _read_arm(artifact: Artifact, classes: list[str], test: list[Photo]) -> Arm:
    step = artifact.manifest.step
    facts = validated(ArmFacts, artifact.facts, step)
    if facts.classes != classes:
        raise InputError(
            f"{step} was trained on other classes than preprocess now has "
            f"({_first_difference(facts.classes, classes)}): run {step} again with force"
        )
    history = read_file(HISTORY_FILE, artifact, read_history)
    _check_history(history, step)
    predictions = read_file(PREDICTIONS_FILE, artifact, Predictions.load)
    probabilities = _aligned(predictions, step, classes, test)
    return Arm(
        manifest=artifact.manifest,
        facts=facts,
        measurements=validated(ArmMeasurements, artifact.manifest.measurements, step),
        history=history,
        metrics=read_metrics(artifact, predictions, classes),
        probabilities=probabilities,
    )


def _check_photos(photos: Sequence[Photo], data: DataFacts) -> None:
    """See that each photo has a class that there is, and sides."""
    again = "run preprocess again with force"
    for name in data.classes:
        if name not in data.per_class:
            raise InputError(
                f"the result of preprocess does not count class {shortened(name)!r}: {again}"
            )
    names = dict(enumerate(data.classes))
    for row in photos:
        if names.get(row.label) != row.class_name or min(row.width, row.height) < 1:
            raise InputError(
                f"photo {row.photo} of preprocess has label {row.label}, class "
                f"{shortened(row.class_name)!r} and {row.width} by {row.height} pixels, which "
                f"cannot be: {again}"
            )


def _aligned(
    predictions: Predictions, step: str, classes: list[str], test: list[Photo]
) -> NDArray[np.float32]:
    """The probabilities in the order of ``test``, which is sorted by photo."""
    again = f"run {step} again with force"
    kinds = [each.dtype.kind for each in (predictions.photos, predictions.labels)]
    if kinds != ["U", "i"] or predictions.probabilities.dtype.kind != "f":
        raise InputError(f"the predictions of {step} are not names, labels and numbers: {again}")
    shape = (predictions.photos.size, len(classes))
    if predictions.probabilities.shape != shape or predictions.labels.shape != shape[:1]:
        raise InputError(
            f"the predictions of {step} have shape {predictions.probabilities.shape} where "
            f"{shape} is due: {again}"
        )
    order = np.argsort(predictions.photos, kind="stable")
    answered = [str(photo) for photo in predictions.photos[order]]
    expected = [row.photo for row in test]
    if answered != expected:
        raise InputError(
            f"{step} was tested on other photos than preprocess put into the test split "
            f"({_first_difference(answered, expected)}): {again}"
        )
    differing = np.flatnonzero(predictions.labels[order] != [row.label for row in test])
    if differing.size:
        row = test[differing[0]]
        raise InputError(
            f"{step} was tested with another label for photo {row.photo} "
            f"({shortened(row.entry)!r}, label {row.label}): {again}"
        )
    probabilities = predictions.probabilities[order]
    # Both are true of NaN, too.
    bad = ~np.isclose(probabilities.sum(axis=1), 1.0, atol=1e-3)
    bad |= ~((probabilities >= 0) & (probabilities <= 1 + 1e-3)).all(axis=1)
    if bad.any():
        photo = expected[int(np.argmax(bad))]
        raise InputError(f"{step} has no probabilities for photo {photo}: {again}")
    return probabilities


def _first_difference(actual: list[str], expected: list[str]) -> str:
    """Where two lists part, in words."""
    if len(actual) != len(expected):
        return f"{len(actual)} instead of {len(expected)}"
    one, other = next((a, b) for a, b in zip(actual, expected, strict=True) if a != b)
    return f"{shortened(one)!r} instead of {shortened(other)!r}"


def _check_history(history: list[Epoch], step: str) -> None:
    if not history:
        raise InputError(f"the history of {step} is empty: run {step} again with force")
    for number, epoch in enumerate(history, start=1):
        if not all(isfinite(value) for value in epoch.model_dump().values()):
            rate = f"{step.removeprefix('train_')}_learning_rate"
            raise InputError(
                f"{step} diverged: epoch {number} of its history is not finite; lower {rate}"
            )
        shares = (epoch.accuracy, epoch.val_accuracy)
        if not all(0 <= share <= 1 for share in shares) or epoch.seconds < 0:
            raise InputError(
                f"the history of {step} cannot be (accuracies {shares[0]:g} and {shares[1]:g} "
                f"after {epoch.seconds:g} s in epoch {number}): run {step} again with force"
            )
