"""The measures of a test, against their definitions and against worked examples."""

import numpy as np
import pytest

from tasks.contract.training import Predictions
from tasks.train.metrics import metrics_of, reliability

CLASSES = ["bear", "deer", "elk", "fox", "lynx", "wolf", "yak"]


def predictions(labels: list[int], probabilities: list[list[float]]) -> Predictions:
    return Predictions(
        photos=np.array([f"{number:064x}" for number in range(len(labels))]),
        labels=np.array(labels, np.int32),
        probabilities=np.array(probabilities, np.float32),
    )


def certain(labels: list[int], predicted: list[int], classes: int) -> Predictions:
    return predictions(labels, np.eye(classes)[predicted].tolist())


def test_counts_and_shares_of_a_test() -> None:
    metrics = metrics_of(certain([0, 0, 0, 1, 1, 2], [0, 0, 1, 1, 1, 0], 3), CLASSES[:3])
    assert (metrics.photos, metrics.correct) == (6, 4)
    assert metrics.accuracy == pytest.approx(4 / 6)
    assert metrics.confusion == [[2, 1, 0], [0, 2, 0], [1, 0, 0]]
    bear, deer, elk = metrics.classes
    assert (bear.precision, bear.recall) == pytest.approx((2 / 3, 2 / 3))
    assert (deer.precision, deer.recall, deer.f1) == pytest.approx((2 / 3, 1, 0.8))
    assert (elk.precision, elk.recall, elk.f1, elk.photos) == (0, 0, 0, 1)
    assert metrics.macro_f1 == pytest.approx((2 / 3 + 0.8 + 0) / 3)


def test_a_class_without_test_photos_counts_in_no_mean() -> None:
    metrics = metrics_of(certain([0, 1], [0, 1], 3), CLASSES[:3])
    assert metrics.macro_f1 == 1
    assert metrics.classes[2].photos == 0


def test_log_loss_is_the_mean_cross_entropy_and_never_infinite() -> None:
    metrics = metrics_of(predictions([0, 1], [[0.8, 0.2], [1.0, 0.0]]), CLASSES[:2])
    assert metrics.log_loss == pytest.approx((-np.log(0.8) - np.log(1e-7)) / 2)


def test_top_five_counts_the_five_most_probable_classes() -> None:
    rising = [1 / 28, 2 / 28, 3 / 28, 4 / 28, 5 / 28, 6 / 28, 7 / 28]
    assert metrics_of(predictions([0, 1, 2, 6], [rising] * 4), CLASSES).top5_accuracy == 0.5
    few = metrics_of(certain([0, 1], [1, 0], 2), CLASSES[:2])
    assert few.top5_accuracy == 1  # of two classes, five are all


def test_calibration_error_is_the_mean_gap_between_sureness_and_success() -> None:
    """Ten answers of 80 %, of which six are right; ten of 60 %, all right: (0.2 + 0.4) / 2."""
    labels = [0] * 6 + [1] * 4 + [0] * 10
    given = [[0.8, 0.2]] * 10 + [[0.6, 0.4]] * 10
    metrics = metrics_of(predictions(labels, given), CLASSES[:2])
    assert metrics.calibration_error == pytest.approx(0.3, abs=1e-6)
    assert sum(one.photos for one in metrics.reliability) == 20


def test_every_photo_is_in_the_bin_of_its_probability() -> None:
    random = np.random.default_rng(1)
    drawn = random.dirichlet(np.ones(3) / 2, 500).tolist()
    found = predictions(random.integers(0, 3, 500).tolist(), drawn)
    bins = reliability(found)
    assert sum(one.photos for one in bins) == 500
    for one in bins:
        if one.photos:
            assert one.low - 1e-6 <= one.confidence <= one.high + 1e-6


def test_sure_and_right_is_perfectly_calibrated() -> None:
    assert metrics_of(certain([0, 1], [0, 1], 2), CLASSES[:2]).calibration_error == 0
