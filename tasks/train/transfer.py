"""The second arm: a new head on a frozen, pretrained EfficientNet-B0.

A frozen network computes the same features of a photo in every epoch. So they are computed once,
and the head is trained on them in seconds. The saved model is the whole network.
"""

import keras

from tasks.contract.step import Facts, Job
from tasks.train.backbone import pretrained
from tasks.train.fit import Data, History, answers, compile_classifier, finish, prepare


def train_transfer(job: Job) -> Facts:
    """Compute the features, train a softmax layer on them with Adam, assemble the network.

    Raises:
        InputError: a split is empty, the photos are too small, the weights are not usable, or the
            loss became NaN.
        UnavailableError: the weights cannot be had.
    """
    options = job.options
    data = Data.of(job)
    prepare(options.seed)
    history = History(
        job, "train_transfer", options.transfer_epochs, len(data.train), "transfer_learning_rate"
    )
    history.begin()
    backbone = pretrained(job, data.image_size)
    backbone.base.trainable = False
    train = answers(backbone.base, data.train, "features of train")
    validation = answers(backbone.base, data.validation, "features of validation")
    feature_seconds = history.seconds

    head = keras.Sequential(
        [
            keras.Input((train.shape[1],)),
            keras.layers.Dense(len(data.classes), activation="softmax", name="predictions"),
        ],
        name="head",
    )
    compile_classifier(head, options.transfer_learning_rate)
    head.fit(
        train,
        data.train.labels,
        batch_size=options.batch_size,
        validation_data=(validation, data.validation.labels),
        epochs=options.transfer_epochs,
        shuffle=True,
        callbacks=[history],
        verbose=0,
    )
    train_seconds = history.seconds
    job.measurements |= {
        "feature_seconds": round(feature_seconds, 3),
        "head_seconds": round(train_seconds - feature_seconds, 3),
        "train_seconds": round(train_seconds, 3),
        "photos_per_second": round(options.transfer_epochs * len(data.train) / train_seconds, 2),
    }
    return finish(
        job,
        data,
        whole_network(backbone.base, head, data.image_size),
        history,
        "transfer",
        options.transfer_learning_rate,
        backbone.facts,
    )


def whole_network(base: keras.Model, head: keras.Model, image_size: int) -> keras.Model:
    """Pixels 0..255 in, probabilities out; the base frozen and always in inference mode."""
    pixels = keras.Input((image_size, image_size, 3))
    return keras.Model(pixels, head(base(pixels, training=False)), name="transfer")
