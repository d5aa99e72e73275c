"""Putting SIGTERM off until there is something to go on from."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

#: The exit status by which a shell, Airflow and a container engine know that it was SIGTERM.
EXIT_CODE = 128 + signal.SIGTERM


class StopRequest:
    """Whether SIGTERM came. Who looks at it stops at the next good moment, with ``EXIT_CODE``."""

    def __init__(self) -> None:
        self.made = False


@contextmanager
def deferred_sigterm() -> Iterator[StopRequest]:
    """Within it, the first SIGTERM only asks; the second does what SIGTERM did before, at once.

    A request that nobody has followed ends the process on leaving, so none is ever lost. Python
    lets only the main thread listen to signals; in any other, nothing changes.

    Raises:
        SystemExit: with ``EXIT_CODE``, on leaving after such a request.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return

    def ask(_signum: int, _frame: FrameType | None) -> None:
        # No log line from here: the signal may have come in the middle of one.
        request.made = True
        signal.signal(signal.SIGTERM, before)

    # None stands for a handler that Python did not install and cannot bring back.
    before = signal.getsignal(signal.SIGTERM) or signal.SIG_DFL
    signal.signal(signal.SIGTERM, ask)
    try:
        yield request
    finally:
        signal.signal(signal.SIGTERM, before)
    if request.made:
        sys.exit(EXIT_CODE)
