"""Where a training is: its measures epoch by epoch, its log lines, its live curves."""

import logging
import math
import time

import keras

from tasks.contract.errors import InputError
from tasks.contract.pace import Pace
from tasks.contract.pace import photos as photos_amount
from tasks.contract.progress import TrainProgress
from tasks.contract.step import Job
from tasks.contract.training import Epoch
from tasks.train.compiling import CROSS_ENTROPY
from tasks.train.data import Batches
from tasks.train.live import LiveCurves, curves_of

log = logging.getLogger(__name__)

#: The live curves are rewritten as often, in epochs that are shorter and that are longer.
_PUBLISH_SECONDS = 3.0
#: Looking at a loss makes a GPU wait for it.
_LOOK_SECONDS = 1.0


class History(keras.callbacks.Callback):
    """Keeps where training is: each epoch's measures, the batches since, and the time it took.

    Logs the measures, publishes them as live curves, and stops at NaN.

    Args:
        photos: how many photos an epoch trains on.
        rate_option: name of the option that is the learning rate, for the remedy.
        rate: what it is.

    Attributes:
        epochs: the measures of each whole epoch.
        batches: how many batches are done of the epoch after those.
        steps: how many batches an epoch has; 0 before the first has begun.
        last_good: which checkpoint there is to go on from, for readers.
        costs: what each epoch costs relative to the others, for the time that is left; all alike
            unless somebody knows better. 0: not known, nor then how much time is left.
    """

    def __init__(
        self, job: Job, step: str, epochs: int, photos: int, rate_option: str, rate: float
    ) -> None:
        super().__init__()
        self.epochs: list[Epoch] = []
        self.batches = 0
        self.steps = 0
        self.last_good = "none was saved yet"
        self.costs = [1.0] * epochs
        self._photos = photos
        self._rate_option, self._rate = rate_option, rate
        self._progress = TrainProgress(step=step, phase="preparing", epochs=epochs)
        self._published = self._looked = 0.0
        self._began: float | None = None
        self._seconds_before = 0.0
        self._photos_trained = 0
        self._seconds_trained = self._seconds_waited = 0.0
        self._batches_read: Batches | None = None
        self._batch_ended = 0.0
        self._live = LiveCurves(job.store, job.run_id)
        self._publish()
        self._live.flush()

    @property
    def seconds(self) -> float:
        """Wall-clock seconds of training so far, also of others; 0 before it began."""
        running = 0.0 if self._began is None else time.monotonic() - self._began
        return self._seconds_before + running

    @property
    def waiting_share(self) -> float | None:
        """The share of the time between batches in which training waited for photos.

        Known of a ``fit`` that reads ``Batches``. On a GPU, whose work is only begun when a batch
        ends for Python, it is the most that it can be.
        """
        if not self._seconds_trained:
            return None
        return self._seconds_waited / self._seconds_trained

    def watch(self, batches: Batches) -> None:
        """Measure how long the next ``fit`` waits for these."""
        self._batches_read = batches

    def begin(self) -> None:
        """Start the clock; Keras' ``fit`` does, unless training began with something else."""
        if self._began is None:
            self._began = time.monotonic()

    def count_in(self, seconds: float) -> None:
        """Count what other runs spent on a part of this training, for it would cost that again."""
        self._seconds_before += seconds

    def go_on_from(self, epochs: list[Epoch], batches: int, seconds: float) -> None:
        """Take over what an earlier process trained, before ``fit``."""
        self.epochs = list(epochs)
        self.batches = batches
        self._seconds_before = seconds
        self._progress.epoch = len(epochs)
        self._progress.seconds = round(seconds, 3)
        self._progress.curves = curves_of(epochs)
        self._publish()
        self._live.flush()

    def phase(self, name: str) -> None:
        """Tell the world what is done now, when it is not an epoch."""
        self._progress.phase = name  # type: ignore[assignment]
        self._publish()
        self._live.flush()

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        del logs
        if self._progress.phase == "training":
            return  # the second call of ``fit`` of a training that went on in mid-epoch
        self.begin()
        self._fit_began = time.monotonic()
        self.phase("training")

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
        elif self._batches_read is not None:
            ready = self._batches_read.ready.get(batch, 0.0)
            self._seconds_waited += max(0.0, ready - self._batch_ended)
            self._seconds_trained += now - self._batch_ended
        self._batch_ended = now
        if now - self._looked > _LOOK_SECONDS:
            self._looked = now
            self.require_finite(logs)
        self.batches = self._batches_before + batch + 1
        self._pace(self._photos_in(self.batches))
        if now - self._published > _PUBLISH_SECONDS:
            self._tell_batch(now)
            self._publish()

    def on_test_begin(self, logs: dict[str, float] | None = None) -> None:
        del logs
        self._validation_began = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        measures = {name: float(value) for name, value in (logs or {}).items()}
        if not all(math.isfinite(value) for value in measures.values()):
            raise self._diverged()
        made = Epoch(
            accuracy=measures["accuracy"],
            loss=measures[CROSS_ENTROPY],
            val_accuracy=measures["val_accuracy"],
            val_loss=measures[f"val_{CROSS_ENTROPY}"],
            seconds=round(self.seconds, 3),
        )
        self.epochs.append(made)
        self.batches = 0
        self._photos_trained += self._photos - self._photos_in(self._batches_before)
        done, total = epoch + 1, self._progress.epochs
        seconds = max(time.monotonic() - self._fit_began, 1e-6)
        progress = self._progress
        progress.epoch, progress.batch, progress.batches = done, 0, self.steps
        progress.seconds = made.seconds
        progress.photos_per_second = round(self._photos_trained / seconds, 1)
        progress.seconds_left = self._seconds_left(done, self._seconds_of_an_epoch())
        progress.curves = curves_of(self.epochs)
        log.info(
            f"epoch {done}/{total}: accuracy {made.accuracy:.3f} loss {made.loss:.3f}, "
            f"validation {made.val_accuracy:.3f} {made.val_loss:.3f}, "
            f"{progress.photos_per_second:,.1f} photos/s"
            + ("" if progress.seconds_left is None else f", {progress.seconds_left:.0f} s left")
        )
        if done == total or time.monotonic() - self._published > _PUBLISH_SECONDS:
            self._publish()

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        del logs
        self._live.flush()

    def require_finite(self, logs: dict[str, float] | None) -> None:
        """Stop at a loss that is not a number.

        Raises:
            InputError: names the epoch and the option to lower.
        """
        if not math.isfinite((logs or {}).get("loss", 0.0)):
            raise self._diverged()

    def _tell_batch(self, now: float) -> None:
        """Where the running epoch is; its rate is that of the batches after the first."""
        progress = self._progress
        progress.batch, progress.batches = self.batches, self.steps
        progress.seconds = round(self.seconds, 3)
        batches = self.batches - self._batches_before - 1
        if batches > 0:
            per_batch = (now - self._first_batch_ended) / batches
            progress.photos_per_second = round(self._photos / self.steps / per_batch, 1)
            rest = self.steps - self.batches
            progress.seconds_left = self._seconds_left(
                progress.epoch + 1, self.steps * per_batch, rest * per_batch
            )

    def _photos_in(self, batches: int) -> int:
        """How many photos so many batches are; the last of an epoch may be a smaller one."""
        return round(self._photos * batches / self.steps)

    def _seconds_left(
        self, done: int, seconds_of_an_epoch: float, seconds_before: float = 0.0
    ) -> float | None:
        """What the epochs after so many take, by the last of these; None if it is not known.

        Args:
            seconds_before: what else there is to be done before them.
        """
        cost, after = self.costs[done - 1], sum(self.costs[done:])
        if after and not cost:
            return None
        epochs = after / cost if after else 0.0
        return round(seconds_before + seconds_of_an_epoch * epochs, 1)

    def _seconds_of_an_epoch(self) -> float:
        """What a whole epoch takes, by the one that has just ended; of it we may know a rest."""
        batches, began = self.steps - self._batches_before, self._epoch_began
        if batches > 1:  # the first one may also have compiled the network
            batches, began = batches - 1, self._first_batch_ended
        seconds_per_batch = (self._validation_began - began) / batches
        return self.steps * seconds_per_batch + time.monotonic() - self._validation_began

    def _publish(self) -> None:
        self._published = time.monotonic()
        self._live.put(self._progress)

    def _diverged(self) -> InputError:
        return InputError(
            f"the loss is not a number any more in epoch {len(self.epochs) + 1}: lower "
            f"{self._rate_option} (now {self._rate:g}); the last good checkpoint: {self.last_good}"
        )
