"""Optimizer and loss are what the recipe says."""

import keras
import numpy as np
import pytest

from tasks.train.compiling import compile_classifier
from tasks.train.recipes.recipe import Recipe
from tests.train.conftest import small_network

pytestmark = pytest.mark.keras

LABELS = np.array([0, 2, 1], np.int32)
GIVEN = np.array([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8], [0.5, 0.3, 0.2]], np.float32)


def rates(recipe: Recipe, photos: int, steps: int) -> list[float]:
    model = small_network()
    compile_classifier(model, recipe, photos)
    found = []
    for _ in range(steps):
        found.append(float(model.optimizer.learning_rate))
        model.optimizer.iterations.assign_add(1)
    return found


def test_a_constant_rate_stays() -> None:
    assert rates(Recipe(3, 4, 0.01), 10, 3) == pytest.approx([0.01] * 3)


def test_the_rate_rises_through_the_warm_up_and_falls_to_zero() -> None:
    recipe = Recipe(epochs=4, batch_size=4, learning_rate=0.01, warm_up_epochs=1)
    found = rates(recipe, photos=10, steps=13)  # three steps an epoch
    assert found[:4] == pytest.approx([0, 0.01 / 3, 0.02 / 3, 0.01])
    assert found[3:] == sorted(found[3:], reverse=True)
    assert found[12] == pytest.approx(0, abs=1e-6)


def test_a_warm_up_of_no_length_begins_with_the_full_rate() -> None:
    recipe = Recipe(epochs=4, batch_size=4, learning_rate=0.01, warm_up_epochs=0)
    assert rates(recipe, photos=10, steps=1) == pytest.approx([0.01])


def test_the_curves_cross_entropy_does_not_depend_on_weights_of_classes() -> None:
    model = keras.Sequential([keras.Input((3,)), keras.layers.Identity()])
    compile_classifier(model, Recipe(1, 3, 0.1), 3)
    weights = np.array([1, 5, 2], np.float32)
    measures = model.evaluate(GIVEN, LABELS, sample_weight=weights, verbose=0, return_dict=True)
    each = -np.log(GIVEN[np.arange(3), LABELS])
    assert measures["cross_entropy"] == pytest.approx(each.mean(), rel=1e-5)
    assert measures["loss"] == pytest.approx((each * weights).mean(), rel=1e-5)
