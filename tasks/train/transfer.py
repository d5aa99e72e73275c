"""The second arm: a new head on a pretrained EfficientNet-B0.

The head is trained on features that the frozen network computed once. If the recipe says so, the
network's top blocks are fine-tuned afterwards, together with the head. The saved model is the whole
network.
"""

from collections.abc import Callable
from dataclasses import replace

import keras

from tasks.contract.config import TransferOptions
from tasks.contract.step import Facts, Job
from tasks.train.augment import RandomViews
from tasks.train.backbone import pretrained
from tasks.train.compiling import compile_classifier
from tasks.train.data import Data
from tasks.train.device import prepare
from tasks.train.features import FeatureSets, features_of
from tasks.train.head import FeatureBatches, new_head
from tasks.train.history import History
from tasks.train.inference import answers
from tasks.train.memory import require_memory
from tasks.train.recipes import transfer_recipe
from tasks.train.recipes.recipe import TransferRecipe
from tasks.train.results import finish
from tasks.train.resumable import Stage, fit_resumably

#: Features are small, 5 KB each, so all of most validation splits pass through the head at once.
_VALIDATION_BATCH = 4096


def train_transfer(job: Job) -> Facts:
    """Compute the features, train the head on them, fine-tune if the recipe says so.

    Raises:
        InputError: a split is empty, the photos are too small, the weights are not usable, or the
            loss became NaN.
        UnavailableError: the weights cannot be had.
        SystemExit: after SIGTERM in fine-tuning, once a checkpoint is saved.
    """
    options = job.options
    recipe = transfer_recipe(options)
    data = Data.of(job)
    strategy = prepare(
        options.seed, deterministic=options.deterministic, precision=options.precision
    )
    history = History(
        job,
        "train_transfer",
        recipe.epochs + recipe.fine_tune_epochs,
        len(data.train),
        "transfer_learning_rate",
        recipe.learning_rate,
    )
    if recipe.fine_tune_epochs:  # which may take a thousand times as long as the head's
        history.costs[: recipe.epochs] = [0.0] * recipe.epochs
    history.begin()
    with strategy.scope():
        backbone = pretrained(job, data.image_size)
        backbone.base.trainable = False
        features = features_of(
            job,
            data,
            backbone.base,
            backbone.facts["sha256"],
            recipe.views,
            recipe.smallest_view,
        )
        history.count_in(features.shared_seconds)
        feature_seconds = history.seconds
        head = new_head(len(data.classes))
        network = whole_network(backbone.base, head, data.image_size)

        def train_head() -> None:
            _train_head(head, features, data, recipe, history, options)

        if recipe.fine_tune_epochs:
            job.measurements["resumed"] = _fine_tune(
                job, network, backbone.base, data, recipe, history, train_head
            )
        else:
            train_head()
    train_seconds = history.seconds
    job.measurements |= {
        "features_computed": features.computed,
        "shared_seconds": round(features.shared_seconds, 3),
        "feature_seconds": round(feature_seconds, 3),
        "head_seconds": round(train_seconds - feature_seconds, 3),
        "train_seconds": round(train_seconds, 3),
        "photos_per_second": round(len(history.epochs) * len(data.train) / train_seconds, 2),
    }
    history.phase("evaluating")
    if recipe.fine_tune_epochs:
        probabilities = answers(network, data.test, "test")
    else:
        probabilities = head.predict(features.test, verbose=0)
    return finish(job, data, network, probabilities, history, "transfer", recipe, backbone.facts)


def whole_network(base: keras.Model, head: keras.Model, image_size: int) -> keras.Model:
    """Pixels 0..255 in, probabilities out.

    While it is fine-tuned, the base drops out as in training (a model passes its own mode on to its
    layers), but its batch normalisations are frozen by ``thaw_top``.
    """
    pixels = keras.Input((image_size, image_size, 3))
    return keras.Model(pixels, head(base(pixels)), name="transfer")


def _train_head(
    head: keras.Model,
    features: FeatureSets,
    data: Data,
    recipe: TransferRecipe,
    history: History,
    options: TransferOptions,
) -> None:
    labels, weights = data.train.labels, data.class_weights(options)
    compile_classifier(head, recipe, len(labels))
    head.fit(
        FeatureBatches(features.train, labels, recipe.batch_size, options.seed, weights),
        validation_data=(features.validation, data.validation.labels),
        validation_batch_size=_VALIDATION_BATCH,
        epochs=recipe.epochs,
        shuffle=False,  # the batches shuffle themselves
        callbacks=[history],
        verbose=0,
    )


def _fine_tune(
    job: Job,
    network: keras.Model,
    base: keras.Model,
    data: Data,
    recipe: TransferRecipe,
    history: History,
    train_head: Callable[[], None],
) -> int:
    """Train the top blocks and the head on the photos; the batch statistics stay as they were."""
    require_memory(recipe.batch_size, data.image_size)
    thaw_top(base, recipe.fine_tune_blocks)
    model = network
    if recipe.views > 1:
        views = RandomViews(job.options.seed, recipe.smallest_view)
        model = views.before(network, data.image_size)
    gentle = replace(recipe, learning_rate=recipe.fine_tune_learning_rate)
    compile_classifier(model, gentle, len(data.train), epochs=recipe.fine_tune_epochs)
    every = replace(gentle, epochs=recipe.epochs + recipe.fine_tune_epochs)
    stages = [Stage(every.epochs, lambda: model)]
    return fit_resumably(job, "train_transfer", stages, data, history, every, first=train_head)


def thaw_top(base: keras.Model, blocks: int) -> None:
    """Let the last so many of B0's seven blocks, and what follows them, learn; no normalisation."""
    base.trainable = True
    thawed = ("top_", *(f"block{number}" for number in range(8 - blocks, 8)))
    for layer in base.layers:
        layer.trainable = layer.name.startswith(thawed) and not isinstance(
            layer, keras.layers.BatchNormalization
        )
