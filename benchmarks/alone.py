"""A step as a process of its own, as in a run, with what it took."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tasks.contract.manifest import Manifest
from tasks.contract.step import read_record
from tasks.contract.store import Store
from tasks.train.sigterm import EXIT_CODE


class Taken(NamedTuple):
    """Wall-clock ``seconds``, the largest resident memory in GB, and what the step published."""

    seconds: float
    peak_gb: float
    manifest: Manifest


def run_alone(
    step: str, run_id: str, options: Mapping[str, Any], store: Store, cache: Path, *, quiet: bool
) -> Taken:
    """Run one step by its command line.

    Raises:
        SystemExit: it failed.
    """
    seconds, peak, status = _run(step, run_id, options, cache, quiet)
    if status:
        raise SystemExit(f"{step} ended with {status}")
    return Taken(seconds, peak, read_record(store, run_id, step).manifest)


def stop_alone(
    step: str,
    run_id: str,
    options: Mapping[str, Any],
    cache: Path,
    *,
    after: float,
    quiet: bool,
) -> tuple[float, float]:
    """Run one step, stop it by SIGTERM after so many seconds, and see that it ends with 143.

    Returns:
        the seconds from the signal to the end, and the largest resident memory in GB.

    Raises:
        SystemExit: it ended otherwise.
    """
    seconds, peak, status = _run(step, run_id, options, cache, quiet, after)
    if status != EXIT_CODE:
        raise SystemExit(f"{step} ended with {status}")
    return seconds - after, peak


def _run(
    step: str,
    run_id: str,
    options: Mapping[str, Any],
    cache: Path,
    quiet: bool,
    stop_after: float | None = None,
) -> tuple[float, float, int]:
    """Seconds, peak memory in GB and exit status of a process."""
    command = [sys.executable, "-m", "tasks", step, "--run-id", run_id]
    command += ["--config", json.dumps(dict(options))]
    began = time.monotonic()
    process = subprocess.Popen(
        command,
        env=os.environ | {"WILDLIFE_CACHE": str(cache)},
        stdout=subprocess.DEVNULL if quiet else None,
    )
    if stop_after is not None:
        timer = threading.Timer(stop_after, process.terminate)
        timer.start()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if stop_after is not None:
        timer.cancel()
    return time.monotonic() - began, usage.ru_maxrss * 1024 / 1e9, process.returncode
