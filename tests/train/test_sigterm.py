"""SIGTERM is put off while a training runs, is never lost, and acts at once the second time."""

import os
import signal
import threading
from collections.abc import Callable, Iterator

import pytest

from tasks.train.sigterm import EXIT_CODE, deferred_sigterm


class ActedError(Exception):
    """What the handler of before does in these tests."""


@pytest.fixture(autouse=True)
def handler_of_before() -> Iterator[None]:
    def act(*_: object) -> None:
        raise ActedError

    earlier = signal.signal(signal.SIGTERM, act)
    yield
    signal.signal(signal.SIGTERM, earlier)


def send_sigterm() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def sigterms_within(count: int, then: Callable[[], object] = lambda: None) -> list[bool]:
    """Send them to a body that defers the first; returns what it sees after each."""
    seen = []
    with deferred_sigterm() as request:
        for _ in range(count):
            send_sigterm()
            seen.append(request.made)
        then()
    return seen


def test_the_first_sigterm_only_asks_and_ends_the_process_on_leaving() -> None:
    reached = []
    with pytest.raises(SystemExit) as exit_:
        sigterms_within(1, then=lambda: reached.append(True))
    assert reached
    assert exit_.value.code == EXIT_CODE == 143


def test_the_second_sigterm_acts_at_once() -> None:
    with pytest.raises(ActedError):
        sigterms_within(2)


def test_outside_of_it_sigterm_acts_as_before() -> None:
    assert sigterms_within(0) == []
    with pytest.raises(ActedError):
        send_sigterm()


def test_an_error_inside_is_not_hidden_by_a_request() -> None:
    with pytest.raises(ZeroDivisionError):
        sigterms_within(1, then=lambda: 1 / 0)
    with pytest.raises(ActedError):
        send_sigterm()


def test_sigterm_without_a_handler_can_be_put_off_too() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with pytest.raises(SystemExit):
        sigterms_within(1)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_a_thread_that_may_not_listen_to_signals_trains_all_the_same() -> None:
    seen = []

    def train() -> None:
        with deferred_sigterm() as request:
            seen.append(request.made)

    thread = threading.Thread(target=train)
    thread.start()
    thread.join()
    assert seen == [False]
