"""The most confused pairs are those that cost the most photos."""

import numpy as np
import pytest

from tasks.compare.confusion import most_confused
from tasks.contract.training import Metrics, Predictions
from tasks.train.metrics import metrics_of


def metrics(true: list[int], named: list[int], classes: list[str]) -> Metrics:
    answers = Predictions(
        np.array([str(number) for number in range(len(true))]),
        np.array(true, dtype=np.int32),
        np.eye(len(classes), dtype=np.float32)[named],
    )
    return metrics_of(answers, classes)


def test_pairs_come_by_photos_then_by_share_of_the_class() -> None:
    classes = ["bear", "cougar", "elk", "wolf"]
    true = [0, 0, 0, 0, 1, 1, 1, 2, 2]
    named = [1, 1, 1, 0, 0, 1, 2, 0, 2]
    found = most_confused(metrics(true, named, classes), classes)
    assert [(pair.true_class, pair.named, pair.photos) for pair in found] == [
        ("bear", "cougar", 3),
        ("elk", "bear", 1),  # half of the elks; the others are a third of the cougars
        ("cougar", "bear", 1),
        ("cougar", "elk", 1),
    ]
    assert found[0].share == pytest.approx(3 / 4)


def test_a_network_without_mistakes_confuses_nothing() -> None:
    assert most_confused(metrics([0, 1], [0, 1], ["a", "b", "c"]), ["a", "b", "c"]) == []


def test_many_classes_give_a_bounded_list() -> None:
    classes = [str(number) for number in range(200)]
    true = list(range(200))
    found = most_confused(metrics(true, [*true[1:], 0], classes), classes)
    assert len(found) == 10
    assert (found[0].true_class, found[0].named, found[0].share) == ("0", "1", 1.0)
