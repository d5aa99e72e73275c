"""What both arms do the same: their photos, their history as it grows, their test, their files."""

import csv
import json
import logging
import math
import os
import platform
import time
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tasks.contract.errors import InputError
from tasks.contract.pace import Pace
from tasks.contract.pace import photos as photos_amount
from tasks.contract.photos import PHOTOS_FILE, Photo, PhotoSet, read_rows
from tasks.contract.progress import TrainProgress
from tasks.contract.step import Facts, Job
from tasks.contract.training import (
    HISTORY_FILE,
    LABELS_FILE,
    PREDICTIONS_FILE,
    WEIGHTS_FILE,
    Epoch,
    Predictions,
    write_history,
)
from tasks.train.live import curves_of, publish
from tasks.train.quiet import hushed

log = logging.getLogger(__name__)

ARCHITECTURE = "EfficientNet-B0"
#: B0 halves its input five times; anything smaller leaves its last layers nothing to look at.
MIN_IMAGE_SIZE = 32
HISTORY_TABLE = "history.csv"
_PUBLISH_SECONDS = 1.0
#: Looking at a loss makes a GPU wait for it.
_LOOK_SECONDS = 1.0


@dataclass(frozen=True)
class Data:
    """The prepared photos, and the names of the classes by label."""

    classes: list[str]
    image_size: int
    train: PhotoSet
    validation: PhotoSet
    test: PhotoSet

    @classmethod
    def of(cls, job: Job) -> "Data":
        """Map the splits of the job's input; the photos stay on disk.

        Raises:
            InputError: a split is empty or the photos are too small for the network.
        """
        prepared = job.inputs["preprocess"]
        size = int(prepared.facts["image_size"])
        if size < MIN_IMAGE_SIZE:
            raise InputError(
                f"photos of {size} x {size} pixels are too small for {ARCHITECTURE}: set "
                f"image_size to {MIN_IMAGE_SIZE} or more"
            )
        rows = read_rows(prepared.path(PHOTOS_FILE), Photo)
        splits = [
            PhotoSet.open(rows, split, size, prepared.path)
            for split in ("train", "validation", "test")
        ]
        for photos in splits:
            photos.verify()
        return cls(list(prepared.facts["classes"]), size, *splits)


class Batches(keras.utils.PyDataset):
    """Batches of (pixels, label), read at random from the records; never the whole set in memory.

    With a seed, every epoch has an order of its own over the whole set; the order depends on seed
    and epoch alone, so that a training can go on in the middle of an epoch.

    Args:
        epoch: the first epoch that is asked for, from 0.
        done: how many of its batches are passed over. Only the rest of that one epoch can be asked
            for then: Keras takes every epoch to be as long as the first.
    """

    def __init__(
        self,
        photos: PhotoSet,
        batch_size: int,
        seed: int | None = None,
        epoch: int = 0,
        done: int = 0,
    ) -> None:
        super().__init__()
        self._photos = photos
        self._batch_size = batch_size
        self._seed = seed
        self._next_epoch = epoch
        self._done = done
        self._order = self._ordered()

    def __len__(self) -> int:
        return math.ceil(len(self._photos) / self._batch_size) - self._done

    def __getitem__(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
        start = (self._done + index) * self._batch_size
        rows = self._order[start : start + self._batch_size]
        return self._photos.pixels(rows), self._photos.labels[rows]

    def on_epoch_begin(self) -> None:
        # Not on_epoch_end: Keras calls that one before the first epoch, too.
        self._order = self._ordered()
        self._next_epoch += 1

    def _ordered(self) -> NDArray[np.int64]:
        if self._seed is None:
            return np.arange(len(self._photos))
        return np.random.default_rng((self._seed, self._next_epoch)).permutation(len(self._photos))


class History(keras.callbacks.Callback):
    """Keeps where training is: each epoch's measures, the batches since, and the time it took.

    Logs the measures, publishes them as live curves, and stops at NaN.

    Args:
        photos: how many photos an epoch trains on.
        rate_option: name of the option that is the learning rate, for the remedy.

    Attributes:
        epochs: the measures of each whole epoch.
        batches: how many batches are done of the epoch after those.
        steps: how many batches an epoch has; 0 before the first has begun.
    """

    def __init__(self, job: Job, step: str, epochs: int, photos: int, rate_option: str) -> None:
        super().__init__()
        self.epochs: list[Epoch] = []
        self.batches = 0
        self.steps = 0
        self._job = job
        self._photos = photos
        self._rate_option = rate_option
        self._progress = TrainProgress(step=step, phase="preparing", epochs=epochs)
        self._published = self._looked = 0.0
        self._began: float | None = None
        self._seconds_before = 0.0
        self._photos_trained = 0
        self._publish()

    @property
    def seconds(self) -> float:
        """Wall-clock seconds of training so far, also of earlier processes; 0 before it began."""
        running = 0.0 if self._began is None else time.monotonic() - self._began
        return self._seconds_before + running

    def begin(self) -> None:
        """Start the clock; Keras' ``fit`` does, unless training began with something else."""
        if self._began is None:
            self._began = time.monotonic()

    def go_on_from(self, epochs: list[Epoch], batches: int, seconds: float) -> None:
        """Take over what an earlier process trained, before ``fit``."""
        self.epochs = list(epochs)
        self.batches = batches
        self._seconds_before = seconds
        self._progress.epoch = len(epochs)
        self._progress.seconds = round(seconds, 3)
        self._progress.curves = curves_of(epochs)
        self._publish()

    def phase(self, name: str) -> None:
        """Tell the world what is done now, when it is not an epoch."""
        self._progress.phase = name  # type: ignore[assignment]
        self._publish()

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        del logs
        if self._progress.phase == "training":
            return  # the second call of ``fit`` of a training that went on in mid-epoch
        self.begin()
        self._fit_began = time.monotonic()
        self._progress.phase = "training"
        self._publish()

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        del logs
        self._batches_before = self.batches
        self.steps = self.batches + self.params["steps"]
        work = f"epoch {epoch + 1}/{self._progress.epochs}"
        before = self._photos_in(self.batches)
        self._pace = Pace(work, self._photos, photos_amount, every=15.0, done=before)
        self._epoch_began = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        now = time.monotonic()
        if batch == 0:
            self._first_batch_ended = now
        if now - self._looked > _LOOK_SECONDS:
            self._looked = now
            self.require_finite(logs)
        self.batches = self._batches_before + batch + 1
        self._pace(self._photos_in(self.batches))

    def on_test_begin(self, logs: dict[str, float] | None = None) -> None:
        del logs
        self._validation_began = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        measures = {name: float(value) for name, value in (logs or {}).items()}
        if not all(math.isfinite(value) for value in measures.values()):
            raise self._diverged()
        made = Epoch(
            accuracy=measures["accuracy"],
            loss=measures["loss"],
            val_accuracy=measures["val_accuracy"],
            val_loss=measures["val_loss"],
            seconds=round(self.seconds, 3),
        )
        self.epochs.append(made)
        self.batches = 0
        self._photos_trained += self._photos - self._photos_in(self._batches_before)
        done, total = epoch + 1, self._progress.epochs
        seconds = max(time.monotonic() - self._fit_began, 1e-6)
        progress = self._progress
        progress.epoch = done
        progress.seconds = made.seconds
        progress.photos_per_second = round(self._photos_trained / seconds, 1)
        progress.seconds_left = round(self._seconds_of_an_epoch() * (total - done), 1)
        progress.curves = curves_of(self.epochs)
        log.info(
            f"epoch {done}/{total}: accuracy {made.accuracy:.3f} loss {made.loss:.3f}, "
            f"validation {made.val_accuracy:.3f} {made.val_loss:.3f}, "
            f"{progress.photos_per_second:,.1f} photos/s, {progress.seconds_left:.0f} s left"
        )
        if done == total or time.monotonic() - self._published > _PUBLISH_SECONDS:
            self._publish()

    def require_finite(self, logs: dict[str, float] | None) -> None:
        """Stop at a loss that is not a number.

        Raises:
            InputError: names the epoch and the option to lower.
        """
        if not math.isfinite((logs or {}).get("loss", 0.0)):
            raise self._diverged()

    def _photos_in(self, batches: int) -> int:
        """How many photos so many batches are; the last of an epoch may be a smaller one."""
        return round(self._photos * batches / self.steps)

    def _seconds_of_an_epoch(self) -> float:
        """What a whole epoch takes, by the one that has just ended; of it we may know a rest."""
        batches, began = self.steps - self._batches_before, self._epoch_began
        if batches > 1:  # the first one may also have compiled the network
            batches, began = batches - 1, self._first_batch_ended
        seconds_per_batch = (self._validation_began - began) / batches
        return self.steps * seconds_per_batch + time.monotonic() - self._validation_began

    def _publish(self) -> None:
        self._published = time.monotonic()
        publish(self._job.store, self._job.run_id, self._progress)

    def _diverged(self) -> InputError:
        option, rate = self._rate_option, getattr(self._job.options, self._rate_option)
        return InputError(
            f"the loss is not a number any more in epoch {len(self.epochs) + 1}: lower {option} "
            f"(now {rate:g})"
        )


def prepare(seed: int) -> None:
    """Seed everything, take only the GPU memory that is needed, and say what it runs on."""
    with hushed():
        for gpu in tf.config.list_physical_devices("GPU"):
            tf.config.experimental.set_memory_growth(gpu, True)
    keras.utils.set_random_seed(seed)
    log.info("TensorFlow %s on %s", tf.__version__, device())


def forward_batch(image_size: int) -> int:
    """How many photos to pass through the network at once when nothing is learned from them.

    Constant memory: about 64 photos of 224 pixels, never more.
    """
    return max(1, min(64, 64 * 224**2 // image_size**2))


def compile_classifier(model: keras.Model, learning_rate: float) -> None:
    """Adam on the cross-entropy of integer labels, as the reference lab."""
    model.compile(
        optimizer=keras.optimizers.Adam(learning_rate),
        loss=keras.losses.SparseCategoricalCrossentropy(),
        metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
    )


def device() -> str:
    """What the training ran on, for readers."""
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        name = tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU")
        return f"{len(gpus)} x {name}" if len(gpus) > 1 else str(name)
    cores = len(os.sched_getaffinity(0))
    return f"CPU, {cores} cores ({platform.machine()})"


def answers(model: keras.Model, photos: PhotoSet, work: str) -> NDArray[np.float32]:
    """What the model says to every photo of a split, in inference mode: float32 (photos, outputs).

    Args:
        work: what this is for; begins the log's lines.
    """
    size = forward_batch(photos.image_size)
    batches = Batches(photos, size)
    pace = Pace(work, len(photos), photos_amount, every=15.0)
    found = np.empty((len(photos), model.output_shape[-1]), np.float32)
    for index in range(len(batches)):
        answer = np.asarray(model.predict_on_batch(batches[index][0]))
        found[index * size : index * size + len(answer)] = answer
        pace(index * size + len(answer))
    return found


def finish(
    job: Job,
    data: Data,
    model: keras.Model,
    history: History,
    arm: str,
    learning_rate: float,
    weights: dict[str, Any],
) -> Facts:
    """Test the model, leave its files, and state the facts.

    Args:
        weights: source, name and sha256 of the weights that training began with.
    """
    history.phase("evaluating")
    predictions = Predictions(
        photos=np.array([photo.photo for photo in data.test.photos]),
        labels=data.test.labels,
        probabilities=answers(model, data.test, "test"),
    )
    chosen = predictions.probabilities[np.arange(len(data.test)), predictions.labels]
    correct = int((predictions.predicted == predictions.labels).sum())
    model.save_weights(job.output / WEIGHTS_FILE)
    (job.output / LABELS_FILE).write_text(json.dumps(data.classes, indent=1) + "\n")
    predictions.save(job.output / PREDICTIONS_FILE)
    write_history(job.output / HISTORY_FILE, history.epochs)
    with (job.output / HISTORY_TABLE).open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["epoch", *Epoch.model_fields])
        for number, epoch in enumerate(history.epochs, start=1):
            table.writerow([number, *epoch.model_dump().values()])
    job.measurements["device"] = device()
    history.phase("finished")
    log.info("test accuracy %.4f (%d of %d photos)", correct / len(chosen), correct, len(chosen))
    return {
        "arm": arm,
        "architecture": ARCHITECTURE,
        "classes": data.classes,
        "epochs": len(history.epochs),
        "batch_size": job.options.batch_size,
        "learning_rate": learning_rate,
        "optimizer": "Adam",
        "parameters": {
            "total": int(model.count_params()),
            "trained": int(sum(np.prod(weight.shape) for weight in model.trainable_weights)),
        },
        "photos": {
            "train": len(data.train),
            "validation": len(data.validation),
            "test": len(data.test),
        },
        "weights": weights,
        "test": {
            "photos": len(chosen),
            "correct": correct,
            "accuracy": correct / len(chosen),
            "loss": float(-np.log(np.maximum(chosen, 1e-7)).mean()),
        },
    }
