"""Waiting for a store that is away, when giving up would throw work away."""

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from tasks.contract.errors import UnavailableError

log = logging.getLogger(__name__)

Result = TypeVar("Result")

#: Seconds to wait before each new attempt: a store that is back within a minute is waited for.
PAUSES = (0.5, 1.0, 2.0, *[4.0] * 16)


def patiently(attempt: Callable[[], Result], pauses: tuple[float, ...] | None = None) -> Result:
    """What ``attempt`` returns once the store answers.

    Raises:
        UnavailableError: it did not for as long as the pauses are together.
    """
    pauses = PAUSES if pauses is None else pauses
    for number, pause in enumerate(pauses):
        try:
            return attempt()
        except UnavailableError as error:
            if number == 0:
                log.warning("waiting up to %.0f s for the store: %s", sum(pauses), error)
            time.sleep(pause)
    return attempt()
