"""Waiting for what another process does."""

import time
from collections.abc import Callable
from pathlib import Path

import psutil


def wait_for(condition: Callable[[], object], seconds: float = 60, every: float = 0.02) -> None:
    """Fails the test if it does not come true in time; it is asked for every so many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(every)


def pid_in(file: Path) -> int:
    """The process id that a program wrote there, once it has."""
    wait_for(lambda: file.exists() and file.read_text().strip())
    return int(file.read_text())


def is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
