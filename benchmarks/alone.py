"""A step as a process of its own, as in a run, with what it took."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tasks.contract.manifest import Manifest
from tasks.contract.step import read_record
from tasks.contract.store import Store


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
    command = [sys.executable, "-m", "tasks", step, "--run-id", run_id]
    command += ["--config", json.dumps(dict(options))]
    began = time.monotonic()
    process = subprocess.Popen(
        command,
        env=os.environ | {"WILDLIFE_CACHE": str(cache)},
        stdout=subprocess.DEVNULL if quiet else None,
    )
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{step} ended with {process.returncode}")
    return Taken(seconds, usage.ru_maxrss * 1024 / 1e9, read_record(store, run_id, step).manifest)
