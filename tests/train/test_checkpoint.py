"""A checkpoint file holds all of a training, and is never taken for what it is not."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tasks.contract.training import Epoch
from tasks.train.checkpoint import Checkpoint, CheckpointError, Position, build_metrics
from tasks.train.compiling import compile_classifier
from tasks.train.recipes.recipe import Recipe

pytestmark = pytest.mark.keras

EPOCH = Epoch(accuracy=0.5, loss=0.7, val_accuracy=0.4, val_loss=0.8, seconds=1.5)
PIXELS = np.random.default_rng(1).uniform(0, 255, (6, 8, 8, 3)).astype(np.float32)
LABELS = np.array([0, 1, 0, 1, 0, 1])


def network(width: int = 4, name: str = "middle") -> keras.Model:
    """Compiled, with everything that has a state: batch statistics, dropout, Adam, metrics."""
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Conv2D(width, 3, name=name),
            keras.layers.BatchNormalization(),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dropout(0.3),
            keras.layers.Dense(2, activation="softmax"),
        ]
    )
    compile_classifier(model, Recipe(epochs=2, batch_size=3, learning_rate=0.01), 6)
    build_metrics(model)
    return model


def position(batches: int = 2) -> Position:
    return Position(
        fingerprint="f" * 64,
        run_id="r1",
        epochs=[EPOCH],
        batches=batches,
        seconds=2.5,
        resumed=1,
    )


def state_of(model: keras.Model) -> list[Any]:
    variables = [*model.variables, *model.optimizer.variables, *model.metrics_variables]
    return [variable.numpy() for variable in variables]


def test_a_model_goes_on_from_a_file_as_if_it_had_not_stopped(tmp_path: Path) -> None:
    stopped, other = network(), network()
    for _ in range(3):
        stopped.train_on_batch(PIXELS, LABELS)
    Checkpoint.of(stopped, position()).write(tmp_path / "file")

    found = Checkpoint.read(tmp_path / "file")
    assert found.position == position().model_copy(update={"made": found.position.made})
    found.require_fit(other)
    found.lay_into(other)
    found.lay_metrics_into(other)
    for kept, expected in zip(state_of(other), state_of(stopped), strict=True):
        np.testing.assert_array_equal(kept, expected)
    for model in (stopped, other):
        model.train_on_batch(PIXELS, LABELS)  # takes the dropout's next mask
    for kept, expected in zip(state_of(other), state_of(stopped), strict=True):
        np.testing.assert_allclose(kept, expected, rtol=1e-5, atol=1e-6)


def test_the_metrics_are_kept_in_mid_epoch_only(tmp_path: Path) -> None:
    """At an epoch's end they hold the validation, which is in the history."""
    model = network()
    in_epoch = Checkpoint.of(model, position(batches=2)).arrays
    at_its_end = Checkpoint.of(model, position(batches=0)).arrays
    assert {name.split("/")[0] for name in in_epoch.keys() - at_its_end.keys()} == {"metrics"}
    assert not at_its_end.keys() - in_epoch.keys()


@pytest.mark.parametrize(
    ("other", "complaint"),
    [
        (lambda: network(name="else"), "model/0/sequential/(else|middle)/kernel is"),
        (lambda: network(width=5), r"is float32 \(3, 3, 3, 4\), not float32 \(3, 3, 3, 5\)"),
    ],
    ids=["names", "shapes"],
)
def test_a_checkpoint_of_another_network_does_not_fit(other: Any, complaint: str) -> None:
    with pytest.raises(CheckpointError, match=complaint):
        Checkpoint.of(network(), position()).require_fit(other())


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: b"this is no archive",
        lambda content: content[: len(content) // 2],
        lambda content: content[:100] + b"\0" * 100 + content[200:],
        lambda content: content.replace(b"position", b"pOsition"),
    ],
    ids=["empty", "text", "truncated", "overwritten", "without a position"],
)
def test_a_damaged_file_is_told(damage: Any, tmp_path: Path) -> None:
    path = tmp_path / "file"
    Checkpoint.of(network(), position()).write(path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(CheckpointError, match="cannot be read"):
        Checkpoint.read(path)


def test_a_pickle_in_the_file_is_never_opened(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "sprung",))

    trap: Any = np.array([Trap()], dtype=object)
    np.savez(tmp_path / "file.npz", position=trap)
    with pytest.raises(CheckpointError, match="cannot be read"):
        Checkpoint.read(tmp_path / "file.npz")
    assert not (tmp_path / "sprung").exists()


def test_another_format_is_told(tmp_path: Path) -> None:
    later = position().model_copy(update={"format": 99})
    Checkpoint.of(network(), later).write(tmp_path / "file")
    with pytest.raises(CheckpointError, match="it has format 99, not 1"):
        Checkpoint.read(tmp_path / "file")
