"""The reference lab's: batches of 16, Adam at 0.001, no augmentation, one look at each photo.

    make run ARCHIVE=oregon_wildlife.zip OPTIONS="recipe=lab"

To expect: on 1,139 photos of six species (760 for training, 200 test photos, weights ``lite0``) 51
to 65 % from scratch (58.0 % measured) and 94 to 99 % with transfer (97.5 %): 95 % intervals of one
training each. On another archive, other numbers.

The lab itself reports 13 % from scratch and 91 % with transfer on Oregon Wildlife, 20 species. It
had numbered its labels from 1, so that one class could never be right, and mixed its splits.
"""

from tasks.train.recipes.recipe import ScratchRecipe, TransferRecipe

SCRATCH = ScratchRecipe(epochs=20, batch_size=16, learning_rate=1e-3)
TRANSFER = TransferRecipe(epochs=20, batch_size=16, learning_rate=1e-3)
