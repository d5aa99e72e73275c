"""The first arm: EfficientNet-B0 from random weights, on the photos alone."""

import math

import keras

from tasks.contract.step import Facts, Job
from tasks.train.augment import RandomViews
from tasks.train.compiling import compile_classifier
from tasks.train.data import Data
from tasks.train.device import prepare
from tasks.train.history import History
from tasks.train.inference import answers
from tasks.train.memory import require_memory
from tasks.train.recipes import scratch_recipe
from tasks.train.recipes.recipe import ScratchRecipe
from tasks.train.results import finish
from tasks.train.resumable import fit_resumably


def train_scratch(job: Job) -> Facts:
    """Train as the recipe says; one that was interrupted goes on from its last checkpoint.

    Raises:
        InputError: a split is empty, the photos are too small, a batch does not fit into memory,
            or the loss became NaN.
        SystemExit: after SIGTERM, once a checkpoint is saved.
    """
    options = job.options
    recipe = scratch_recipe(options)
    data = Data.of(job)
    require_memory(recipe.batch_size, data.image_size)
    strategy = prepare(
        options.seed, deterministic=options.deterministic, precision=options.precision
    )
    history = History(
        job,
        "train_scratch",
        recipe.epochs,
        len(data.train),
        "scratch_learning_rate",
        recipe.learning_rate,
    )
    with strategy.scope():
        network = scratch_network(data.image_size, len(data.classes), recipe.batch_norm_momentum)
        model = seen_at_random(network, recipe, options.seed)
        compile_classifier(model, recipe, len(data.train))
        resumed = fit_resumably(job, "train_scratch", model, data, history, recipe)
    job.measurements["resumed"] = resumed
    job.measurements["train_seconds"] = round(history.seconds, 3)
    job.measurements["photos_per_second"] = round(
        recipe.epochs * len(data.train) / history.seconds, 2
    )
    history.phase("evaluating")
    probabilities = answers(network, data.test, "test")
    weights = {"source": "none", "name": "random initial weights", "sha256": ""}
    return finish(job, data, network, probabilities, history, "scratch", recipe, weights)


def scratch_network(
    image_size: int, classes: int, batch_norm_momentum: float = 0.99
) -> keras.Model:
    """EfficientNet-B0 with its top and random weights: pixels 0..255 in, probabilities out.

    Its Normalization stays at mean 0 and variance 1, as ``weights=None`` makes it: the pixels reach
    the first convolution as 0..1, and the batch normalisation behind it does the rest. The softmax
    is computed in float32 whatever the precision.
    """
    logits = keras.applications.EfficientNetB0(
        include_top=True,
        weights=None,
        classes=classes,
        input_shape=(image_size, image_size, 3),
        classifier_activation=None,
    )
    for layer in logits.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = batch_norm_momentum
    softmax = keras.layers.Activation("softmax", dtype="float32", name="probabilities")
    return keras.Model(logits.inputs, softmax(logits.outputs[0]), name="scratch")


def seen_at_random(network: keras.Model, recipe: ScratchRecipe, seed: int) -> keras.Model:
    """The network as it is trained: behind the recipe's augmentation."""
    if math.isclose(recipe.smallest_view, 1.0):
        return network
    return RandomViews(seed, recipe.smallest_view).before(network)
