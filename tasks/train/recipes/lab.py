"""What the reference lab did, done right: batches of 16, Adam, no augmentation.

make run ARCHIVE=oregon_wildlife.zip OPTIONS="recipe=lab"
"""

from tasks.train.recipes.recipe import ScratchRecipe, TransferRecipe

SCRATCH = ScratchRecipe(epochs=20, batch_size=16, learning_rate=1e-3)
TRANSFER = TransferRecipe(epochs=20, batch_size=16, learning_rate=1e-3)
