"""``python -m benchmarks.plain_keras``: both arms as plain Keras trains them, all photos in memory.

A process of its own, so that its memory is its own. Prints its figures as JSON.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

from tasks.train.backbone import empty_base
from tasks.train.lite0 import lay_into
from tasks.train.torch_checkpoint import read_checkpoint


class _Clock(keras.callbacks.Callback):
    """When each epoch ended, in seconds."""

    def __init__(self) -> None:
        super().__init__()
        self.ends: list[float] = []
        self._began = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        del epoch, logs
        self.ends.append(time.monotonic() - self._began)


def main() -> int:
    """Fit one arm's network for some epochs."""
    parser = argparse.ArgumentParser()
    parser.add_argument("arm", choices=("scratch", "transfer"))
    parser.add_argument("photos", type=Path, help="npz: x_train, y_train, x_validation, …")
    parser.add_argument("weights", type=Path)
    parser.add_argument("--epochs", type=int, required=True)
    given = parser.parse_args()
    with np.load(given.photos) as photos:
        x, y = photos["x_train"], photos["y_train"]
        validation = photos["x_validation"], photos["y_validation"]
    classes, size = int(y.max()) + 1, x.shape[1]
    keras.utils.set_random_seed(1)
    if given.arm == "scratch":
        model = keras.applications.EfficientNetB0(
            weights=None, classes=classes, input_shape=(size, size, 3)
        )
    else:
        base = empty_base(size)
        lay_into(base, read_checkpoint(given.weights))
        base.trainable = False
        model = keras.Sequential([base, keras.layers.Dense(classes, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    clock = _Clock()
    model.fit(
        x,
        y,
        batch_size=16,
        epochs=given.epochs,
        validation_data=validation,
        callbacks=[clock],
        verbose=0,
    )
    print(json.dumps(clock.ends))
    return 0


if __name__ == "__main__":
    sys.exit(main())
