"""Long work says how far it is, now and then."""

import logging

import pytest

from tasks.contract import pace as pace_module
from tasks.contract.pace import Pace, megabytes, photos


class Clock:
    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(pace_module, "time", clock)
    return clock


def test_a_line_every_few_seconds_with_rate_and_time_left(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    pace = Pace("fetch", 200_000_000, megabytes, every=5)
    for _ in range(19):
        clock.now += 1
        pace(int((clock.now - 100) * 10_000_000))
    assert caplog.messages == [
        "fetch: 50.0 MB of 200.0 MB (25 %), 10.0 MB/s, 15 s left",
        "fetch: 100.0 MB of 200.0 MB (50 %), 10.0 MB/s, 10 s left",
        "fetch: 150.0 MB of 200.0 MB (75 %), 10.0 MB/s, 5 s left",
    ]


def test_the_rate_of_work_that_goes_on_is_of_what_was_done_since(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    pace = Pace("epoch 2/3", 1000, photos, done=800)
    clock.now += 60
    pace(800)
    assert not caplog.messages
    clock.now += 40
    pace(900)
    assert caplog.messages == [
        "epoch 2/3: 900 photos of 1,000 photos (90 %), 1 photos/s, 100 s left"
    ]


def test_nothing_is_said_of_work_that_has_not_begun_or_is_done(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    pace = Pace("preprocess", 1400, photos)
    clock.now += 60
    pace(0)
    pace(1400)
    assert not caplog.messages
    assert photos(1400.4) == "1,400 photos"
