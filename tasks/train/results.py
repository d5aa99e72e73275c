"""The end of both arms: the network is tested, its files are written, its facts are stated."""

import csv
import json
import logging
import zipfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from tasks.contract.step import Facts, Job
from tasks.contract.training import (
    HISTORY_FILE,
    LABELS_FILE,
    METRICS_FILE,
    MODEL_FILE,
    PREDICTIONS_FILE,
    WEIGHTS_FILE,
    Epoch,
    Predictions,
    write_history,
)
from tasks.train.data import Data
from tasks.train.device import device
from tasks.train.disk import require_room
from tasks.train.history import History
from tasks.train.metrics import metrics_of
from tasks.train.recipes.recipe import Recipe

log = logging.getLogger(__name__)

ARCHITECTURE = "EfficientNet-B0"
HISTORY_TABLE = "history.csv"


def finish(
    job: Job,
    data: Data,
    network: keras.Model,
    probabilities: NDArray[np.float32],
    history: History,
    arm: str,
    recipe: Recipe,
    weights: dict[str, Any],
) -> Facts:
    """Test the network, leave its files, and state the facts.

    Args:
        network: takes pixels 0..255 (photos, size, size, 3), gives probabilities.
        probabilities: its answers to the test photos, (photos, classes).
        weights: source, name and sha256 of the weights that training began with.

    Raises:
        OSError: the disk is full.
    """
    predictions = Predictions(
        photos=np.array([photo.photo for photo in data.test.photos]),
        labels=data.test.labels,
        probabilities=probabilities,
    )
    metrics = metrics_of(predictions, data.classes)
    require_room(job.output, network, copies=3)  # two files of them, and what HDF5 adds
    network.save(job.output / MODEL_FILE)
    with zipfile.ZipFile(job.output / MODEL_FILE) as model:  # holds what save_weights would write
        model.extract(WEIGHTS_FILE, job.output)
    (job.output / LABELS_FILE).write_text(json.dumps(data.classes, indent=1) + "\n")
    (job.output / METRICS_FILE).write_text(metrics.model_dump_json(indent=1) + "\n")
    predictions.save(job.output / PREDICTIONS_FILE)
    write_history(job.output / HISTORY_FILE, history.epochs)
    _write_table(job.output / HISTORY_TABLE, history.epochs)
    job.measurements["device"] = device()
    job.measurements["precision"] = keras.mixed_precision.global_policy().name
    if history.waiting_share is not None:
        job.measurements["waiting_share"] = round(history.waiting_share, 5)
    history.phase("finished")
    log.info(
        "test accuracy %.4f (%d of %d photos)", metrics.accuracy, metrics.correct, metrics.photos
    )
    return {
        "arm": arm,
        "architecture": ARCHITECTURE,
        "classes": data.classes,
        "image_size": data.image_size,
        "fit": data.fit,
        "epochs": len(history.epochs),
        "batch_size": recipe.batch_size,
        "learning_rate": recipe.learning_rate,
        "optimizer": "Adam",
        "recipe": {"name": job.options.recipe} | asdict(recipe),
        "parameters": {
            "total": int(network.count_params()),
            "trained": int(sum(np.prod(weight.shape) for weight in network.trainable_weights)),
        },
        "photos": {
            "train": len(data.train),
            "validation": len(data.validation),
            "test": len(data.test),
        },
        "weights": weights,
        "test": {
            "photos": metrics.photos,
            "correct": metrics.correct,
            "accuracy": metrics.accuracy,
            "top5_accuracy": metrics.top5_accuracy,
            "macro_f1": metrics.macro_f1,
            "loss": metrics.log_loss,
            "calibration_error": metrics.calibration_error,
        },
    }


def _write_table(path: Path, epochs: list[Epoch]) -> None:
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["epoch", *Epoch.model_fields])
        for number, epoch in enumerate(epochs, start=1):
            table.writerow([number, *epoch.model_dump().values()])
