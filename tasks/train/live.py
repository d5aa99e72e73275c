"""The live curves of a training arm in the bucket. Curves can wait; training cannot."""

import json
import logging
from collections.abc import Iterable

from tasks.contract.errors import StepError
from tasks.contract.manifest import Manifest
from tasks.contract.progress import TrainProgress, publish_progress, read_progress
from tasks.contract.store import Store
from tasks.contract.training import HISTORY_FILE, Epoch

log = logging.getLogger(__name__)

_MEASURES = ("accuracy", "loss", "val_accuracy", "val_loss")


def curves_of(epochs: Iterable[Epoch]) -> dict[str, list[float]]:
    """One list per measure, one number per epoch."""
    rows = list(epochs)
    return {measure: [getattr(row, measure) for row in rows] for measure in _MEASURES}


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
