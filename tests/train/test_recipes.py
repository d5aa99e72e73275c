"""A recipe is what is trained, but for what a run's options say instead."""

import pytest

from tasks.contract.config import Config, ScratchOptions, TransferOptions
from tasks.train.recipes import lab, scratch_recipe, transfer_recipe, tuned


def test_without_options_a_recipe_is_itself() -> None:
    assert scratch_recipe(ScratchOptions()) == tuned.SCRATCH
    assert scratch_recipe(ScratchOptions(recipe="lab")) == lab.SCRATCH
    assert transfer_recipe(TransferOptions(recipe="lab")) == lab.TRANSFER


def test_an_option_goes_before_the_recipe_and_leaves_the_rest() -> None:
    options = ScratchOptions(scratch_epochs=3, scratch_learning_rate=0.5, batch_size=7)
    recipe = scratch_recipe(options)
    assert (recipe.epochs, recipe.learning_rate, recipe.batch_size) == (3, 0.5, 7)
    assert recipe.smallest_view == tuned.SCRATCH.smallest_view
    other = transfer_recipe(TransferOptions(fine_tune_epochs=0, feature_views=1))
    assert (other.fine_tune_epochs, other.views) == (0, 1)


def test_the_lab_is_repeated_as_it_was() -> None:
    """Batches of 16, Adam at its default rate, no augmentation, one look at each photo."""
    for recipe in (lab.SCRATCH, lab.TRANSFER):
        assert (recipe.batch_size, recipe.learning_rate) == (16, 1e-3)
        assert recipe.warm_up_epochs is None
    assert lab.SCRATCH.smallest_view == 1
    assert (lab.TRANSFER.views, lab.TRANSFER.fine_tune_epochs) == (1, 0)


def test_the_help_texts_tell_what_a_number_that_was_left_empty_is() -> None:
    recipes = {
        "batch_size": (tuned.SCRATCH.batch_size, lab.SCRATCH.batch_size),
        "scratch_epochs": (tuned.SCRATCH.epochs, lab.SCRATCH.epochs),
        "scratch_learning_rate": (tuned.SCRATCH.learning_rate, lab.SCRATCH.learning_rate),
        "transfer_epochs": (tuned.TRANSFER.epochs, lab.TRANSFER.epochs),
        "transfer_learning_rate": (tuned.TRANSFER.learning_rate, lab.TRANSFER.learning_rate),
        "feature_views": (tuned.TRANSFER.views, lab.TRANSFER.views),
        "fine_tune_epochs": (tuned.TRANSFER.fine_tune_epochs, lab.TRANSFER.fine_tune_epochs),
    }
    fields = Config.model_fields
    assert recipes.keys() == {name for name in fields if fields[name].default is None}
    for name, (first, second) in recipes.items():
        told = f"{first:g} by the recipe 'tuned', {second:g} by 'lab'."
        if first == second:
            told = f"{first:g} by either recipe."
        assert str(fields[name].description).endswith(f"Empty: {told}"), name
    assert tuned.TRANSFER.batch_size == tuned.SCRATCH.batch_size
    assert lab.TRANSFER.batch_size == lab.SCRATCH.batch_size


@pytest.mark.parametrize("module", [lab, tuned])
def test_a_recipe_tells_its_command_and_what_to_expect(module: object) -> None:
    assert module.__doc__ is not None
    assert "make run" in module.__doc__
    assert " to " in module.__doc__
    assert "%" in module.__doc__
