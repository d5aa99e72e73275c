"""Log lines of long work: how far it is, how fast it goes, how long it still takes."""

import logging
import time
from collections.abc import Callable

log = logging.getLogger(__name__)


class Pace:
    """Call it with the amount done so far; it logs a line every few seconds.

    Args:
        work: what is being done; begins the line.
        total: the amount that is the whole of it.
        amount: spells an amount with its unit, such as ``megabytes``.
        every: seconds between lines.
        done: what was done already when this began.
    """

    def __init__(
        self,
        work: str,
        total: int,
        amount: Callable[[float], str],
        every: float = 5.0,
        done: int = 0,
    ) -> None:
        self._work = work
        self._total = total
        self._amount = amount
        self._every = every
        self._before = done
        self._started = self._logged = time.monotonic()

    def __call__(self, done: int) -> None:
        now = time.monotonic()
        if now - self._logged < self._every or not self._before < done < self._total:
            return
        self._logged = now
        rate = self.rate(done)
        log.info(
            "%s: %s of %s (%.0f %%), %s/s, %.0f s left",
            self._work,
            self._amount(done),
            self._amount(self._total),
            100 * done / self._total,
            self._amount(rate),
            (self._total - done) / rate,
        )

    def rate(self, done: int) -> float:
        """The amount done per second since this began."""
        return (done - self._before) / max(time.monotonic() - self._started, 1e-6)


def megabytes(size: float) -> str:
    return f"{size / 1e6:,.1f} MB"


def photos(count: float) -> str:
    return f"{count:,.0f} photos"
