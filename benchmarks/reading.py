"""An epoch from prepared records, every photo in an order drawn over the whole set."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import tensorflow as tf
from keras.src.trainers.data_adapters.py_dataset_adapter import PyDatasetAdapter

from benchmarks.figures import Figure, Target, best_seconds
from tasks.contract.photos import Photo, PhotoSet
from tasks.preprocess.records import Records
from tasks.train.data import Batches

PHOTOS = 4000
SIZE = 224
BATCH = 64
#: What a shuffle buffer of the plain way may hold: 151 MB of photos.
BUFFER = 1000


def figures(folder: Path) -> Iterator[Figure]:
    """Photos a second through tf.data, and the memory that it takes."""
    pixels = np.random.default_rng(0).integers(0, 256, (PHOTOS, SIZE, SIZE, 3), dtype=np.uint8)
    records = folder / "plain.tfrecord"
    with tf.io.TFRecordWriter(str(records)) as writer:
        for photo in pixels:
            writer.write(photo.tobytes())
    photos = _photo_set(pixels, folder)
    del pixels
    batches = Batches(photos, BATCH, seed=1)
    adapter = PyDatasetAdapter(batches, shuffle=False)  # what ``fit`` reads them through
    before = psutil.Process().memory_info().rss
    peak = before

    def read(dataset: tf.data.Dataset) -> None:
        nonlocal peak
        photos_read = 0
        for images, _ in dataset:
            photos_read += images.shape[0]
            peak = max(peak, psutil.Process().memory_info().rss)
        assert photos_read == PHOTOS

    def ours() -> None:
        batches.on_epoch_begin()
        read(_dataset(batches))

    def ours_in_fit() -> None:
        batches.on_epoch_begin()
        read(adapter.get_tf_dataset().take(len(batches)))

    def plain() -> None:
        dataset = tf.data.TFRecordDataset(str(records)).shuffle(BUFFER)
        dataset = dataset.map(lambda record: tf.io.decode_raw(record, tf.uint8), tf.data.AUTOTUNE)
        dataset = dataset.map(lambda flat: tf.reshape(flat, (SIZE, SIZE, 3)), tf.data.AUTOTUNE)
        for _ in dataset.batch(BATCH).prefetch(tf.data.AUTOTUNE):
            pass

    seconds = best_seconds([plain, ours, ours_in_fit])
    yield Figure.of_rates(
        f"an epoch through tf.data, shuffled whole (plain: {BUFFER:,} at a time), photos/s",
        PHOTOS / seconds[0],
        PHOTOS / seconds[1],
        Target("ours", ">=", 15_000),
    )
    yield Figure.of_rates(
        "the same as Keras' fit reads it, photos/s", PHOTOS / seconds[0], PHOTOS / seconds[2]
    )
    yield Figure.of_costs(
        "memory that reading them took, GB", None, (peak - before) / 1e9, Target("ours", "<=", 1.0)
    )


def _dataset(batches: Batches) -> tf.data.Dataset:
    """Batches in a drawn order, read by two threads."""

    def load(index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        pixels, labels = tf.numpy_function(
            batches.__getitem__, [index], [tf.uint8, tf.int32], stateful=False
        )
        return tf.ensure_shape(pixels, (None, SIZE, SIZE, 3)), tf.ensure_shape(labels, (None,))

    return tf.data.Dataset.range(len(batches)).map(load, 2).prefetch(2)


def _photo_set(pixels: np.ndarray, folder: Path) -> PhotoSet:
    records = Records(folder, SIZE)
    places = [records.write(number, photo) for number, photo in enumerate(pixels)]
    rows = [
        Photo(
            photo=f"{number:064x}",
            entry=f"{number}.jpg",
            class_name="a",
            label=number % 20,
            split="train",
            group=f"{number:064x}",
            width=SIZE,
            height=SIZE,
            shard=place.shard,
            position=place.position,
            crc32=place.crc32,
        )
        for number, place in enumerate(places)
    ]
    return PhotoSet.open(rows, "train", SIZE, folder.joinpath)
