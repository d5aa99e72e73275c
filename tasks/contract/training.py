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


class Epoch(BaseModel):
    """Accuracies (0..1) and cross-entropy losses (nats) at the end of one epoch.

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
    def predicted(self) -> NDArray[np.int64]:
        """The most probable label of each photo, shape (n,)."""
        return np.asarray(self.probabilities.argmax(axis=1))
