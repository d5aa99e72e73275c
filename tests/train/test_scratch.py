"""The network that starts from random weights, and how it is trained in stages."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest

from tasks.train.checkpoint import hand_over
from tasks.train.recipes import lab, tuned
from tasks.train.scratch import _trainable, early_stage, initial_network

pytestmark = pytest.mark.keras


def test_a_recipe_begins_with_small_photos_for_its_share_of_the_epochs() -> None:
    recipe = replace(lab.SCRATCH, epochs=10, early_share=0.75, early_scale=4 / 7)
    assert early_stage(recipe, 224) == (128, 7)


def test_the_small_photos_come_out_even_in_the_network_and_are_never_too_small() -> None:
    recipe = replace(lab.SCRATCH, epochs=4, early_share=0.5, early_scale=0.5)
    assert [early_stage(recipe, size) for size in (64, 150, 600)] == [(32, 2), (64, 2), (288, 2)]


def test_photos_that_are_small_already_are_trained_on_as_they_are() -> None:
    recipe = replace(lab.SCRATCH, epochs=4, early_share=0.5, early_scale=0.5)
    assert early_stage(recipe, 32)[1] == 0


def test_the_lab_has_no_such_stage() -> None:
    assert early_stage(lab.SCRATCH, 224)[1] == 0


def test_a_training_of_one_epoch_sees_it_as_it_is() -> None:
    assert early_stage(replace(tuned.SCRATCH, epochs=1), 224)[1] == 0


def test_without_views_the_stages_still_have_the_same_variables() -> None:
    """What the small photos taught is handed over by name."""
    recipe = replace(lab.SCRATCH, epochs=2, early_share=0.5, early_scale=0.5)
    data: Any = SimpleNamespace(image_size=64, train=range(8))
    models = [_trainable(initial_network(recipe, side, 2), data, recipe, 1) for side in (32, 64)]
    hand_over(*models)
    for early, later in zip(*(model.variables for model in models), strict=True):
        np.testing.assert_array_equal(early.numpy(), later.numpy())


def test_a_network_of_few_classes_begins_by_being_sure_of_nothing() -> None:
    """B0's own head, made for 1,000 classes, begins with a loss far above that of guessing."""
    keras.utils.set_random_seed(1)
    photos = np.random.default_rng(1).integers(0, 256, (8, 64, 64, 3)).astype(np.float32)
    losses = {}
    for recipe in (lab.SCRATCH, tuned.SCRATCH):
        network = initial_network(recipe, 64, 2)
        answers = np.asarray(network([photos], training=True))
        losses[recipe] = -np.log(answers).mean()
    assert losses[tuned.SCRATCH] < 1.3 * np.log(2)
    assert losses[lab.SCRATCH] > losses[tuned.SCRATCH]
