"""Fabricated results of the earlier steps, published in the real store as those steps publish."""

import hashlib
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from math import exp
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tasks.champion import champion_step
from tasks.compare import STEP
from tasks.contract.cache import Cache
from tasks.contract.config import (
    Config,
    FetchOptions,
    Options,
    PreprocessOptions,
    ScratchOptions,
    TransferOptions,
)
from tasks.contract.manifest import RunRecord
from tasks.contract.photos import (
    PHOTOS_FILE,
    REFUSED_FILE,
    REFUSED_SHEET,
    Photo,
    PhotoSet,
    Refusal,
    class_sheet,
    write_rows,
)
from tasks.contract.step import Artifact, Facts, Job, Step, run_step
from tasks.contract.store import Store
from tasks.contract.training import (
    HISTORY_FILE,
    METRICS_FILE,
    PREDICTIONS_FILE,
    Epoch,
    Metrics,
    Predictions,
    write_history,
)
from tasks.train.metrics import metrics_of

IMAGE_SIZE, SHARD_PHOTOS = 32, 50


def pixels_of(photo: str) -> bytes:
    """A photo's record: one colour, which tells it from others."""
    return bytes.fromhex(photo[:6]) * IMAGE_SIZE**2


def told(training: Artifact, photos: PhotoSet) -> NDArray[np.float32]:
    """What a fabricated network says to photos: what it said in its test."""
    made = Predictions.load(training.path(PREDICTIONS_FILE))
    rows = {photo: row for row, photo in enumerate(made.photos)}
    return made.probabilities[[rows[row.photo] for row in photos.photos]]


@dataclass
class World:
    """What the earlier steps shall leave. A test changes what it is about.

    Attributes:
        test_photos: per class.
        accuracy: share of the test photos that each arm gets right.
        archive: two hex digits of its SHA-256, which repeats them.
        predictions, metrics: what becomes of an arm's; the metrics are of the answers before.
        records: what becomes of the record files, each of 50 photos.
    """

    classes: list[str] = field(default_factory=lambda: ["bear", "cougar", "elk"])
    test_photos: int = 20
    accuracy: dict[str, float] = field(default_factory=lambda: {"scratch": 0.5, "transfer": 0.9})
    epochs: int = 5
    archive: str = "a1"
    dataset: dict[str, Any] = field(
        default_factory=lambda: {"name": "Fabricated", "synthetic": False, "note": ""}
    )
    refused: dict[str, int] = field(default_factory=lambda: {"truncated": 2, "duplicate": 5})
    refused_files: list[Refusal] | None = None
    photo: Callable[[Photo], Photo] = lambda made: made
    history: Callable[[str, int], list[Epoch]] | None = None
    predictions: Callable[[str, Predictions], Predictions] = lambda _arm, made: made
    metrics: Callable[[str, Metrics], Metrics] = lambda _arm, made: made
    facts: Callable[[str, Facts], Facts] = lambda _step, made: made
    records: Callable[[str, bytes], bytes] = lambda _shard, made: made

    def photos(self) -> list[Photo]:
        rows: list[Photo] = []
        for label, name in enumerate(self.classes):
            for number in range(self.test_photos):
                shard, position = divmod(len(rows), SHARD_PHOTOS)
                identity = hashlib.sha256(f"{label} {number}".encode()).hexdigest()
                rows.append(
                    Photo(
                        photo=identity,
                        entry=f"photos/{name}/{number}.jpg",
                        class_name=name,
                        label=label,
                        split="test",
                        group=identity,
                        width=640,
                        height=480,
                        shard=f"photos-{shard:05}.rgb",
                        position=position,
                        crc32=zlib.crc32(pixels_of(identity)),
                    )
                )
        return sorted((self.photo(row) for row in rows), key=lambda row: row.photo)

    def refusals(self) -> list[Refusal]:
        """The rows of ``refused_files``, or as many as the counts in ``refused`` want."""
        if self.refused_files is not None:
            return self.refused_files
        name = self.classes[0]
        return [
            Refusal(
                entry=f"photos/{name}/{reason} {number}.jpg",
                class_name=name,
                reason=reason,
                detail="fabricated",
            )
            for reason, count in self.refused.items()
            for number in range(count)
        ]

    def publish(
        self, run_id: str, store: Store, cache: Cache, config: Config, *, champion: bool = True
    ) -> None:
        """Run the earlier steps for one run, up to the trainings or to the champion."""
        trained = self._train("scratch"), self._train("transfer")
        last = [champion_step(told)] if champion else []
        for step in (self._fetch(), self._preprocess(), *trained, *last):
            run_step(step, config, run_id, store, cache)

    def compare(
        self, store: Store, cache: Cache, run_id: str = "run-1", **options: Any
    ) -> RunRecord:
        config = Config(**options)
        self.publish(run_id, store, cache, config)
        return run_step(STEP, config, run_id, store, cache)

    def _fetch(self) -> Step:
        return Step("fetch", ("tasks.contract.archive",), FetchOptions, lambda _job: {})

    def _preprocess(self) -> Step:
        def run(job: Job) -> Facts:
            write_rows(job.output / PHOTOS_FILE, self.photos())
            self._write_records(job.output)
            write_rows(job.output / REFUSED_FILE, self.refusals())
            sheets = [class_sheet(label) for label in range(len(self.classes))]
            for name in [*sheets, REFUSED_SHEET] if self.refusals() else sheets:
                (job.output / name).parent.mkdir(exist_ok=True)
                Image.new("RGB", (194, 96), "teal").save(job.output / name)
            n, refused = self.test_photos, len(self.refusals())
            counts = {"train": 5 * n, "validation": n, "test": n}
            kept = 7 * n * len(self.classes)
            per_class = {name: {**counts, "refused": 0} for name in self.classes}
            per_class[self.classes[0]]["refused"] = refused
            facts = {
                "classes": self.classes,
                "image_size": IMAGE_SIZE,
                "dataset": self.dataset,
                "archive": {"size": 350_123_456, "sha256": self.archive * 32},
                "photos": {"entries": kept + refused, "kept": kept, "refused": refused},
                "refused": dict(Counter(row.reason for row in self.refusals())),
                "per_class": per_class,
                "near_duplicate_groups": 8,
            }
            return self.facts("preprocess", facts)

        return Step("preprocess", ("tasks.contract.photos",), PreprocessOptions, run)

    def _write_records(self, folder: Path) -> None:
        shards: dict[str, bytes] = {}
        for photo in sorted(self.photos(), key=lambda photo: (photo.shard, photo.position)):
            shards[photo.shard] = shards.get(photo.shard, b"") + pixels_of(photo.photo)
        for name, content in shards.items():
            (folder / name).write_bytes(self.records(name, content))

    def _train(self, arm: str) -> Step:
        def run(job: Job) -> Facts:
            history = self.history or _plausible_history
            write_history(job.output / HISTORY_FILE, history(arm, self.epochs))
            made = self._predictions(arm)
            self.predictions(arm, made).save(job.output / PREDICTIONS_FILE)
            metrics = self.metrics(arm, metrics_of(made, self.classes))
            (job.output / METRICS_FILE).write_text(metrics.model_dump_json())
            job.measurements |= {
                "train_seconds": {"scratch": 760.4, "transfer": 41.2}[arm],
                "photos_per_second": {"scratch": 12.1, "transfer": 68.0}[arm],
                "device": "CPU, 2 cores",
            }
            if arm == "transfer":
                job.measurements |= {"feature_seconds": 38.0, "head_seconds": 3.2}
            return self.facts(f"train_{arm}", self._arm_facts(arm))

        kinds: dict[str, type[Options]] = {"scratch": ScratchOptions, "transfer": TransferOptions}
        options = kinds[arm]
        return Step(
            f"train_{arm}", ("tasks.contract.training",), options, run, inputs=("preprocess",)
        )

    def _arm_facts(self, arm: str) -> Facts:
        classes = len(self.classes)
        trained = {"scratch": 4_007_548 + 1281 * classes, "transfer": 1281 * classes}[arm]
        weights = {
            "scratch": {"source": "none", "name": "random initial weights", "sha256": ""},
            "transfer": {
                "source": "lite0",
                "name": "ImageNet weights of EfficientNet-Lite0, laid into B0",
                "sha256": "b2" * 32,
            },
        }[arm]
        return {
            "arm": arm,
            "architecture": "EfficientNet-B0",
            "classes": self.classes,
            "epochs": self.epochs,
            "batch_size": 16,
            "learning_rate": 0.001,
            "recipe": {"name": "tuned", "epochs": 3},
            "optimizer": "Adam",
            "parameters": {"total": 4_049_571 + 1281 * classes, "trained": trained},
            "photos": {"train": 1, "validation": 1, "test": 1},
            "weights": weights,
            "image_size": IMAGE_SIZE,
            "fit": "squash",
            "test": {"photos": 1, "correct": 1, "accuracy": self.accuracy[arm], "loss": 0.1},
        }

    def _predictions(self, arm: str) -> Predictions:
        """The right class is the likeliest on the first so many photos of a seeded shuffle."""
        photos = self.photos()
        labels = np.array([photo.label for photo in photos], dtype=np.int32)
        random = np.random.default_rng({"scratch": 1, "transfer": 2}[arm])
        order = random.permutation(len(photos))
        right = order < round(self.accuracy[arm] * len(photos))
        named = np.where(right, labels, (labels + 1) % len(self.classes))
        probabilities = random.dirichlet(np.ones(len(self.classes)), len(photos))
        probabilities *= 0.4
        probabilities[np.arange(len(photos)), named] += 0.6
        return Predictions(
            np.array([photo.photo for photo in photos]), labels, probabilities.astype(np.float32)
        )


def _plausible_history(arm: str, epochs: int) -> list[Epoch]:
    pace, best, gap = {"scratch": (0.12, 0.72, 0.15), "transfer": (1.1, 0.99, 0.03)}[arm]
    rows = []
    for epoch in range(1, epochs + 1):
        done = 1 - exp(-pace * epoch)
        wobble = 0.02 * ((epoch * 7919) % 5 - 2) / 2
        accuracy = 0.2 + (best - 0.2) * done
        rows.append(
            Epoch(
                accuracy=accuracy,
                loss=1.8 * (1 - done) + 0.03,
                val_accuracy=max(0.0, accuracy - gap * done + wobble),
                val_loss=1.85 * (1 - done) + 0.1 + gap * done * 2 - wobble,
                seconds=30.0 * epoch,
            )
        )
    return rows
