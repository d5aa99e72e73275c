"""A line now and then in silence, and none beside others."""

import logging
import threading
import time

import pytest

from tasks.train.heartbeat import Heartbeat


def test_silence_is_broken(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with Heartbeat("train_scratch", every=0.05):
        time.sleep(0.3)
    beats = [line for line in caplog.messages if "train_scratch: still at work" in line]
    assert 2 <= len(beats) <= 6


def test_other_lines_keep_it_quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with Heartbeat("train_scratch", every=0.5):
        for _ in range(20):
            logging.getLogger("tasks.train").info("news")
            time.sleep(0.05)
    assert set(caplog.messages) == {"news"}


def test_nothing_of_it_stays_behind_after_a_failure() -> None:
    def fail() -> None:
        with Heartbeat("train_scratch"):
            raise ValueError

    before = list(logging.getLogger().handlers)
    with pytest.raises(ValueError):  # noqa: PT011
        fail()
    assert logging.getLogger().handlers == before
    assert not [thread for thread in threading.enumerate() if thread.name == "heartbeat"]
