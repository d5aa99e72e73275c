"""How good a network's answers to the test photos are."""

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from tasks.contract.training import Bin, ClassMetrics, Metrics, Predictions

#: Of the reliability diagram, as Guo et al. have it.
BINS = 15
#: Keras bounds probabilities by this before taking logarithms; the curves' losses do so too.
LEAST_PROBABILITY = 1e-7


def metrics_of(predictions: Predictions, classes: list[str]) -> Metrics:
    """All measures of a test; a class without test photos counts in none of the means."""
    labels, predicted = predictions.labels, predictions.predicted
    numbers = np.arange(len(classes))
    precision, recall, f1, support = precision_recall_fscore_support(
        labels, predicted, labels=numbers, zero_division=0.0
    )
    given = predictions.given.astype(np.float64)
    bins = reliability(predictions)
    return Metrics(
        photos=len(labels),
        correct=int((predicted == labels).sum()),
        accuracy=float((predicted == labels).mean()),
        top5_accuracy=_top(predictions, 5),
        macro_f1=float(f1[support > 0].mean()),
        log_loss=float(-np.log(np.clip(given, LEAST_PROBABILITY, 1.0)).mean()),
        calibration_error=sum(one.photos * abs(one.accuracy - one.confidence) for one in bins)
        / len(labels),
        reliability=bins,
        confusion=confusion_matrix(labels, predicted, labels=numbers).tolist(),
        classes=[
            ClassMetrics(
                name=name,
                photos=int(support[label]),
                precision=float(precision[label]),
                recall=float(recall[label]),
                f1=float(f1[label]),
            )
            for label, name in enumerate(classes)
        ],
    )


def reliability(predictions: Predictions, bins: int = BINS) -> list[Bin]:
    """Photos by how sure the network was of its answer, in bins of equal width.

    The expected calibration error is the mean gap between the two shares of a bin, each bin
    weighing as it has photos (Guo et al. 2017, "On calibration of modern neural networks").
    """
    sure = predictions.probabilities.max(axis=1).astype(np.float64)
    right = predictions.predicted == predictions.labels
    # A probability that is just an edge belongs to the bin below, as in that paper.
    place = np.clip(np.ceil(sure * bins).astype(int) - 1, 0, bins - 1)
    return [
        _bin(number / bins, (number + 1) / bins, sure[place == number], right[place == number])
        for number in range(bins)
    ]


def _bin(low: float, high: float, sure: NDArray[np.float64], right: NDArray[np.bool_]) -> Bin:
    return Bin(
        low=low,
        high=high,
        photos=len(sure),
        confidence=float(sure.mean()) if len(sure) else 0.0,
        accuracy=float(right.mean()) if len(sure) else 0.0,
    )


def _top(predictions: Predictions, count: int) -> float:
    """Share of photos whose class is among the ``count`` most probable ones."""
    more_probable = (predictions.probabilities > predictions.given[:, None]).sum(axis=1)
    return float((more_probable < count).mean())
