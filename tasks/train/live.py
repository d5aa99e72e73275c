"""The live curves of a training arm in the bucket. Curves can wait; training cannot."""

import json
import logging
import threading
from collections.abc import Iterable

from tasks.contract.errors import StepError
from tasks.contract.manifest import Manifest
from tasks.contract.progress import TrainProgress, publish_progress, read_progress
from tasks.contract.store import Store
from tasks.contract.training import HISTORY_FILE, Epoch

log = logging.getLogger(__name__)

_MEASURES = ("accuracy", "loss", "val_accuracy", "val_loss")
#: For so long a change of phase waits to be seen in the bucket.
_FLUSH_SECONDS = 5.0


def curves_of(epochs: Iterable[Epoch]) -> dict[str, list[float]]:
    """One list per measure, one number per epoch."""
    rows = list(epochs)
    return {measure: [getattr(row, measure) for row in rows] for measure in _MEASURES}


class LiveCurves:
    """Rewrites the run's curves in a thread of its own: a slow store does not hold training up.

    What is put while the store has not answered yet replaces what waits: only the newest counts.
    """

    def __init__(self, store: Store, run_id: str) -> None:
        self._store = store
        self._run_id = run_id
        self._newest: TrainProgress | None = None
        self._changed = threading.Condition()
        self._writing = False
        threading.Thread(target=self._write_all, name="live-curves", daemon=True).start()

    def put(self, progress: TrainProgress) -> None:
        """Have these curves written as they are now."""
        with self._changed:
            self._newest = progress.model_copy(deep=True)
            self._changed.notify_all()

    def flush(self) -> None:
        """Wait until all is written, but not for long."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._newest is None and not self._writing, _FLUSH_SECONDS
            )

    def _write_all(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._newest is not None)
                progress, self._newest, self._writing = self._newest, None, True
            assert progress is not None
            publish(self._store, self._run_id, progress)
            with self._changed:
                self._writing = False
                self._changed.notify_all()


def publish(store: Store, run_id: str, progress: TrainProgress) -> None:
    """Rewrite the run's curves, or say in the log that the store did not take them."""
    try:
        publish_progress(store, run_id, progress)
    except StepError as error:
        log.warning("the live curves could not be written: %s", error)


def publish_cached(store: Store, run_id: str, manifest: Manifest) -> None:
    """Give a run that did not have to train the curves of the run that did."""
    try:
        epochs = [
            Epoch.model_validate(row)
            for row in json.loads(store.read(manifest.files[HISTORY_FILE].key) or b"[]")
        ]
        known = read_progress(store, run_id, manifest.step)
    except StepError as error:
        log.warning("the live curves could not be read: %s", error)
        return
    curves = curves_of(epochs)
    if known is not None and known.phase == "finished" and known.curves == curves:
        return  # this run has trained
    progress = TrainProgress(
        step=manifest.step,
        phase="cached",
        epoch=len(epochs),
        epochs=len(epochs),
        seconds=epochs[-1].seconds if epochs else 0.0,
        curves=curves,
    )
    publish(store, run_id, progress)
