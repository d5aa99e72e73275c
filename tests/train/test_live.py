"""Live curves: the newest ones arrive, and a slow store holds nothing up."""

import threading
import time

import pytest

from tasks.contract.progress import TrainProgress, read_progress
from tasks.contract.store import Store
from tasks.train import live
from tasks.train.live import LiveCurves


def progress(epoch: int) -> TrainProgress:
    return TrainProgress(step="train_scratch", phase="training", epoch=epoch, epochs=1000)


def test_what_was_put_is_there_after_a_flush(store: Store) -> None:
    curves = LiveCurves(store, "r1")
    for epoch in range(20):
        curves.put(progress(epoch))
    curves.flush()
    found = read_progress(store, "r1", "train_scratch")
    assert found is not None
    assert found.epoch == 19


def test_a_slow_store_holds_nothing_up_and_gets_only_the_newest(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer, written = threading.Event(), []

    def slow(_store: Store, _run_id: str, newest: TrainProgress) -> None:
        written.append(newest.epoch)
        answer.wait(10)

    monkeypatch.setattr(live, "publish", slow)
    curves = LiveCurves(store, "r1")
    began = time.monotonic()
    curves.put(progress(0))
    while not written:
        time.sleep(0.001)
    for epoch in range(1, 100):
        curves.put(progress(epoch))
    assert time.monotonic() - began < 5
    answer.set()
    curves.flush()
    assert written == [0, 99]


def test_what_changes_after_it_was_put_is_not_written(store: Store) -> None:
    curves, now = LiveCurves(store, "r1"), progress(1)
    curves.put(now)
    now.epoch = 2
    curves.flush()
    found = read_progress(store, "r1", "train_scratch")
    assert found is not None
    assert found.epoch == 1
