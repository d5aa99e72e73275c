"""The photos of a training: in an order drawn anew each epoch, never a damaged one."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tasks.contract.cache import Cache
from tasks.contract.errors import InputError
from tasks.contract.photos import PhotoSet
from tasks.contract.store import Store
from tasks.train.compiling import compile_classifier
from tasks.train.data import Batches, Data, balanced_weights
from tasks.train.recipes.recipe import Recipe
from tests.train.conftest import Prepared, result_of, small_network

pytestmark = pytest.mark.keras


def rows_seen(batches: Batches, epochs: int, monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """Which rows Keras asked for, in order, epoch by epoch."""
    asked: list[int] = []
    pixels = PhotoSet.pixels

    def spy(self: PhotoSet, rows: Any) -> Any:
        asked.extend(int(row) for row in rows)
        return pixels(self, rows)

    model = small_network()
    compile_classifier(model, Recipe(3, 6, 0.01), 16)
    with monkeypatch.context() as patch:
        patch.setattr(PhotoSet, "pixels", spy)
        model.fit(batches, epochs=epochs, shuffle=False, verbose=0)
    # Keras looks at the first batches once more to learn their shape.
    length = sum(len(batches[index][1]) for index in range(len(batches)))
    asked = asked[-epochs * length :]
    return [asked[start : start + length] for start in range(0, len(asked), length)]


def test_every_epoch_shuffles_the_whole_set_anew(
    train: PhotoSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    epochs = rows_seen(Batches(train, 6, seed=7), 3, monkeypatch)
    assert len(epochs) == 3
    assert all(sorted(epoch) == list(range(len(train))) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3
    first_half = [set(epoch[: len(train) // 2]) for epoch in epochs]
    assert any(half != first_half[0] for half in first_half)


def test_batches_go_on_where_others_stopped(
    train: PhotoSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = rows_seen(Batches(train, 6, seed=7), 3, monkeypatch)
    assert rows_seen(Batches(train, 6, seed=7, epoch=1), 2, monkeypatch) == whole[1:]
    rest = Batches(train, 6, seed=7, epoch=1, done=2)
    assert rows_seen(rest, 1, monkeypatch) == [whole[1][12:]]


def test_batches_without_a_seed_keep_the_order(train: PhotoSet) -> None:
    batches = Batches(train, 6)
    assert len(batches) == 3
    labels = np.concatenate([batches[index][1] for index in range(len(batches))])
    np.testing.assert_array_equal(labels, train.labels)
    np.testing.assert_array_equal(batches[2][0], train.pixels(range(12, 16)))
    assert batches[0][0].dtype == np.uint8


def test_with_class_weights_each_photo_has_that_of_its_class(train: PhotoSet) -> None:
    weights = np.array([2.0, 0.5], np.float32)
    _, labels, given = Batches(train, 6, seed=1, weights=weights)[0]
    np.testing.assert_array_equal(given, weights[labels])


def test_balanced_weights_make_classes_count_alike_and_photos_one_on_average() -> None:
    labels = np.array([0] * 6 + [1] * 2 + [3] * 4, np.int32)
    weights = balanced_weights(labels, 4)
    totals = np.bincount(labels, weights[labels], minlength=4)
    np.testing.assert_allclose(totals, [4, 4, 0, 4])
    assert weights[labels].mean() == pytest.approx(1)
    assert weights.dtype == np.float32


def test_a_damaged_record_is_found_before_training(
    store: Store, cache: Cache, prepared: Prepared, train: PhotoSet
) -> None:
    """The cache checks files by digest; a record file that is whole but wrong is caught, too."""
    artifact = result_of("preprocess", store, cache)
    path = artifact.path("train-00000.rgb")
    content = bytearray(path.read_bytes())
    content[5] ^= 255

    class Damaged:
        facts = artifact.facts
        manifest = artifact.manifest

        def path(self, name: str) -> Path:
            return damaged if name == "train-00000.rgb" else artifact.path(name)

    damaged = path.with_name("damaged")
    damaged.write_bytes(content)
    with pytest.raises(InputError, match=r"record 0 of train-00000.rgb .* is damaged"):
        Data.of(SimpleNamespace(inputs={"preprocess": Damaged()}))  # type: ignore[arg-type]
