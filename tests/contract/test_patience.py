"""A store that is away for a while costs time, not work."""

import logging

import pytest

from tasks.contract.errors import InputError, UnavailableError
from tasks.contract.patience import PAUSES, patiently


def away(times: int, error: type[Exception] = UnavailableError) -> list[object]:
    """What an attempt meets, one after the other."""
    return [error("the store does not answer")] * times + ["done"]


def attempt_at(outcomes: list[object]) -> object:
    outcome = outcomes.pop(0)
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def test_what_fails_for_a_while_is_tried_again_and_told_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    outcomes = away(3)
    assert patiently(lambda: attempt_at(outcomes), (0.0, 0.0, 0.0)) == "done"
    assert caplog.messages == ["waiting up to 0 s for the store: the store does not answer"]


def test_what_never_succeeds_fails_at_last() -> None:
    outcomes = away(9)
    with pytest.raises(UnavailableError):
        patiently(lambda: attempt_at(outcomes), (0.0, 0.0))
    assert len(outcomes) == 7


def test_what_trying_again_cannot_mend_fails_at_once() -> None:
    outcomes = away(1, InputError)
    with pytest.raises(InputError):
        patiently(lambda: attempt_at(outcomes), (0.0, 0.0))


def test_a_store_is_waited_for_for_a_minute() -> None:
    assert 60 <= sum(PAUSES) <= 90
