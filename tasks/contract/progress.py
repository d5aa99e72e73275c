"""Live curves: one small object per training arm in the bucket, rewritten every few seconds."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from tasks.contract.bounded import Count, Moment
from tasks.contract.manifest import now, progress_key
from tasks.contract.store import Store


class TrainProgress(BaseModel):
    """What a training arm is doing. Seconds are wall-clock; rates are photos per second.

    Attributes:
        epoch: how many epochs are done.
        batch, batches: how many batches are done of the epoch after those, and of how many.
        curves: one list per measure (``accuracy``, ``loss``, ``val_accuracy``, ``val_loss``), one
            number per finished epoch.
    """

    model_config = ConfigDict(extra="forbid")

    step: str
    phase: Literal["preparing", "training", "evaluating", "finished", "cached"]
    epoch: Count = 0
    epochs: Count
    batch: Count = 0
    batches: Count = 0
    seconds: float = 0.0
    photos_per_second: float | None = None
    seconds_left: float | None = None
    curves: dict[str, list[float]] = Field(default_factory=dict)
    updated: Moment = Field(default_factory=now)


def publish_progress(store: Store, run_id: str, progress: TrainProgress) -> None:
    """Rewrite the run's progress object."""
    progress.updated = now()
    store.write(progress_key(run_id, progress.step), progress.model_dump_json().encode())


def read_progress(store: Store, run_id: str, step: str) -> TrainProgress | None:
    """The run's progress object, or None if the arm has not begun."""
    content = store.read(progress_key(run_id, step))
    return TrainProgress.model_validate_json(content) if content else None
