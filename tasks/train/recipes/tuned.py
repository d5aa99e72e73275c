"""As well as we know how.

make run ARCHIVE=oregon_wildlife.zip OPTIONS="recipe=tuned"
"""

from tasks.train.recipes.recipe import ScratchRecipe, TransferRecipe

SCRATCH = ScratchRecipe(
    epochs=20,
    batch_size=16,
    learning_rate=1e-3,
    warm_up_epochs=2,
    smallest_view=0.6,
    batch_norm_momentum=0.9,
)
TRANSFER = TransferRecipe(
    epochs=20,
    batch_size=16,
    learning_rate=3e-3,
    warm_up_epochs=0,
    views=4,
)
