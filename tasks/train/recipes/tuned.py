"""What measurements on small archives and the field's practice speak for.

    make run ARCHIVE=oregon_wildlife.zip OPTIONS="recipe=tuned"

To expect: on 1,139 photos of six species (760 for training, 200 test photos, weights ``lite0``) 47
to 61 % from scratch (54.5 % measured) and 93 to 98 % with transfer (96.5 %): 95 % intervals of one
training each. On another archive, other numbers.

There it is not distinguishable from the recipe ``lab``. From scratch, 20 epochs of so few photos
leave it underfitted (training accuracy 0.50, ``lab``'s 0.91), so that more epochs or more photos
should help it and not ``lab``; that has not been measured. ``docs/training.md`` has what was.
"""

from tasks.train.recipes.recipe import ScratchRecipe, TransferRecipe

SCRATCH = ScratchRecipe(
    epochs=40,
    batch_size=16,
    learning_rate=1e-3,
    warm_up_epochs=2,
    smallest_view=0.7,
    early_share=0.75,
    head_initializer="glorot_uniform",
    batch_norm_momentum=0.9,
)
TRANSFER = TransferRecipe(
    epochs=20,
    batch_size=16,
    learning_rate=3e-3,
    warm_up_epochs=0,
    views=4,
)
