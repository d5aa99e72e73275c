"""Recipes: named sets of options that train a network as it is known to work.

A recipe's module says the command and the result to expect. What an option of the run names goes
before what the recipe says.
"""

from dataclasses import replace
from typing import Any, TypeVar

from tasks.contract.config import Recipe as RecipeName
from tasks.contract.config import ScratchOptions, TransferOptions
from tasks.train.recipes import lab, tuned
from tasks.train.recipes.recipe import Recipe, ScratchRecipe, TransferRecipe

_SCRATCH: dict[RecipeName, ScratchRecipe] = {"lab": lab.SCRATCH, "tuned": tuned.SCRATCH}
_TRANSFER: dict[RecipeName, TransferRecipe] = {"lab": lab.TRANSFER, "tuned": tuned.TRANSFER}

_AnyRecipe = TypeVar("_AnyRecipe", bound=Recipe)


def scratch_recipe(options: ScratchOptions) -> ScratchRecipe:
    """The recipe for random weights, with what the options say instead."""
    return _given(
        _SCRATCH[options.recipe],
        batch_size=options.batch_size,
        epochs=options.scratch_epochs,
        learning_rate=options.scratch_learning_rate,
    )


def transfer_recipe(options: TransferOptions) -> TransferRecipe:
    """The recipe for pretrained weights, with what the options say instead."""
    return _given(
        _TRANSFER[options.recipe],
        batch_size=options.batch_size,
        epochs=options.transfer_epochs,
        learning_rate=options.transfer_learning_rate,
        views=options.feature_views,
        fine_tune_epochs=options.fine_tune_epochs,
    )


def _given(recipe: _AnyRecipe, **options: Any) -> _AnyRecipe:
    return replace(recipe, **{name: value for name, value in options.items() if value is not None})
