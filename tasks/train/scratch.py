"""The first arm: EfficientNet-B0 from random weights, on the photos alone."""

import math
from functools import partial

import keras

from tasks.contract.step import Facts, Job
from tasks.train.augment import RandomViews
from tasks.train.compiling import compile_classifier
from tasks.train.data import MIN_IMAGE_SIZE, Data
from tasks.train.device import prepare
from tasks.train.fusing import fused
from tasks.train.history import History
from tasks.train.inference import answers
from tasks.train.memory import require_memory
from tasks.train.recipes import scratch_recipe
from tasks.train.recipes.recipe import ScratchRecipe
from tasks.train.results import finish
from tasks.train.resumable import Stage, fit_resumably


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
        classes = len(data.classes)
        network = initial_network(recipe, data.image_size, classes)
        stages = [Stage(recipe.epochs, partial(_trainable, network, data, recipe, options.seed))]
        side, epochs = early_stage(recipe, data.image_size)
        if epochs:
            small = initial_network(recipe, side, classes)
            model = partial(_trainable, small, data, recipe, options.seed)
            stages.insert(0, Stage(epochs, model))
            history.costs[:epochs] = [(side / data.image_size) ** 2] * epochs
        resumed = fit_resumably(job, "train_scratch", stages, data, history, recipe)
    job.measurements["resumed"] = resumed
    job.measurements["train_seconds"] = round(history.seconds, 3)
    job.measurements["photos_per_second"] = round(
        recipe.epochs * len(data.train) / history.seconds, 2
    )
    history.phase("evaluating")
    probabilities = answers(network, data.test, "test")
    weights = {"source": "none", "name": "random initial weights", "sha256": ""}
    facts = finish(job, data, network, probabilities, history, "scratch", recipe, weights)
    return facts | {"early_epochs": epochs, "early_side": side if epochs else None}


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


def early_stage(recipe: ScratchRecipe, image_size: int) -> tuple[int, int]:
    """The side of the small photos that training begins with, and for how many epochs; maybe none.

    The side is a multiple of 32, so that the network's five halvings come out even.
    """
    side = max(MIN_IMAGE_SIZE, 32 * round(recipe.early_scale * image_size / 32))
    return side, math.floor(recipe.early_share * recipe.epochs) if side < image_size else 0


def initial_network(recipe: ScratchRecipe, side: int, classes: int) -> keras.Model:
    """The network that training begins with, for photos of that side."""
    network = scratch_network(side, classes, recipe.batch_norm_momentum)
    if recipe.head_initializer is not None:
        kernel = network.get_layer("predictions").kernel
        kernel.assign(keras.initializers.get(recipe.head_initializer)(kernel.shape))
    return network


def _trainable(network: keras.Model, data: Data, recipe: ScratchRecipe, seed: int) -> keras.Model:
    """The network, compiled, behind the recipe's views of the photos, which it may see smaller.

    Whatever it sees, the models of one training have the same variables.
    """
    side, model = network.input_shape[1], fused(network)
    if recipe.smallest_view < 1 or early_stage(recipe, data.image_size)[1]:
        views = RandomViews(seed, recipe.smallest_view, side=side)
        model = views.before(model, data.image_size)
    compile_classifier(model, recipe, len(data.train))
    return model
