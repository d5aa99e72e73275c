"""Preprocess end to end, against a plain tf.data pipeline and against the decoder alone."""

import dataclasses
import io
import os
import time
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import simplejpeg
import tensorflow as tf
from PIL import Image

import tasks.fetch
import tasks.preprocess
from benchmarks.figures import Figure, Target, best_seconds
from benchmarks.photographs import write_archive
from tasks.contract.cache import Cache
from tasks.contract.config import Config
from tasks.contract.photos import Photo, read_rows
from tasks.contract.step import Facts, Job, run_step
from tasks.contract.store import Store, sha256_of
from tasks.preprocess.decode import decode
from tasks.preprocess.parallel import cores

#: As the real archive, 700 photos of each class, for contact sheets cost per class.
PHOTOS = 2_100
CLASSES = 3
SIZE = 224


def figures(store: Store, folder: Path) -> Iterator[Figure]:
    """Photos a second of the step, and what decoding at a scale costs in pixels."""
    archive = folder / "photos.zip"
    write_archive(archive, PHOTOS, CLASSES)
    files = _extracted(archive, folder / "extracted")
    contents = [file.read_bytes() for file in files]
    ours = _Step(store, Cache(folder / "cache"), archive)
    names = [str(file) for file in files]

    def plain() -> None:
        _plain_pipeline(names, folder / "plain.tfrecord")

    def decoder_alone() -> None:
        with ThreadPoolExecutor(cores()) as pool:
            list(pool.map(_scaled, contents))

    seconds = best_seconds([plain, decoder_alone, ours.run])
    rates = [PHOTOS / seconds[0], PHOTOS / seconds[1], PHOTOS / ours.best]
    yield Figure.of_rates(
        "preprocess against tf.data, photos/s", rates[0], rates[2], Target("ratio", ">=", 1.2)
    )
    yield Figure.of_rates(
        "preprocess against the scaled decoder alone, photos/s",
        rates[1],
        rates[2],
        Target("ratio", ">=", 0.75),
    )
    yield _pixel_cost(contents[:60])


def _pixel_cost(contents: list[bytes]) -> Figure:
    """Mean difference from a full decode with an antialiased resize, in grey levels of 255."""
    plain, ours = [], []
    for content in contents:
        image = Image.open(io.BytesIO(content)).convert("RGB")
        full = np.asarray(image.resize((SIZE, SIZE), Image.Resampling.BICUBIC)).astype(float)
        pixels = tf.cast(tf.image.resize(tf.io.decode_jpeg(content), (SIZE, SIZE)), tf.uint8)
        plain.append(np.abs(pixels.numpy() - full).mean())
        ours.append(np.abs(decode(content, SIZE).pixels - full).mean())
    return Figure.of_costs(
        "mean difference from a full decode, grey levels",
        float(np.mean(plain)),
        float(np.mean(ours)),
        Target("ours", "<=", 2.2),
    )


class _Step:
    """The step itself, from the archive on this machine's disk to record files; its own time."""

    def __init__(self, store: Store, cache: Cache, archive: Path) -> None:
        self.best = float("inf")
        self._store = store
        self._cache = cache
        self._config = Config(archive="datasets/bench.zip", force=True)
        store.upload(archive, self._config.archive, sha256_of(archive), "application/zip")
        run_step(tasks.fetch.STEP, self._config, "bench", store, cache)

    def run(self) -> None:
        def timed(job: Job) -> Facts:
            began = time.perf_counter()
            facts = tasks.preprocess.STEP.run(job)
            self.best = min(self.best, time.perf_counter() - began)
            assert len(read_rows(job.output / "photos.jsonl", Photo)) == PHOTOS
            return facts

        step = dataclasses.replace(tasks.preprocess.STEP, run=timed)
        run_step(step, self._config, "bench", self._store, self._cache)


def _extracted(archive: Path, folder: Path) -> list[Path]:
    """The files on disk, as the plain way wants them."""
    with zipfile.ZipFile(archive) as opened:
        opened.extractall(folder)
    return sorted(folder.rglob("*.jpg"))


def _plain_pipeline(files: list[str], target: Path) -> None:
    """Neither hashes, nor checks, nor filters."""

    def load(name: tf.Tensor) -> tf.Tensor:
        pixels = tf.image.resize(tf.io.decode_jpeg(tf.io.read_file(name), channels=3), (SIZE, SIZE))
        return tf.io.serialize_tensor(tf.cast(pixels, tf.uint8))

    photos = tf.data.Dataset.from_tensor_slices(files).map(load, tf.data.AUTOTUNE)
    with tf.io.TFRecordWriter(os.fspath(target)) as writer:
        for record in photos.prefetch(tf.data.AUTOTUNE):
            writer.write(record.numpy())


def _scaled(content: bytes) -> None:
    simplejpeg.decode_jpeg(content, "RGB", min_height=SIZE, min_width=SIZE)
