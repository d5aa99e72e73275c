"""Where the checkpoints of a training lie: two objects of the bucket, written in turn.

The newest good one is never the one that is being written, so whatever breaks on the way, there is
one to go on from.
"""

import logging
from pathlib import Path

import keras

from tasks.contract.errors import StepError, UnavailableError
from tasks.contract.manifest import checkpoint_key
from tasks.contract.step import Job
from tasks.contract.store import sha256_of
from tasks.train.checkpoint import Checkpoint, CheckpointError

log = logging.getLogger(__name__)

_SLOTS = ("a", "b")


class Slots:
    """The checkpoints of one step's fingerprint; they go once its result is published.

    Runs that train the same fingerprint at the same time share them. Each is whole all the same,
    and each is a checkpoint of the same training.
    """

    def __init__(self, job: Job, step: str) -> None:
        self._job = job
        self._keys = [checkpoint_key(step, job.fingerprint, f"{slot}.npz") for slot in _SLOTS]
        self._next = 0
        job.until_published += self._keys

    def save(self, checkpoint: Checkpoint) -> int | None:
        """Put a checkpoint in the place of the older one.

        Returns:
            its size in bytes, or None, after a warning, if it could not be put.
        """
        path = self._job.scratch / "checkpoint.npz"
        key = self._keys[self._next]
        try:
            checkpoint.write(path)
            kept = self._job.store.upload(path, key, sha256_of(path), "application/octet-stream")
        except (StepError, OSError) as error:
            log.warning("the checkpoint could not be saved, training goes on: %s", error)
            return None
        finally:
            path.unlink(missing_ok=True)
        self._next = 1 - self._next
        return kept.size

    def furthest(self, model: keras.Model, epochs: int, steps: int) -> Checkpoint | None:
        """The checkpoint to go on from, fitting this compiled model, or None.

        Args:
            epochs, steps: of the training, and batches of each.

        A forced run trains anew whatever others have trained, so it goes on from its own only.
        What cannot be gone on from is a warning.

        Raises:
            UnavailableError: the store does not answer; to begin anew would throw work away.
        """
        found = []
        for place in range(len(self._keys)):
            checkpoint = self._good(place, model, epochs, steps)
            if checkpoint is not None:
                found.append((checkpoint.position.progress, place, checkpoint))
        if not found:
            return None
        _, place, checkpoint = max(found, key=lambda one: one[:2])
        self._next = 1 - place
        return checkpoint

    def _good(self, place: int, model: keras.Model, epochs: int, steps: int) -> Checkpoint | None:
        job, key = self._job, self._keys[place]
        path = job.scratch / "found.npz"
        try:
            checkpoint = self._read(key, path)
            if checkpoint is None:
                return None
            if job.forced and checkpoint.position.run_id != job.run_id:
                log.info(
                    "the run is forced: the checkpoint of run %s is not used",
                    checkpoint.position.run_id,
                )
                return None
            checkpoint.require_fit(model)
            checkpoint.require_within(epochs, steps)
        except UnavailableError:
            raise
        except (CheckpointError, StepError) as error:
            log.warning("the checkpoint %s is not used: %s", job.store.uri(key), error)
            return None
        finally:
            path.unlink(missing_ok=True)
        return checkpoint

    def _read(self, key: str, path: Path) -> Checkpoint | None:
        """Read one slot, verified, into a file of its own for the time.

        Raises:
            CheckpointError: its bytes are not those that were put, or no checkpoint of this step.
        """
        head = self._job.store.head(key)
        if head is None:
            return None
        actual = self._job.store.download(head, path)
        if actual != head.sha256:
            raise CheckpointError(f"it has SHA-256 {actual}, not {head.sha256}")
        checkpoint = Checkpoint.read(path)
        if checkpoint.position.fingerprint != self._job.fingerprint:
            raise CheckpointError(f"it is of fingerprint {checkpoint.position.fingerprint[:12]}")
        return checkpoint
