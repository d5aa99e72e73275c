"""A log line now and then when nothing else is logged, so that a reader knows it still works."""

import logging
import threading
import time
from types import TracebackType
from typing import Self

log = logging.getLogger(__name__)


class Heartbeat(logging.Handler):
    """Use as a context manager around long work that may be silent: a compilation, a validation.

    Args:
        work: what is being done; begins the line.
        every: the longest silence, in seconds.
    """

    def __init__(self, work: str, every: float = 30.0) -> None:
        super().__init__()
        self._work = work
        self._every = every
        self._began = self._heard = time.monotonic()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def emit(self, record: logging.LogRecord) -> None:
        """Somebody else said something."""
        del record
        self._heard = time.monotonic()

    def __enter__(self) -> Self:
        logging.getLogger().addHandler(self)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._done.set()
        self._thread.join()
        logging.getLogger().removeHandler(self)

    def _beat(self) -> None:
        while not self._done.wait(max(0.0, self._heard + self._every - time.monotonic())):
            now = time.monotonic()
            if now >= self._heard + self._every:
                self._heard = now
                log.info("%s: still at work after %.0f s", self._work, now - self._began)
