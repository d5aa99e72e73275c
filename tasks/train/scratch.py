"""The first arm: EfficientNet-B0 from random weights, on the photos alone."""

import keras

from tasks.contract.step import Facts, Job
from tasks.train.fit import Data, History, compile_classifier, finish, prepare
from tasks.train.resumable import fit_resumably


def train_scratch(job: Job) -> Facts:
    """Train as the reference lab does: include_top, Adam, no augmentation.

    The network's Normalization stays at mean 0 and variance 1, as ``weights=None`` makes it: the
    pixels reach the first convolution as 0..1, and the batch normalisation behind it does the rest.

    A training that was interrupted goes on from its last checkpoint.

    Raises:
        InputError: a split is empty, the photos are too small, or the loss became NaN.
        SystemExit: after SIGTERM, once a checkpoint is saved.
    """
    options = job.options
    data = Data.of(job)
    prepare(options.seed)
    model = keras.applications.EfficientNetB0(
        include_top=True,
        weights=None,
        classes=len(data.classes),
        input_shape=(data.image_size, data.image_size, 3),
    )
    compile_classifier(model, options.scratch_learning_rate)
    history = History(
        job, "train_scratch", options.scratch_epochs, len(data.train), "scratch_learning_rate"
    )
    resumed = fit_resumably(job, "train_scratch", model, data, history, options.scratch_epochs)
    job.measurements["resumed"] = resumed
    job.measurements["train_seconds"] = round(history.seconds, 3)
    job.measurements["photos_per_second"] = round(
        options.scratch_epochs * len(data.train) / history.seconds, 2
    )
    weights = {"source": "none", "name": "random initial weights", "sha256": ""}
    return finish(job, data, model, history, "scratch", options.scratch_learning_rate, weights)
