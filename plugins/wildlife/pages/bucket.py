"""The bucket as a page may ask it: with a little patience, and never with Airflow's own threads."""

from collections.abc import Awaitable, Callable
from functools import lru_cache, partial, wraps
from typing import ParamSpec, TypeVar

from anyio import CapacityLimiter, to_thread

from tasks.contract.store import Store, StoreSettings
from wildlife.connection import store_environment

#: So many requests may wait for the store at once; the others queue up without a thread.
_THREADS = 16

P = ParamSpec("P")
Answer = TypeVar("Answer")


def open_store() -> Store:
    """The bucket of the connection as it is now, with timeouts short enough for a page.

    Raises:
        StepError: there is no such connection, or it cannot be one.
    """
    return _opened(StoreSettings.from_environment(store_environment()))


@lru_cache(maxsize=1)
def _opened(settings: StoreSettings) -> Store:
    return Store(settings, patient=False)


def aside(endpoint: Callable[P, Answer]) -> Callable[P, Awaitable[Answer]]:
    """Run an endpoint that asks the store in a thread of the pages' own.

    Airflow's API answers from one pool of threads. A store that accepts connections and never
    answers would hold all of them; this way it holds ours.
    """

    @wraps(endpoint)
    async def run(*args: P.args, **kwargs: P.kwargs) -> Answer:
        return await to_thread.run_sync(partial(endpoint, *args, **kwargs), limiter=_limiter())

    return run


@lru_cache(maxsize=1)
def _limiter() -> CapacityLimiter:
    return CapacityLimiter(_THREADS)
