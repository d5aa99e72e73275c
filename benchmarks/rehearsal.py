"""A rehearsal of the real archive's size: 14,013 photos, about 4.3 GB, through store and steps."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.figures import Figure, Target
from benchmarks.photographs import write_archive
from tasks.contract.manifest import RunRecord, record_key
from tasks.contract.store import Store, sha256_of

PHOTOS = 14_013
CLASSES = 20
_KEY = "datasets/rehearsal.zip"
_RUN = "rehearsal"


def figures(store: Store, folder: Path) -> Iterator[Figure]:
    """Seconds and peak memory of fetch and preprocess, each a process of its own, as in a run."""
    archive = folder / "rehearsal.zip"
    _say(f"making {PHOTOS:,} photos")
    write_archive(archive, PHOTOS, CLASSES)
    size = archive.stat().st_size
    _say(f"putting {size / 1e9:.2f} GB into the store")
    store.upload(archive, _KEY, sha256_of(archive), "application/zip")
    archive.unlink()
    yield Figure("archive, GB", None, size / 1e9, None, None)
    environment = os.environ | {"WILDLIFE_CACHE": str(folder / "cache")}
    for step in ("fetch", "preprocess"):
        _say(step)
        seconds, peak = _run(step, environment)
        record = RunRecord.model_validate_json(store.read(record_key(_RUN, step)) or b"")
        yield Figure(f"{step}, s", None, seconds, None, None)
        yield Figure(f"{step}, peak memory in GB", None, peak, None, Target("ours", "<=", 1.0))
        if step == "fetch":
            yield Figure("fetch, MB/s", None, size / 1e6 / seconds, None, None)
        else:
            assert record.manifest.facts["photos"]["kept"] == PHOTOS, record.manifest.facts
            rate = record.manifest.measurements["photos_per_second"]
            yield Figure("preprocess, photos decoded a second", None, rate, None, None)
            stored = sum(file.size for file in record.manifest.files.values())
            yield Figure("prepared data, GB", None, stored / 1e9, None, None)
    began = time.monotonic()
    for step in ("fetch", "preprocess"):
        _run(step, environment)
    yield Figure("both again, unchanged, s", None, time.monotonic() - began, None, None)


def _run(step: str, environment: dict[str, str]) -> tuple[float, float]:
    """Run one step as its own process; returns its seconds and its peak memory in GB."""
    command = [sys.executable, "-m", "tasks", step, "--run-id", _RUN]
    command += ["--config", json.dumps({"archive": _KEY})]
    began = time.monotonic()
    process = subprocess.Popen(command, env=environment)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{step} ended with {process.returncode}")
    return time.monotonic() - began, usage.ru_maxrss * 1024 / 1e9


def _say(what: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {what}", flush=True)
