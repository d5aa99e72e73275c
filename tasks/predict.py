"""``python -m tasks predict --model URI PHOTO…``: what a trained network says to photos.

No step of the workflow; it uses what two of them made.
"""

import json
import logging
import os
import re
import stat
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from tasks.contract.cache import Cache
from tasks.contract.errors import InputError
from tasks.contract.manifest import Manifest
from tasks.contract.photos import Pixels
from tasks.contract.step import Artifact, read_record
from tasks.contract.store import Store
from tasks.preprocess.decode import UnusableError, decode
from tasks.train.quiet import hushed

log = logging.getLogger(__name__)

_URI = re.compile(r"s3://(?P<bucket>[^/]+)/(?P<folder>.+?)(/manifest\.json|/)?")
_RUN = re.compile(r"(?P<run_id>[^/]+)/(?P<step>train_scratch|train_transfer)")
#: No photo is larger, and what pretends to be one may have no end.
_MOST_BYTES = 256_000_000
#: Photos go through the network by so many, to hold no more than those.
_BATCH = 16


def predict(model: str, photos: Sequence[str], top: int, as_json: bool) -> int:
    """Print the ``top`` most probable classes of each photo; returns the exit status.

    A photo that cannot be used is told on standard error, and the others are still answered.

    Args:
        model: the address of a training's manifest, or ``RUN_ID/train_transfer``.

    Raises:
        InputError: there is no such training, or its weights cannot be used.
    """
    training = _training(model)
    # A few photos need no GPU, and a training may want all of it.
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
    with hushed():
        from tasks.train.saved import trained_network  # TensorFlow: not before it is needed

        network = trained_network(training)
    classes = training.facts["classes"]
    usable = _Prepared(training.facts["image_size"], training.facts["fit"])
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # any file name
    try:
        for names, pixels in usable.batches(photos):
            for name, probabilities in zip(names, network.predict_on_batch(pixels), strict=True):
                print(_answer(name, np.asarray(probabilities), classes, top, as_json), flush=True)
    except BrokenPipeError:  # whoever read them has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return os.EX_DATAERR if usable.refused else os.EX_OK


def _training(model: str) -> Artifact:
    cache = Cache.from_environment()
    if of_run := _RUN.fullmatch(model):
        store = Store.from_environment()
        manifest = read_record(store, of_run["run_id"], of_run["step"]).manifest
        return Artifact(manifest, store, cache)
    at = _URI.fullmatch(model)
    if at is None:
        raise InputError(
            f"{model!r} names no model: give s3://BUCKET/artifacts/train_transfer/.../manifest.json"
            " as a training's log shows it, or RUN_ID/train_transfer"
        )
    store = Store.from_environment(at["bucket"])
    content = store.read(f"{at['folder']}/manifest.json")
    if content is None:
        raise InputError(f"there is no {store.uri(at['folder'])}/manifest.json: check the address")
    try:
        return Artifact(Manifest.model_validate_json(content), store, cache)
    except ValidationError:
        raise InputError(f"{store.uri(at['folder'])}/manifest.json is no manifest") from None


class _Prepared:
    """Photos prepared just as the training's were. ``refused`` counts those that cannot be."""

    def __init__(self, image_size: int, fit: str) -> None:
        self.refused = 0
        self._image_size = image_size
        self._fit = fit

    def batches(self, names: Sequence[str]) -> Iterator[tuple[list[str], Pixels]]:
        known: list[tuple[str, Pixels]] = []
        for name in names:
            try:
                content = _content(Path(name))
                decoded = decode(content, self._image_size, self._fit, min_side=1)  # type: ignore[arg-type]
            except OSError as error:
                self._refuse(name, error.strerror or "cannot be read")
            except UnusableError as error:
                self._refuse(name, str(error))
            else:
                known.append((name, decoded.pixels))
            if len(known) == _BATCH:
                yield _batch(known)
                known = []
        if known:
            yield _batch(known)

    def _refuse(self, name: str, reason: str) -> None:
        self.refused += 1
        print(f"predict: {name}: {reason}", file=sys.stderr, flush=True)


def _content(path: Path) -> bytes:
    """The bytes of a file.

    Raises:
        OSError: there is none.
        UnusableError: it is too large, or may have no end.
    """
    content = path.stat()
    if not (stat.S_ISREG(content.st_mode) or stat.S_ISDIR(content.st_mode)):
        raise UnusableError("not an image", "no regular file")
    if content.st_size > _MOST_BYTES:
        size, most = content.st_size / 1e6, _MOST_BYTES / 1e6
        raise UnusableError("too large", f"{size:,.0f} MB, and a photo may have {most:.0f}")
    return path.read_bytes()


def _batch(known: list[tuple[str, Pixels]]) -> tuple[list[str], Pixels]:
    return [name for name, _ in known], np.stack([pixels for _, pixels in known])


def _answer(
    name: str, probabilities: NDArray[np.float32], classes: list[str], top: int, as_json: bool
) -> str:
    best = np.argsort(-probabilities, kind="stable")[:top]
    if as_json:
        found = [
            {"class": classes[label], "probability": round(float(probabilities[label]), 6)}
            for label in best
        ]
        return json.dumps({"photo": name, "classes": found})
    lines = [f"  {100 * probabilities[label]:5.1f} %  {classes[label]}" for label in best]
    return "\n".join([name, *lines])
