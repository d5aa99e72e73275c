"""Keras' ``fit``, made to go on from where an earlier process was stopped."""

import logging
import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import keras

from tasks.contract.step import Job
from tasks.train.checkpoint import Checkpoint, Position, build_metrics, hand_over
from tasks.train.data import Batches, Data
from tasks.train.disk import require_room
from tasks.train.history import History
from tasks.train.memory import told_if_too_large
from tasks.train.recipes.recipe import Recipe
from tasks.train.sigterm import EXIT_CODE, StopRequest, deferred_sigterm
from tasks.train.slots import Slots

log = logging.getLogger(__name__)

#: A save of B0 (49 MB) takes about a second, so this costs training 2 % and a crash a minute.
SAVE_SECONDS = 60.0


@dataclass(frozen=True)
class Stage:
    """Epochs that are trained in one way.

    Attributes:
        until: so many epochs of the training are done when it ends.
        model: gives the compiled model; all stages' have the same variables.
    """

    until: int
    model: Callable[[], keras.Model]


def fit_resumably(
    job: Job,
    step: str,
    stages: Sequence[Stage],
    data: Data,
    history: History,
    recipe: Recipe,
    first: Callable[[], None] = lambda: None,
) -> int:
    """Train stage by stage, from where an earlier attempt was if there was one.

    Within it, SIGTERM saves a checkpoint at the end of the batch, or of a validation, and then ends
    the process.

    Args:
        stages: one at least, in order.
        recipe: says the size of batches.
        first: what comes before, and is not repeated once there is a checkpoint.

    Returns:
        how often this training has gone on from a checkpoint.

    Raises:
        InputError: the loss is not a number any more, or a batch does not fit.
        OSError: the disk has no room for a checkpoint.
        UnavailableError: the store does not answer when it is asked for a checkpoint.
        SystemExit: with 143, after SIGTERM.
    """
    size, seed = recipe.batch_size, job.options.seed
    weights = data.class_weights(job.options)
    model = stages[0].model()
    build_metrics(model)
    require_room(job.scratch, model, copies=4)  # a checkpoint: the weights and Adam's two moments
    slots = Slots(job, step)
    steps = math.ceil(len(data.train) / size)
    start = slots.furthest(model, stages[-1].until, steps)
    if start is None:
        first()
    else:
        position = start.position
        start.lay_into(model)
        history.go_on_from(position.epochs, position.batches, position.seconds)
        place = _place(history, steps)
        history.last_good = place
        log.info(
            "going on from the checkpoint of %s, made %s by run %s",
            place,
            position.made.strftime("%Y-%m-%d %H:%M UTC"),
            position.run_id,
        )
    resumed = 0 if start is None else start.position.resumed + 1

    def fit(batches: Batches, until: int) -> None:
        history.watch(batches)
        model.fit(
            batches,
            validation_data=Batches(data.validation, size),
            initial_epoch=len(history.epochs),
            epochs=until,
            shuffle=False,  # the batches shuffle themselves, over the whole set
            callbacks=[history, saver],
            verbose=0,
        )

    with deferred_sigterm() as stop:
        saver = Saver(job, slots, history, stop, start, resumed)
        for number, stage in enumerate(stages):
            if number > 0:
                before, model = model, stage.model()
                build_metrics(model)
                hand_over(before, model)
            with told_if_too_large(model, size):
                while len(history.epochs) < stage.until:
                    epoch, done = len(history.epochs), history.batches
                    # Keras takes every epoch to be as long as the first: a rest is by itself.
                    until = epoch + 1 if done else stage.until
                    fit(Batches(data.train, size, seed, weights, epoch, done), until)
    return resumed


class Saver(keras.callbacks.Callback):
    """Saves a checkpoint now and then and when asked to stop; comes after the history.

    Args:
        start: the checkpoint that training goes on from.
        resumed: how often this training has gone on from one.
    """

    def __init__(
        self,
        job: Job,
        slots: Slots,
        history: History,
        stop: StopRequest,
        start: Checkpoint | None,
        resumed: int,
    ) -> None:
        super().__init__()
        self._job = job
        self._slots = slots
        self._history = history
        self._stop = stop
        self._start = start if start is not None and start.position.batches else None
        self._resumed = resumed
        self._saved = time.monotonic()
        self._told = False

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        del epoch, logs
        if self._start is not None:
            self._start.lay_metrics_into(self.model)
            self._start = None

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        del batch
        # The epoch's last batch has no checkpoint of its own: its validation is still to come.
        if self._history.batches < self._history.steps and self._due():
            self._history.require_finite(logs)
            self._save()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        del epoch, logs
        if self._due():
            self._save()

    def _due(self) -> bool:
        return self._stop.made or time.monotonic() - self._saved >= SAVE_SECONDS

    def _save(self) -> None:
        began = time.monotonic()
        history = self._history
        position = Position(
            fingerprint=self._job.fingerprint,
            run_id=self._job.run_id,
            epochs=history.epochs,
            batches=history.batches,
            seconds=history.seconds,
            resumed=self._resumed,
        )
        size = self._slots.save(Checkpoint.of(self.model, position))
        self._saved = time.monotonic()
        if size is not None:
            history.last_good = _place(history, history.steps)
        if self._stop.made:
            log.info(
                "stopped by SIGTERM in %s: %s",
                _place(history, history.steps),
                "checkpoint saved, a retry goes on from there"
                if size is not None
                else "no checkpoint of it, a retry goes on from an earlier one or begins anew",
            )
            sys.exit(EXIT_CODE)
        if size is not None and not self._told:
            self._told = True
            log.info(
                "checkpoint saved: %.0f MB in %.1f s, again every %.0f s",
                size / 1e6,
                self._saved - began,
                SAVE_SECONDS,
            )


def _place(history: History, steps: int) -> str:
    """Where a training is, in words."""
    if history.batches:
        return f"epoch {len(history.epochs) + 1} after {history.batches} of {steps} batches"
    return f"epoch {len(history.epochs)} after its validation"
