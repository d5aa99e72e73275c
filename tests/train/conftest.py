"""A small prepared data set, published in the real store as preprocess publishes its own."""

import hashlib
import zlib
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
import pytest

from tasks.contract.cache import Cache
from tasks.contract.config import SPLITS, Config, PreprocessOptions, Split
from tasks.contract.photos import PHOTOS_FILE, Photo, PhotoSet, Pixels, read_rows, write_rows
from tasks.contract.step import Artifact, Facts, Job, Step, read_record, run_step
from tasks.contract.store import Store


@dataclass
class Prepared:
    """What preprocess shall have left. A test changes what it is about.

    The classes differ in colour, so that a network can tell them apart, and are noisy.

    Attributes:
        photos: per class, by split.
    """

    classes: list[str] = field(default_factory=lambda: ["bear", "elk"])
    photos: dict[Split, int] = field(
        default_factory=lambda: {"train": 8, "validation": 3, "test": 5}
    )
    image_size: int = 32
    seed: int = 1

    def publish(self, store: Store, cache: Cache, run_id: str = "r1") -> None:
        """Run the fabricated step for one run."""
        code = ("tasks.contract.photos",)
        step = Step("preprocess", code, PreprocessOptions, self._run, external=self._id)
        run_step(step, Config(), run_id, store, cache)

    def pixels(self, label: int, count: int) -> Pixels:
        """uint8 (count, size, size, 3)."""
        random = np.random.default_rng((self.seed, label, count))
        colour = np.random.default_rng(label).uniform(60, 200, 3)
        noise = random.normal(0, 30, (count, self.image_size, self.image_size, 3))
        return (colour + noise).clip(0, 255).astype(np.uint8)

    def _id(self, _store: Store, _options: Any) -> dict[str, str]:
        return {"fabricated": repr(self)}

    def _run(self, job: Job) -> Facts:
        rows: list[Photo] = []
        for split in SPLITS:
            shard = f"{split}-00000.rgb"
            with (job.output / shard).open("wb") as file:
                for label, name in enumerate(self.classes):
                    for pixels in self.pixels(label, self.photos[split]):
                        file.write(pixels.tobytes())
                        identity = hashlib.sha256(f"{split} {len(rows)}".encode()).hexdigest()
                        rows.append(
                            Photo(
                                photo=identity,
                                entry=f"photos/{name}/{len(rows)}.jpg",
                                class_name=name,
                                label=label,
                                split=split,
                                group=identity,
                                width=64,
                                height=64,
                                shard=shard,
                                position=sum(row.split == split for row in rows),
                                crc32=zlib.crc32(pixels.tobytes()),
                            )
                        )
        write_rows(job.output / PHOTOS_FILE, rows)
        archive = {"sha256": hashlib.sha256(repr(self).encode()).hexdigest()}
        return {"classes": self.classes, "image_size": self.image_size, "archive": archive}


@pytest.fixture
def prepared() -> Prepared:
    return Prepared()


def result_of(step: str, store: Store, cache: Cache, run_id: str = "r1") -> Artifact:
    """What a run has of a step."""
    return Artifact(read_record(store, run_id, step).manifest, store, cache)


def photo_set(split: Split, store: Store, cache: Cache, run_id: str = "r1") -> PhotoSet:
    """The published photos of one split."""
    artifact = result_of("preprocess", store, cache, run_id)
    rows = read_rows(artifact.path(PHOTOS_FILE), Photo)
    return PhotoSet.open(rows, split, artifact.facts["image_size"], artifact.path)


@pytest.fixture
def train(store: Store, cache: Cache, prepared: Prepared) -> PhotoSet:
    """16 photos, 8 of each class."""
    prepared.publish(store, cache)
    return photo_set("train", store, cache)


def small_network() -> keras.Model:
    """Takes photos of 32 pixels, and no minute to trace."""
    return keras.Sequential(
        [
            keras.Input((32, 32, 3)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(2, activation="softmax"),
        ]
    )
