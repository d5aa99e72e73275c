"""Measures are believed only if they can be of the predictions; the first that cannot is named."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.compare.measured import _faults
from tasks.contract.training import Metrics, Predictions
from tasks.train.metrics import metrics_of

CLASSES = ["bear", "cougar", "elk"]


def predictions_of(labels: list[int], seed: int, classes: int = 3) -> Predictions:
    random = np.random.default_rng(seed)
    return Predictions(
        np.array([f"{number:064x}" for number in range(len(labels))]),
        np.array(labels, dtype=np.int32),
        random.dirichlet(np.full(classes, 0.3), len(labels)).astype(np.float32),
    )


MADE = predictions_of([0, 1, 2, 0, 1, 2, 0, 1, 2, 1], 6)


def altered(place: str, value: object) -> Metrics:
    """The metrics with one value another, at a place like "classes.1.recall"."""
    whole = metrics_of(MADE, CLASSES).model_dump()
    *way, last = [int(part) if part.isdigit() else part for part in place.split(".")]
    part: Any = whole
    for step in way:
        part = part[step]
    part[last] = value
    return Metrics.model_validate(whole)


@given(
    st.integers(2, 7).flatmap(
        lambda classes: st.tuples(
            st.just(classes), st.lists(st.integers(0, classes - 1), min_size=1, max_size=80)
        )
    ),
    st.integers(0, 1000),
)
def test_what_the_training_measures_is_believed(made: tuple[int, list[int]], seed: int) -> None:
    classes, labels = made
    names = [f"class {number}" for number in range(classes)]
    predictions = predictions_of(labels, seed, classes)
    assert list(_faults(metrics_of(predictions, names), predictions, names)) == []


@pytest.mark.parametrize(
    ("place", "value", "fault"),
    [
        ("accuracy", 0.6, "accuracy 0.6 instead of 0.3"),
        ("accuracy", float("nan"), "accuracy is nan, no share"),
        ("top5_accuracy", 1.5, "top5_accuracy is 1.5, no share"),
        ("top5_accuracy", 0.1, "top5_accuracy 0.1 is less than accuracy"),
        ("log_loss", float("inf"), "log_loss inf"),
        ("log_loss", -1.0, "log_loss -1"),
        ("calibration_error", 0.99, "calibration_error 0.99 instead of"),
        ("confusion", [[1]], "its confusion matrix is not of 3 by 3 classes"),
        ("confusion.1", [1, 2], "its confusion matrix is not of 3 by 3 classes"),
        ("confusion.1.1", 10**30, "its confusion matrix has 1" + 30 * "0" + " photos of class 1"),
        ("classes", [], "it has measures of 0 other classes than the 3 there are"),
        ("classes.1.name", "lynx", "it has measures of 3 other classes"),
        ("classes.1.photos", 21, "class 1 has 21 photos instead of 4"),
        ("classes.1.recall", 0.99, "recall of class 1 is 0.99 instead of"),
        ("classes.1.f1", -0.1, "f1 of class 1 is -0.1, no share"),
        ("reliability", [], "its bins of the reliability diagram do not hold 10 photos"),
        ("reliability.14.photos", -1, "its bins of the reliability diagram do not hold 10"),
        ("reliability.14.low", 0.1, "its bins of the reliability diagram are not in order"),
        ("reliability.14.confidence", float("inf"), "confidence of bin 15 is inf, no share"),
    ],
)
def test_each_measure_that_cannot_be_is_told(place: str, value: object, fault: str) -> None:
    first = next(_faults(altered(place, value), MADE, CLASSES))
    assert first.startswith(fault)
