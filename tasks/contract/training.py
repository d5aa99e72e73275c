"""What a training arm leaves for the comparison: its history and its test predictions."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

HISTORY_FILE = "history.json"
PREDICTIONS_FILE = "predictions.npz"
LABELS_FILE = "labels.json"
WEIGHTS_FILE = "model.weights.h5"
MODEL_FILE = "model.keras"
METRICS_FILE = "metrics.json"


class Epoch(BaseModel):
    """Accuracies (0..1) and cross-entropies (nats) at the end of one epoch.

    Cross-entropies are of the labels as they are, whatever the loss weighs.
    ``seconds`` is the wall-clock time since training began, at the end of the epoch.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    accuracy: float
    loss: float
    val_accuracy: float
    val_loss: float
    seconds: float


def write_history(path: Path, epochs: list[Epoch]) -> None:
    path.write_text(json.dumps([epoch.model_dump() for epoch in epochs], indent=1) + "\n")


def read_history(path: Path) -> list[Epoch]:
    return [Epoch.model_validate(epoch) for epoch in json.loads(path.read_text())]


@dataclass(frozen=True)
class Predictions:
    """A model's answers on the test photos.

    Attributes:
        photos: identity of each photo (SHA-256, hex), shape (n,).
        labels: the true label of each, int32, shape (n,).
        probabilities: float32, shape (n, classes); each row sums to one.
    """

    photos: NDArray[np.str_]
    labels: NDArray[np.int32]
    probabilities: NDArray[np.float32]

    def save(self, path: Path) -> None:
        np.savez(path, photos=self.photos, labels=self.labels, probabilities=self.probabilities)

    @classmethod
    def load(cls, path: Path) -> Self:
        with np.load(path, allow_pickle=False) as arrays:
            return cls(arrays["photos"], arrays["labels"], arrays["probabilities"])

    @property
    def given(self) -> NDArray[np.float32]:
        """The probability of each photo's true label, shape (n,)."""
        return self.probabilities[np.arange(len(self.labels)), self.labels]

    @property
    def predicted(self) -> NDArray[np.int64]:
        """The most probable label of each photo, shape (n,)."""
        return np.asarray(self.probabilities.argmax(axis=1))


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ClassMetrics(_Part):
    """One class in the test; all 0 without test photos, or if it was never predicted."""

    name: str
    photos: int
    precision: float
    recall: float
    f1: float


class Bin(_Part):
    """The photos whose predicted class has a probability in ``low`` (excluded) to ``high``.

    ``confidence`` is the mean of those probabilities, ``accuracy`` the share that was right; both
    0 without photos.
    """

    low: float
    high: float
    photos: int
    confidence: float
    accuracy: float


class Metrics(_Part):
    """A network's test. Accuracies, F1 and the expected ``calibration_error`` lie in 0..1.

    Attributes:
        top5_accuracy: share of photos whose class is among the five most probable.
        macro_f1: mean over the classes that have test photos.
        log_loss: mean cross-entropy, nats.
        confusion: how many photos of each class (row) were taken for each (column).
    """

    photos: int
    correct: int
    accuracy: float
    top5_accuracy: float
    macro_f1: float
    log_loss: float
    calibration_error: float
    reliability: list[Bin]
    confusion: list[list[int]]
    classes: list[ClassMetrics]
