"""Both arms of the training against plain Keras on the same prepared photos.

Each training is a process of its own, the steps by their command line, as in a run.
"""

import json
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import tasks.fetch
import tasks.preprocess
from benchmarks.alone import Taken, run_alone
from benchmarks.figures import Figure, Target
from benchmarks.photographs import write_archive
from tasks.contract.cache import Cache
from tasks.contract.config import SPLITS, Config
from tasks.contract.photos import PHOTOS_FILE, Photo, PhotoSet, read_rows
from tasks.contract.step import Artifact, run_step
from tasks.contract.store import Store, sha256_of
from tasks.train.weight_files import mirror_weights, weight_file

#: Of which 70 % are for training: about as many as a small archive has.
PHOTOS = 1_000
CLASSES = 5
TRANSFER_EPOCHS = 20
#: Of plain Keras' fit with the frozen network in it, which takes half a minute each.
PLAIN_EPOCHS = 3
SCRATCH_EPOCHS = 2
#: So that as large a share of them sees small photos as of a whole training.
TUNED_EPOCHS = 4
#: In turns, of which the best counts: from one minute to the next, a machine that is not alone on
#: its host can be faster by three quarters.
_SCRATCH_ROUNDS: tuple[tuple[str, dict[str, Any], int], ...] = (
    ("plain", {}, SCRATCH_EPOCHS),
    ("lab", {"recipe": "lab"}, SCRATCH_EPOCHS),
    ("tuned", {"recipe": "tuned"}, TUNED_EPOCHS),
    ("plain", {}, SCRATCH_EPOCHS),
    ("lab", {"recipe": "lab"}, SCRATCH_EPOCHS),
    ("lab, deterministic", {"recipe": "lab", "deterministic": True}, SCRATCH_EPOCHS),
)
_RUN = "bench"


def figures(store: Store, folder: Path) -> Iterator[Figure]:
    """Seconds of the transfer arm, photos a second of the other, waiting and peak memory."""
    bench = _Bench(store, folder)
    plain = bench.plain("transfer", PLAIN_EPOCHS)
    per_epoch = (plain.ends[-1] - plain.ends[0]) / (PLAIN_EPOCHS - 1)
    whole = plain.seconds + (TRANSFER_EPOCHS - PLAIN_EPOCHS) * per_epoch
    for recipe, target in (("lab", Target("ratio", ">=", 10)), ("tuned", None)):
        options = {"recipe": recipe, "transfer_epochs": TRANSFER_EPOCHS, "weights": "lite0"}
        seconds, peak, made = bench.step("train_transfer", options)
        views = made.facts["recipe"]["views"]
        yield Figure.of_costs(
            f"transfer, {TRANSFER_EPOCHS} epochs, recipe {recipe} (views: {views}), whole process, "
            f"s (plain: from {PLAIN_EPOCHS} epochs)",
            whole,
            seconds,
            target,
        )
        yield Figure.of_costs(
            f"its peak memory, recipe {recipe}, GB", None, peak, Target("ours", "<=", 4)
        )
    again = options | {"transfer_learning_rate": 0.01}
    seconds, _, _ = bench.step("train_transfer", again)
    yield Figure.of_costs("another head on the same features, whole process, s", whole, seconds)

    photos = bench.counts["train"]
    plain_rates, rates, made_by = [], defaultdict(list), {}
    for name, asked, epochs in _SCRATCH_ROUNDS:
        if name == "plain":
            plain_rates.append(epochs * photos / bench.plain("scratch", epochs).ends[-1])
            continue
        options = asked | {"scratch_epochs": epochs, "force": True}
        _, peak, made = bench.step("train_scratch", options)
        rates[name, epochs].append(epochs * photos / made.measurements["train_seconds"])
        made_by[name] = peak, made
    for (name, epochs), measured in rates.items():
        yield Figure.of_rates(
            f"from scratch, recipe {name}, {epochs} epochs with validation, photos/s",
            max(plain_rates),
            max(measured),
            None if "deterministic" in name else Target("ratio", ">=", 1),
        )
    peak, made = made_by["tuned"]
    waiting = 100 * made.measurements["waiting_share"]
    yield Figure.of_costs("tuned: time it waited for photos, %", None, waiting)
    yield Figure.of_costs("its peak memory, GB", None, peak, Target("ours", "<=", 4))


class _Plain(NamedTuple):
    """What plain Keras took, in seconds.

    Attributes:
        ends: of the epochs, since the fit began.
        seconds: of the whole process.
    """

    ends: list[float]
    seconds: float


class _Bench:
    """Prepared photos in the store, and as arrays for the plain way."""

    def __init__(self, store: Store, folder: Path) -> None:
        self._store = store
        self._folder = folder
        cache = Cache(folder / "cache")
        archive = folder / "training.zip"
        write_archive(archive, PHOTOS, CLASSES)
        self._config = {"archive": "datasets/training.zip"}
        config = Config.parse(self._config)
        store.upload(archive, config.archive, sha256_of(archive), "application/zip")
        run_step(tasks.fetch.STEP, config, _RUN, store, cache)
        record = run_step(tasks.preprocess.STEP, config, _RUN, store, cache)
        prepared = Artifact(record.manifest, store, cache)
        rows = read_rows(prepared.path(PHOTOS_FILE), Photo)
        self.counts: dict[str, int] = prepared.facts["split"]
        arrays: dict[str, Any] = {}
        for split in SPLITS:
            photos = PhotoSet.open(rows, split, config.image_size, prepared.path)
            arrays[f"x_{split}"] = photos.pixels(range(len(photos)))
            arrays[f"y_{split}"] = photos.labels
        np.savez(folder / "photos.npz", **arrays)
        mirror_weights(store, "lite0")
        self._weights = weight_file(store, cache, "lite0").path

    def plain(self, arm: str, epochs: int) -> "_Plain":
        command = [sys.executable, "-m", "benchmarks.plain_keras", arm]
        command += [str(self._folder / "photos.npz"), str(self._weights), "--epochs", str(epochs)]
        began = time.monotonic()
        answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        return _Plain(json.loads(answer.stdout.splitlines()[-1]), time.monotonic() - began)

    def step(self, step: str, options: Mapping[str, Any]) -> Taken:
        """Run a step of the same run with these options."""
        every = self._config | dict(options)
        return run_alone(step, _RUN, every, self._store, self._folder / "cache", quiet=True)
