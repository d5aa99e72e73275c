"""The head's batches: every photo once an epoch, by one of its views."""

import numpy as np
import pytest

from tasks.train.head import FEATURES, FeatureBatches, new_head

pytestmark = pytest.mark.keras

LABELS = np.arange(10, dtype=np.int32) % 3
#: Feature 0 says which photo it is of, feature 1 which view.
VIEWS = [
    np.stack([np.arange(10), np.full(10, view)], axis=1).astype(np.float32) for view in range(3)
]


def epoch_of(batches: FeatureBatches) -> np.ndarray:
    batches.on_epoch_begin()
    return np.concatenate([batches[index][0] for index in range(len(batches))])


def test_every_epoch_sees_each_photo_once_by_views_drawn_anew() -> None:
    batches = FeatureBatches(VIEWS, LABELS, 4, seed=1)
    epochs = [epoch_of(batches) for _ in range(3)]
    for seen in epochs:
        assert sorted(seen[:, 0]) == list(range(10))
        assert set(seen[:, 1]) <= {0, 1, 2}
    assert len({tuple(seen[:, 0]) for seen in epochs}) == 3
    assert len({tuple(seen[seen[:, 0].argsort(), 1]) for seen in epochs}) == 3


def test_a_seed_draws_the_same_epochs() -> None:
    one, other = (FeatureBatches(VIEWS, LABELS, 4, seed=5) for _ in range(2))
    for _ in range(2):
        np.testing.assert_array_equal(epoch_of(one), epoch_of(other))


def test_labels_and_weights_are_those_of_the_photos() -> None:
    weights = np.array([1, 2, 3], np.float32)
    features, labels, given = FeatureBatches(VIEWS, LABELS, 4, seed=2, weights=weights)[0]
    np.testing.assert_array_equal(labels, LABELS[features[:, 0].astype(int)])
    np.testing.assert_array_equal(given, weights[labels])


def test_a_head_answers_with_probabilities() -> None:
    answers = new_head(3).predict(np.zeros((2, FEATURES), np.float32), verbose=0)
    np.testing.assert_allclose(answers, 1 / 3, atol=1e-6)
