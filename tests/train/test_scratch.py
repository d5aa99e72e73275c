"""The network that starts from random weights, and how it is trained in stages."""

from dataclasses import replace

import pytest

from tasks.train.recipes import lab, tuned
from tasks.train.scratch import early_stage

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
