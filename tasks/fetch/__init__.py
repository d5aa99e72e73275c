"""Fetch: get the archive from the bucket, check it whole, and list what lies inside.

The result says what the archive is by its bytes alone. Its key and ETag are left out of the facts,
so that the same bytes under another name are the same data to every later step.
"""

import json
import logging
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from tasks.contract.archive import Archive, Entry
from tasks.contract.config import FetchOptions
from tasks.contract.errors import InputError
from tasks.contract.pace import Pace, megabytes
from tasks.contract.step import Facts, Job, Step
from tasks.contract.store import ObjectHead, Store

INDEX_FILE = "index.jsonl"

log = logging.getLogger(__name__)


def run(job: Job) -> Facts:
    """The step: leaves ``index.jsonl`` (class, entry and declared size in bytes of each photo).

    Raises:
        InputError: the archive is missing, was replaced meanwhile, or is not one of class folders.
    """
    head = archive_head(job.store, job.options.archive)
    if head.version != job.external["archive"]:
        raise InputError(
            f"{job.store.uri(head.key)} was replaced while the run began: run again to use the "
            "new one"
        )
    path, sha256 = _local_copy(head, job)
    with Archive(path, job.store.uri(head.key)) as archive:
        card = archive.card()
        entries = archive.entries()
    classes = Counter(entry.class_name for entry in entries)
    _require_classes(classes, job.store.uri(head.key))
    _write_index(job.output / INDEX_FILE, entries)
    log.info(
        "%s: %s photos in %d classes, %s",
        job.store.uri(head.key),
        f"{len(entries):,}",
        len(classes),
        megabytes(head.size),
    )
    return {
        "size": head.size,
        "sha256": sha256,
        "dataset": card.model_dump(),
        "entries": len(entries),
        "classes": dict(sorted(classes.items())),
    }


def archive_head(store: Store, key: str) -> ObjectHead:
    """Where the archive is now.

    Raises:
        InputError: there is none; the line lists what there is.
    """
    head = store.head(key)
    if head is not None:
        return head
    found = [other.key for other in store.list("datasets/")]
    listed = ", ".join(found[:5]) + (f" and {len(found) - 5} more" if len(found) > 5 else "")
    raise InputError(
        f"there is no archive {key!r} in bucket {store.bucket!r}, whose datasets/ holds "
        f"{listed or 'nothing'}: upload it there, or set the option 'archive' to the right key"
    )


def _local_copy(head: ObjectHead, job: Job) -> tuple[Path, str]:
    """The archive on this machine and its SHA-256 (hex), from the cache if its bytes are known."""
    if head.sha256 and (cached := job.cache.get(head.sha256)):
        log.info("%s: this machine has it already", job.store.uri(head.key))
        return cached, head.sha256
    job.cache.require_space(head.size, "the archive")
    pace = Pace("fetch", head.size, megabytes)
    with job.cache.incoming() as target:
        sha256 = job.store.download(head, target, pace)
        job.measurements["bytes_per_second"] = round(pace.rate(head.size))
        if head.sha256 not in (None, sha256):
            raise InputError(
                f"{job.store.uri(head.key)} is damaged (SHA-256 {sha256}, uploaded as "
                f"{head.sha256}): upload it again"
            )
        return job.cache.add(target, sha256), sha256


def _require_classes(classes: Counter[str], uri: str) -> None:
    remedy = "give it one folder of photos per class, at least two, each named after its class"
    if not classes:
        raise InputError(f"{uri} has no folders of photos: {remedy}")
    if len(classes) == 1:
        raise InputError(f"{uri} has photos of the single class {next(iter(classes))!r}: {remedy}")


def _write_index(path: Path, entries: Iterable[Entry]) -> None:
    with path.open("w", encoding="utf-8") as file:
        for entry in entries:
            row = {"class": entry.class_name, "entry": entry.name, "size": entry.size}
            file.write(json.dumps(row) + "\n")


def _version(store: Store, options: FetchOptions) -> dict[str, str]:
    return {"archive": archive_head(store, options.archive).version}


STEP = Step(
    name="fetch",
    code=("tasks.fetch", "tasks.contract.archive"),
    options=FetchOptions,
    external=_version,
    run=run,
)
