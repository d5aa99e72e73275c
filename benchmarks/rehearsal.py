"""A rehearsal of the real archive's size: 14,013 photos, about 4.3 GB, through store and steps."""

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from benchmarks.alone import run_alone, stop_alone
from benchmarks.figures import Figure, Target
from benchmarks.photographs import write_archive
from tasks.contract.store import Store, sha256_of
from tasks.train.weight_files import mirror_weights

PHOTOS = 14_013
CLASSES = 20
_KEY = "datasets/rehearsal.zip"
_RUN = "rehearsal"


def figures(store: Store, folder: Path) -> Iterator[Figure]:
    """Seconds and peak memory of the steps, each a process of its own, as in a run."""
    archive = folder / "rehearsal.zip"
    _say(f"making {PHOTOS:,} photos")
    write_archive(archive, PHOTOS, CLASSES)
    size = archive.stat().st_size
    _say(f"putting {size / 1e9:.2f} GB into the store")
    store.upload(archive, _KEY, sha256_of(archive), "application/zip")
    archive.unlink()
    yield Figure("archive, GB", None, size / 1e9, None, None)
    run = partial(
        run_alone,
        run_id=_RUN,
        options={"archive": _KEY},
        store=store,
        cache=folder / "cache",
        quiet=False,
    )
    for step in ("fetch", "preprocess"):
        _say(step)
        seconds, peak, manifest = run(step)
        yield Figure(f"{step}, s", None, seconds, None, None)
        yield Figure(f"{step}, peak memory in GB", None, peak, None, Target("ours", "<=", 1.0))
        if step == "fetch":
            yield Figure("fetch, MB/s", None, size / 1e6 / seconds, None, None)
        else:
            assert manifest.facts["photos"]["kept"] == PHOTOS, manifest.facts
            rate = manifest.measurements["photos_per_second"]
            yield Figure("preprocess, photos decoded a second", None, rate, None, None)
            stored = sum(file.size for file in manifest.files.values())
            yield Figure("prepared data, GB", None, stored / 1e9, None, None)
    began = time.monotonic()
    for step in ("fetch", "preprocess"):
        run(step)
    yield Figure("both again, unchanged, s", None, time.monotonic() - began, None, None)
    yield from _trainings(store, folder / "cache")


def _trainings(store: Store, cache: Path) -> Iterator[Figure]:
    """What the trainings hold in memory; the one from scratch is stopped when it is under way."""
    mirror_weights(store, "lite0")
    options = {"archive": _KEY, "recipe": "lab", "weights": "lite0"}
    limit = Target("ours", "<=", 4.0)
    _say("train_transfer")
    seconds, peak, _ = run_alone("train_transfer", _RUN, options, store, cache, quiet=False)
    yield Figure("train_transfer, recipe lab, s", None, seconds, None, None)
    yield Figure("train_transfer, peak memory in GB", None, peak, None, limit)
    _say("train_scratch")
    ended, peak = stop_alone("train_scratch", _RUN, options, cache, after=120, quiet=False)
    yield Figure("train_scratch, from SIGTERM to its end, s", None, ended, None, None)
    yield Figure("train_scratch, peak memory in GB", None, peak, None, limit)


def _say(what: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {what}", flush=True)
