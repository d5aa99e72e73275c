"""A network's measures, checked against the answers that they are of.

What a step has left was true when it was written. A result of another version, or one that was
mended by hand, is told here in one line, instead of misleading readers or failing in a figure.
"""

from collections.abc import Iterator
from math import isfinite

import numpy as np

from tasks.compare.results import read_file
from tasks.contract.errors import InputError
from tasks.contract.step import Artifact
from tasks.contract.training import METRICS_FILE, Metrics, Predictions

#: Shares were computed in another order, or of numbers that were rounded to single precision.
_ROUNDING = 1e-6


def read_metrics(artifact: Artifact, predictions: Predictions, classes: list[str]) -> Metrics:
    """The measures of a training step's test.

    Args:
        predictions: whose labels lie in 0..classes-1 and whose rows sum to one.

    Raises:
        InputError: there are none, they cannot be read, or they are not of these predictions.
    """
    metrics = read_file(
        METRICS_FILE, artifact, lambda path: Metrics.model_validate_json(path.read_bytes())
    )
    fault = next(_faults(metrics, predictions, classes), None)
    if fault is not None:
        step = artifact.manifest.step
        raise InputError(
            f"{METRICS_FILE} of {step} is not of its predictions ({fault}): "
            f"run {step} again with force"
        )
    return metrics


def _faults(metrics: Metrics, predictions: Predictions, classes: list[str]) -> Iterator[str]:
    """What contradicts the predictions, or no measure can be."""
    photos = len(predictions.labels)
    correct = int((predictions.predicted == predictions.labels).sum())
    if (metrics.photos, metrics.correct) != (photos, correct):
        yield (
            f"{metrics.correct} of {metrics.photos} photos right instead of {correct} of {photos}"
        )
    yield from _faults_of_shares(metrics)
    if not _alike(metrics.accuracy, correct / photos):
        yield f"accuracy {metrics.accuracy:g} instead of {correct / photos:g}"
    if metrics.top5_accuracy < metrics.accuracy - _ROUNDING:
        yield f"top5_accuracy {metrics.top5_accuracy:g} is less than accuracy"
    if not (isfinite(metrics.log_loss) and metrics.log_loss >= 0):
        yield f"log_loss {metrics.log_loss:g}"
    yield from _faults_of_the_confusion(metrics, predictions, len(classes))
    yield from _faults_of_the_classes(metrics, classes)
    yield from _faults_of_the_bins(metrics)


def _faults_of_shares(metrics: Metrics) -> Iterator[str]:
    shares = {
        name: getattr(metrics, name)
        for name in ("accuracy", "top5_accuracy", "macro_f1", "calibration_error")
    }
    for label, row in enumerate(metrics.classes):
        shares |= {
            f"{name} of class {label}": getattr(row, name) for name in ("precision", "recall", "f1")
        }
    for number, one in enumerate(metrics.reliability, start=1):
        shares |= {
            f"{name} of bin {number}": getattr(one, name)
            for name in ("low", "high", "confidence", "accuracy")
        }
    for name, share in shares.items():
        if not -_ROUNDING <= share <= 1 + _ROUNDING:  # true of NaN, too
            yield f"{name} is {share:g}, no share"


def _faults_of_the_confusion(
    metrics: Metrics, predictions: Predictions, classes: int
) -> Iterator[str]:
    rows = metrics.confusion
    if len(rows) != classes or any(len(row) != classes for row in rows):
        yield f"its confusion matrix is not of {classes} by {classes} classes"
        return
    expected = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(expected, (predictions.labels, predictions.predicted), 1)
    for true, named in np.argwhere(expected != np.array(rows, dtype=object)):
        yield (
            f"its confusion matrix has {rows[true][named]} photos of class {true} taken for "
            f"{named} instead of {expected[true, named]}"
        )


def _faults_of_the_classes(metrics: Metrics, classes: list[str]) -> Iterator[str]:
    names = [row.name for row in metrics.classes]
    if names != classes:
        yield f"it has measures of {len(names)} other classes than the {len(classes)} there are"
        return
    for label, (row, counts) in enumerate(zip(metrics.classes, metrics.confusion, strict=True)):
        support = sum(counts)
        if row.photos != support:
            yield f"class {label} has {row.photos} photos instead of {support}"
        recall = counts[label] / support if support else 0.0
        if not _alike(row.recall, recall):
            yield f"recall of class {label} is {row.recall:g} instead of {recall:g}"


def _faults_of_the_bins(metrics: Metrics) -> Iterator[str]:
    bins = metrics.reliability
    borders = [border for one in bins for border in (one.low, one.high)]
    if borders != sorted(borders):
        yield "its bins of the reliability diagram are not in order"
    if any(one.photos < 0 for one in bins) or sum(one.photos for one in bins) != metrics.photos:
        yield f"its bins of the reliability diagram do not hold {metrics.photos} photos together"
    right = sum(one.photos * one.accuracy for one in bins)
    if not _alike(right / metrics.photos, metrics.accuracy):
        yield f"by its bins of the reliability diagram {right:g} photos were right"
    gap = sum(one.photos * abs(one.accuracy - one.confidence) for one in bins) / metrics.photos
    if not _alike(gap, metrics.calibration_error):
        yield f"calibration_error {metrics.calibration_error:g} instead of {gap:g}"


def _alike(one: float, other: float) -> bool:
    return abs(one - other) <= _ROUNDING
