"""Runs one command, and ends it, whole, once nobody holds this program's standard input.

    python keeper.py SECONDS COMMAND...

The worker holds the other end of that pipe for as long as it wants the step. The kernel lets go of
it however the worker ends, so no step outlives its worker; and a step that is being stopped gets
its SECONDS to finish what it is writing, although Airflow kills the worker's task after five.
A program of its own, of the standard library alone, so that it starts in milliseconds.
"""

import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress


class Keeper:
    """One command in a process group of its own."""

    def __init__(self, command: list[str], seconds: float) -> None:
        self._seconds = seconds
        self._stopping = threading.Event()
        self._child = subprocess.Popen(command, stdin=subprocess.DEVNULL, process_group=0)

    def wait(self) -> int:
        """Its exit status as a shell gives it; what it left running is killed."""
        status = self._child.wait()
        self._signal(signal.SIGKILL)
        return status if status >= 0 else 128 - status

    def stop_when_let_go(self) -> None:
        """Return from reading standard input means that the other end is closed."""
        os.read(sys.stdin.fileno(), 1)
        self.stop()

    def stop(self, *_: object) -> None:
        """SIGTERM once, time to finish, SIGKILL."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        self._signal(signal.SIGTERM)
        killer = threading.Timer(self._seconds, self._signal, (signal.SIGKILL,))
        killer.daemon = True
        killer.start()

    def _signal(self, number: int) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._child.pid, number)


def main() -> int:
    keeper = Keeper(sys.argv[2:], float(sys.argv[1]))
    signal.signal(signal.SIGTERM, keeper.stop)
    threading.Thread(target=keeper.stop_when_let_go, daemon=True).start()
    return keeper.wait()


if __name__ == "__main__":
    sys.exit(main())
