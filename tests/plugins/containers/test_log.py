"""Times of the engine's log: of one length, so that they compare as texts."""

from datetime import UTC, datetime

import pytest

from wildlife.containers.log import _seconds, parse_time


@pytest.mark.parametrize(
    ("stamp", "micro"),
    [
        ("2026-11-24T21:57:26.046327488Z", 46327),
        ("2026-11-24T21:57:26.5Z", 500000),
        ("2026-11-24T21:57:26Z", 0),
    ],
)
def test_nanoseconds_are_cut_to_what_python_has(stamp: str, micro: int) -> None:
    assert parse_time(stamp) == datetime(2026, 11, 24, 21, 57, 26, micro, tzinfo=UTC)


def test_asking_from_a_stamp_on_never_begins_after_it() -> None:
    stamp = "2026-11-24T21:57:26.046327488Z"
    assert 0 < parse_time(stamp).timestamp() - _seconds(stamp) < 0.01
