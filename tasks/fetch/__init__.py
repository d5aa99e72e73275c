"""Fetch: get the archive from the bucket, check it whole, and list what lies inside.

The result says what the archive is by its bytes alone. Its key and ETag are left out of the facts,
so that the same bytes under another name are the same data to every later step.
"""

import json
import logging
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from tasks.contract.archive import Entry, open_archive
from tasks.contract.config import FetchOptions
from tasks.contract.errors import InputError, listed
from tasks.contract.pace import Pace, megabytes
from tasks.contract.photos import REFUSED_FILE, write_rows
from tasks.contract.step import Facts, Job, Step
from tasks.contract.store import ObjectHead, Store

INDEX_FILE = "index.jsonl"

log = logging.getLogger(__name__)


def run(job: Job) -> Facts:
    """The step: leaves ``index.jsonl`` and ``refused.jsonl``.

    The one has class, entry and declared size in bytes of each photo, the other the entries that
    must not be used, with the reason. What can only be known by reading a photo, preprocess says.

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
    uri = job.store.uri(head.key)
    with open_archive(path, uri, job.options) as archive:
        survey, card, kind = archive.survey(), archive.card(), archive.format
    classes = Counter(entry.class_name for entry in survey.entries)
    refused = Counter(refusal.reason for refusal in survey.refused)
    _require_classes(classes, refused, uri)
    _write_index(job.output / INDEX_FILE, survey.entries)
    write_rows(job.output / REFUSED_FILE, survey.refused)
    log.info(
        "%s: %s of %s with %s photos in %d classes",
        uri,
        kind,
        megabytes(head.size),
        f"{len(survey.entries):,}",
        len(classes),
    )
    if refused:
        log.warning("%s: %s entries refused: %s", uri, f"{refused.total():,}", _counts(refused))
    return {
        "size": head.size,
        "sha256": sha256,
        "format": kind,
        "dataset": card.model_dump(),
        "entries": len(survey.entries),
        "classes": dict(sorted(classes.items())),
        "refused": dict(sorted(refused.items())),
    }


def archive_head(store: Store, key: str) -> ObjectHead:
    """Where the archive is now.

    Raises:
        InputError: there is none; the line lists what there is.
    """
    head = store.head(key)
    if head is not None:
        return head
    found = listed([other.key for other in store.list("datasets/")])
    raise InputError(
        f"there is no archive {key!r} in bucket {store.bucket!r}, whose datasets/ holds "
        f"{found or 'nothing'}: upload it there, or set the option 'archive' to the right key"
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


def _require_classes(classes: Counter[str], refused: Counter[str], uri: str) -> None:
    remedy = "give it one folder of photos per class, at least two, each named after its class"
    besides = f" (entries refused: {_counts(refused)})" if refused else ""
    if not classes:
        raise InputError(f"{uri} has no folders of photos{besides}: {remedy}")
    if len(classes) == 1:
        only = next(iter(classes))
        raise InputError(f"{uri} has photos of the single class {only!r}{besides}: {remedy}")


def _counts(refused: Counter[str]) -> str:
    return ", ".join(f"{reason} {count:,}" for reason, count in refused.most_common())


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
