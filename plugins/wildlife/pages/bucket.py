"""The bucket as a page may ask it: with little patience, and never in Airflow's own threads."""

import threading
import time
from collections.abc import Awaitable, Callable
from functools import lru_cache, partial, wraps
from typing import ParamSpec, TypeVar

from anyio import CapacityLimiter, to_thread

from tasks.contract.errors import UnavailableError
from tasks.contract.store import Store, StoreSettings
from wildlife.connection import store_environment

#: After a store did not answer, it is not asked again for so many seconds.
_PAUSE = 3.0

_OPENING = threading.Lock()

P = ParamSpec("P")
Answer = TypeVar("Answer")
Endpoint = Callable[P, Answer]


class _Silence:
    """That a store did not answer, and until when it is left alone."""

    def __init__(self) -> None:
        self.until = 0.0
        self.error = UnavailableError("")


def open_store() -> Store:
    """The bucket of the connection as it is now, with timeouts short enough for a page.

    Raises:
        UnavailableError: at once, if it did not answer a moment ago.
        StepError: there is no such connection, or it cannot be one.
    """
    settings = StoreSettings.from_environment(store_environment())
    with _OPENING:  # loading the client takes a while, and longer if two do
        store = _opened(settings)
    silence = _silence(store.settings)
    if time.monotonic() < silence.until:
        raise silence.error
    return store


@lru_cache(maxsize=1)
def _opened(settings: StoreSettings) -> Store:
    return Store(settings, patient=False)


@lru_cache(maxsize=1)
def _silence(_settings: StoreSettings) -> _Silence:
    return _Silence()


def in_threads(number: int) -> Callable[[Endpoint[P, Answer]], Callable[P, Awaitable[Answer]]]:
    """Run an endpoint that asks the store in so many threads of the pages' own.

    Airflow's API answers from one pool of threads. A store that takes connections and never answers
    would soon hold all of them; this way it holds ours, and requests that find none free wait
    without one.
    """

    def decorate(endpoint: Endpoint[P, Answer]) -> Callable[P, Awaitable[Answer]]:
        @wraps(endpoint)
        async def run(*args: P.args, **kwargs: P.kwargs) -> Answer:
            call = partial(_noting_silence, endpoint, *args, **kwargs)
            return await to_thread.run_sync(call, limiter=_limiter(number))

        return run

    return decorate


@lru_cache
def _limiter(number: int) -> CapacityLimiter:
    return CapacityLimiter(number)


def _noting_silence(endpoint: Endpoint[P, Answer], *args: P.args, **kwargs: P.kwargs) -> Answer:
    try:
        return endpoint(*args, **kwargs)
    except UnavailableError as error:
        silence = _silence(StoreSettings.from_environment(store_environment()))
        if error is not silence.error:
            silence.until, silence.error = time.monotonic() + _PAUSE, error
        raise


#: For every endpoint that asks the store and is soon done.
aside = in_threads(16)
