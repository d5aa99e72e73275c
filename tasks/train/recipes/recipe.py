"""What a recipe can say."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """How a network is trained, whichever it is.

    Attributes:
        epochs: passes over the training photos.
        batch_size: photos per gradient step.
        learning_rate: Adam's step size; with a warm-up, its highest.
        warm_up_epochs: for so long the rate rises from zero; then it falls to zero again along half
            a cosine (Loshchilov and Hutter 2017, "SGDR"). None: it stays where it is.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    warm_up_epochs: float | None = None


@dataclass(frozen=True)
class ScratchRecipe(Recipe):
    """From random weights.

    Attributes:
        smallest_view: see ``RandomViews``; 1: photos are not augmented at all.
        early_share: of the epochs, so many begin with small photos: they cost less and already
            teach what coarse shapes do ("progressive learning", Tan and Le 2021, "EfficientNetV2").
        early_scale: the side of those, as a share of the photos' own.
        head_initializer: of the last layer's weights, by Keras' name; None: B0's own, which is made
            for 1,000 classes. With few it draws weights so large that the network begins by being
            sure of wrong answers, and learns slowly.
        batch_norm_momentum: of the moving averages; Keras' 0.99 needs hundreds of steps to forget
            how the network began.
    """

    smallest_view: float = 1.0
    early_share: float = 0.0
    early_scale: float = 4 / 7
    head_initializer: str | None = None
    batch_norm_momentum: float = 0.99


@dataclass(frozen=True)
class TransferRecipe(Recipe):
    """On a pretrained network.

    Attributes:
        views: of each photo the head is trained on: the photo itself, and random ones.
        smallest_view: of those random ones, see ``RandomViews``.
        fine_tune_epochs: so many follow the head's, in which the top blocks learn, too.
        fine_tune_learning_rate: their (highest) rate.
        fine_tune_blocks: how many of B0's seven blocks, from the top, learn then.
    """

    views: int = 1
    smallest_view: float = 0.6
    fine_tune_epochs: int = 0
    fine_tune_learning_rate: float = 1e-4
    fine_tune_blocks: int = 2
