"""The bucket's two checkpoints: the newest good one is found, and never the one written over."""

import logging
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from embedded.ports import free_ports
from tasks.contract.errors import UnavailableError
from tasks.contract.store import Store, StoreSettings
from tasks.train.checkpoint import Checkpoint, Position
from tasks.train.slots import Slots
from tests.train.test_checkpoint import EPOCH, network

pytestmark = pytest.mark.keras

FINGERPRINT = "f" * 64
KEYS = [f"checkpoints/train_scratch/{FINGERPRINT}/{slot}.npz" for slot in "ab"]
MODEL = network()
#: Epochs, and batches of each, of the training that they are of.
PLAN = (10, 6)


def job(
    store: Store, folder: Path, run_id: str = "r1", fingerprint: str = FINGERPRINT, **changes: Any
) -> Any:
    """The part of a job that the slots look at."""
    known = {"forced": False, "until_published": []} | changes
    return SimpleNamespace(
        store=store, scratch=folder, run_id=run_id, fingerprint=fingerprint, **known
    )


def saved(slots: Slots, *positions: tuple[int, int], run_id: str = "r1") -> None:
    """Save a checkpoint for each (whole epochs, batches of the next)."""
    for epochs, batches in positions:
        position = Position(
            fingerprint=FINGERPRINT,
            run_id=run_id,
            epochs=[EPOCH] * epochs,
            batches=batches,
            seconds=1.0,
            resumed=0,
        )
        assert slots.save(Checkpoint.of(MODEL, position))


def found(job: Any) -> tuple[int, int] | None:
    checkpoint = Slots(job, "train_scratch").furthest(MODEL, *PLAN)
    return None if checkpoint is None else checkpoint.position.progress


def overwrite(store: Store, key: str, change: Callable[[bytes], bytes]) -> None:
    content = store.read(key)
    assert content is not None
    store.write(key, change(content))


def test_the_furthest_is_found_and_the_older_is_written_over(store: Store, tmp_path: Path) -> None:
    assert found(job(store, tmp_path)) is None
    first = Slots(job(store, tmp_path), "train_scratch")
    saved(first, (0, 3), (1, 0), (1, 4))
    assert [head.key for head in store.list("checkpoints/")] == KEYS
    assert found(job(store, tmp_path)) == (1, 4)

    # Another process: its first save must leave the one that it went on from.
    second = Slots(job(store, tmp_path), "train_scratch")
    assert second.furthest(MODEL, *PLAN) is not None
    saved(second, (2, 0))
    store.delete(KEYS[1])
    assert found(job(store, tmp_path)) == (1, 4)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[: len(content) // 2],
        lambda content: bytes([content[0] ^ 255]) + content[1:],
    ],
    ids=["empty", "truncated", "altered"],
)
def test_a_damaged_newest_is_a_warning_and_the_previous_is_used(
    store: Store, tmp_path: Path, damage: Any, caplog: pytest.LogCaptureFixture
) -> None:
    saved(Slots(job(store, tmp_path), "train_scratch"), (1, 0), (2, 0))
    overwrite(store, KEYS[1], damage)
    assert found(job(store, tmp_path)) == (1, 0)
    (warning,) = caplog.messages
    assert f"the checkpoint {store.uri(KEYS[1])} is not used: it has SHA-256" in warning

    # The good one is not the next to be written over.
    again = Slots(job(store, tmp_path), "train_scratch")
    assert again.furthest(MODEL, *PLAN) is not None
    saved(again, (1, 5))
    assert found(job(store, tmp_path)) == (1, 5)
    overwrite(store, KEYS[0], damage)
    assert found(job(store, tmp_path)) == (1, 5)


def test_with_both_damaged_there_is_none(
    store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    saved(Slots(job(store, tmp_path), "train_scratch"), (1, 0), (2, 0))
    for key in KEYS:
        overwrite(store, key, lambda content: content[:-1])
    assert found(job(store, tmp_path)) is None
    assert len(caplog.messages) == 2


def test_a_checkpoint_of_another_network_is_a_warning(
    store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    saved(Slots(job(store, tmp_path), "train_scratch"), (1, 0))
    assert Slots(job(store, tmp_path), "train_scratch").furthest(network(width=5), *PLAN) is None
    assert "is not used: it is of another network" in caplog.text


@pytest.mark.parametrize("place", [(1, 6), (1, 2000), (10, 1), (11, 0)])
def test_a_place_that_the_training_does_not_have_is_a_warning(
    place: tuple[int, int], store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Gone on from, it would fail every retry."""
    saved(Slots(job(store, tmp_path), "train_scratch"), (1, 5), place)
    assert found(job(store, tmp_path)) == (1, 5)
    assert (
        f"it is of {place[0]} epochs and {place[1]} batches, where training has 10 epochs of 6"
        in caplog.text
    )


def test_a_training_that_was_stopped_at_its_very_end_has_a_place_of_its_own(
    store: Store, tmp_path: Path
) -> None:
    saved(Slots(job(store, tmp_path), "train_scratch"), (9, 5), (10, 0))
    assert found(job(store, tmp_path)) == (10, 0)


def test_a_checkpoint_of_another_fingerprint_is_not_used(
    store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    saved(Slots(job(store, tmp_path), "train_scratch"), (1, 0))
    other = job(store, tmp_path, fingerprint="e" * 64)
    assert found(other) is None
    assert not caplog.messages
    # Not even if somebody puts it there.
    path = tmp_path / "moved"
    head = store.head(KEYS[0])
    assert head is not None
    sha256 = store.download(head, path)
    store.upload(path, KEYS[0].replace("f" * 64, "e" * 64), sha256, "application/octet-stream")
    assert found(other) is None
    assert "it is of fingerprint ffffffffffff" in caplog.text


def test_a_forced_run_goes_on_from_its_own_checkpoint_only(store: Store, tmp_path: Path) -> None:
    saved(Slots(job(store, tmp_path), "train_scratch"), (5, 0), (6, 0))
    forced = job(store, tmp_path, "r2", forced=True)
    assert found(forced) is None
    slots = Slots(forced, "train_scratch")
    saved(slots, (0, 2), run_id="r2")
    assert found(forced) == (0, 2)
    assert found(job(store, tmp_path, "r3")) == (6, 0)


def test_a_store_that_refuses_a_checkpoint_is_a_warning(
    store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = store.settings
    wrong = StoreSettings(
        settings.bucket, settings.endpoint_url, secret_key="wrong", access_key="x"
    )
    slots = Slots(job(Store(wrong), tmp_path), "train_scratch")
    position = Position(
        fingerprint=FINGERPRINT, run_id="r1", epochs=[], batches=1, seconds=1.0, resumed=0
    )
    assert slots.save(Checkpoint.of(MODEL, position)) is None
    assert slots.furthest(MODEL, *PLAN) is None
    assert "could not be saved, training goes on: the object store refused" in caplog.text


def test_a_store_that_is_down_does_not_mean_that_there_is_no_checkpoint(tmp_path: Path) -> None:
    address = f"http://127.0.0.1:{free_ports(1)}"
    nowhere = Store(StoreSettings("b", address, access_key="a", secret_key="b"), patient=False)
    with pytest.raises(UnavailableError):
        found(job(nowhere, tmp_path))


def test_the_checkpoints_are_named_for_removal(store: Store, tmp_path: Path) -> None:
    mine = job(store, tmp_path)
    Slots(mine, "train_scratch")
    assert mine.until_published == KEYS


def test_what_was_laid_in_is_what_was_saved(
    store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    saved(Slots(job(store, tmp_path), "train_scratch"), (1, 2))
    checkpoint = Slots(job(store, tmp_path), "train_scratch").furthest(MODEL, *PLAN)
    assert checkpoint is not None
    for name, array in Checkpoint.of(MODEL, checkpoint.position).arrays.items():
        np.testing.assert_array_equal(array, checkpoint.arrays[name])
    assert not caplog.messages
