"""A checkpoint: all that a training needs to go on in another process as if it had not stopped.

One npz file of plain arrays, never a pickle: the model's variables (weights, batch statistics, the
states of the dropouts' seeds), the optimizer's, in mid-epoch the metrics', and one JSON text that
says where the training is.
"""

import json
import re
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import keras
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from tasks.contract.manifest import now
from tasks.contract.training import Epoch

#: Raised when what is in the file, or what it means, changes.
CHECKPOINT_FORMAT = 1

_POSITION = "position"
#: Keras counts the layers and optimizers of a process, so a variable of the second model in it is
#: ``normalization_1/mean``.
_COUNTED = re.compile(r"_\d+(?=[/_]|$)")

#: All that reading a damaged npz file raises, ``ValidationError`` being a ``ValueError``.
_UNREADABLE = (
    ArithmeticError,
    EOFError,
    LookupError,
    MemoryError,
    NotImplementedError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    zipfile.BadZipFile,
    zlib.error,
)


class CheckpointError(Exception):
    """A checkpoint that cannot be gone on from; the message says why, and names no file."""


class Position(BaseModel):
    """Where a training is, and whose it is.

    Attributes:
        epochs: the measures of each whole epoch.
        batches: how many batches are done of the epoch after those.
        seconds: wall-clock seconds of training so far, without the time between processes.
        resumed: how often the training has gone on from a checkpoint so far.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: int = CHECKPOINT_FORMAT
    fingerprint: str
    run_id: str
    epochs: list[Epoch]
    batches: int = Field(ge=0)
    seconds: float = Field(ge=0, allow_inf_nan=False)
    resumed: int = Field(ge=0)
    made: datetime = Field(default_factory=now)

    @property
    def progress(self) -> tuple[int, int]:
        """Orders the checkpoints of one training by how far they are."""
        return len(self.epochs), self.batches


@dataclass(frozen=True)
class Checkpoint:
    """A position, and the value of every variable there, by a name that is unique in the file."""

    position: Position
    arrays: Mapping[str, NDArray[Any]]

    @classmethod
    def of(cls, model: keras.Model, position: Position) -> Self:
        """What a compiled model that is being trained holds now."""
        variables = _variables_of(model, in_epoch=position.batches > 0)
        values = {name: np.asarray(variable.numpy()) for name, variable in variables.items()}
        return cls(position, values)

    def write(self, path: Path) -> None:
        arrays: dict[str, Any] = {_POSITION: np.array(self.position.model_dump_json())}
        arrays |= self.arrays
        # Not compressed: the bits of trained weights are as good as random.
        with path.open("wb") as file:
            np.savez(file, **arrays)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a file that ``write`` wrote.

        Raises:
            CheckpointError: it is none, or of another format.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            text = json.loads(str(arrays.pop(_POSITION)[()]))
            made_as = text.get("format")
            position = Position.model_validate(text) if made_as == CHECKPOINT_FORMAT else None
        except (AttributeError, *_UNREADABLE) as error:
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise CheckpointError(f"it cannot be read ({reason})") from error
        if position is None:
            raise CheckpointError(f"it has format {made_as}, not {CHECKPOINT_FORMAT}")
        return cls(position, arrays)

    def require_fit(self, model: keras.Model) -> None:
        """See that it is a checkpoint of just this network, optimizer and metrics.

        Raises:
            CheckpointError: names a variable that only one of both has, or has otherwise.
        """
        variables = _variables_of(model, in_epoch=self.position.batches > 0)
        for name in sorted(variables.keys() ^ self.arrays.keys()):
            where = "only in the file" if name in self.arrays else "not in the file"
            raise CheckpointError(f"it is of another network: {name} is {where}")
        for name, variable in variables.items():
            array = self.arrays[name]
            stored = f"{array.dtype} {array.shape}"
            expected = f"{variable.dtype} {tuple(variable.shape)}"
            if stored != expected:
                raise CheckpointError(
                    f"it is of another network: {name} is {stored}, not {expected}"
                )

    def require_within(self, epochs: int, steps: int) -> None:
        """See that it is a place in a training of so many epochs of so many batches.

        Raises:
            CheckpointError: names the place.
        """
        done, batches = self.position.progress
        if done > epochs or batches >= steps or (done == epochs and batches):
            raise CheckpointError(
                f"it is of {done} epochs and {batches} batches, where training has {epochs} "
                f"epochs of {steps}"
            )

    def lay_into(self, model: keras.Model) -> None:
        """Give a fitting model the weights and the optimizer's state."""
        _assign(_variables_of(model, in_epoch=False), self.arrays)

    def lay_metrics_into(self, model: keras.Model) -> None:
        """Give the metrics what they had counted; in mid-epoch, after Keras has reset them."""
        _assign(_metrics_of(model), self.arrays)


def hand_over(model: keras.Model, following: keras.Model) -> None:
    """Give a compiled model of the same variables what another one has learned."""
    _assign(_variables_of(following, in_epoch=False), _variables_of(model, in_epoch=False))


def build_metrics(model: keras.Model) -> None:
    """Make the compiled metrics' variables, which Keras leaves until the first batch."""
    outputs = model.output_shape[-1]
    label, answer = np.zeros(1, np.int32), np.full((1, outputs), 1 / outputs, np.float32)
    model.compute_metrics(None, label, answer)
    model.reset_metrics()


def _assign(variables: Mapping[str, keras.Variable], values: Mapping[str, Any]) -> None:
    for name, variable in variables.items():
        variable.assign(values[name])


def _variables_of(model: keras.Model, in_epoch: bool) -> dict[str, keras.Variable]:
    # Keras builds both with the first batch; a checkpoint is fitted to the model before that.
    model.optimizer.build(model.trainable_variables)
    variables = _named("model", model.variables) | _named("optimizer", model.optimizer.variables)
    return variables | _metrics_of(model) if in_epoch else variables


def _metrics_of(model: keras.Model) -> dict[str, keras.Variable]:
    return _named("metrics", model.metrics_variables)


def _named(group: str, variables: list[keras.Variable]) -> dict[str, keras.Variable]:
    """By place and path: dropouts of the same name differ by their places."""
    return {
        f"{group}/{place}/{_COUNTED.sub('', variable.path)}": variable
        for place, variable in enumerate(variables)
    }
