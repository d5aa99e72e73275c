"""Running a step: find its result, or compute it and publish it.

A step is a function from manifests to a manifest. This module owns everything around the function:
the fingerprint, the verified cache hit, the local copies of its inputs, the publication in the
right order, and the run's record of it.
"""

import logging
import mimetypes
import os
import platform
import secrets
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tasks.contract.cache import Cache
from tasks.contract.code import code_digest
from tasks.contract.config import Config, Options
from tasks.contract.errors import InputError, StepError
from tasks.contract.manifest import (
    FileReference,
    Manifest,
    RunRecord,
    artifact_key,
    digest_of,
    now,
    record_key,
)
from tasks.contract.patience import patiently
from tasks.contract.store import ObjectHead, Store, sha256_of

log = logging.getLogger(__name__)

Facts = dict[str, Any]

#: So many files are put at once: while one waits for the store's answer, another is hashed.
_UPLOADS = 4


@dataclass(frozen=True)
class Step:
    """One node of the workflow.

    Attributes:
        name: the node's name in the DAG and in the bucket.
        code: the packages and modules that determine its result; part of the fingerprint.
        options: the slice of the configuration that it sees.
        inputs: names of the steps whose results it reads.
        run: the step itself; writes files to ``job.output`` and returns facts.
        external: digests of inputs that no step made (the archive), by name.
        holds: whether an earlier result is still true of the world, given the manifests of the
            inputs: for a step whose result rests on what changes besides them.
        after: what is done for each run, cached or not (the report's copy for readers).
    """

    name: str
    code: tuple[str, ...]
    options: type[Options]
    run: "Callable[[Job], Facts]"
    inputs: tuple[str, ...] = ()
    external: Callable[[Store, Any], dict[str, str]] = lambda _store, _options: {}
    holds: Callable[[Store, Manifest, Mapping[str, Manifest]], bool] = (
        lambda _store, _found, _inputs: True
    )
    after: Callable[[Store, str, Manifest], None] = lambda _store, _run_id, _manifest: None


class Artifact:
    """A step's published result as another step sees it: facts, and files on the local disk."""

    def __init__(self, manifest: Manifest, store: Store, cache: Cache) -> None:
        self.manifest = manifest
        self.facts = manifest.facts
        self._store = store
        self._cache = cache

    def path(self, name: str) -> Path:
        """A verified local copy of one of its files.

        Raises:
            InputError: it has no such file, or the stored bytes are not those of the manifest.
        """
        return fetch_file(self._reference(name), self._store, self._cache)

    def read(self, name: str, start: int, stop: int) -> bytes:
        """Some bytes of one of its files, from the store, without the rest of it.

        They are of the upload that the manifest names, but no digest covers a part of a file: the
        caller checks what it reads. A cached copy is not asked, because hashing it whole takes
        longer than such a request.

        Raises:
            InputError: it has no such file, or the stored one is another or ends before ``stop``.
        """
        file = self._reference(name)
        head = ObjectHead(file.key, file.size, file.etag)
        try:
            return patiently(lambda: self._store.read_range(head, start, stop))
        except InputError:
            found = patiently(lambda: self._store.head(file.key))
            if found is not None and (found.size, found.etag) == (file.size, file.etag):
                raise
            step = self.manifest.step
            raise InputError(
                f"{self._store.uri(file.key)} {'was removed' if found is None else 'was replaced'} "
                f"since {step} left it: run {step} again with force"
            ) from None

    def _reference(self, name: str) -> FileReference:
        try:
            return self.manifest.files[name]
        except KeyError:
            raise InputError(
                f"the result of {self.manifest.step} has no file {name!r}: run it again with force"
            ) from None


@dataclass
class Job:
    """What a step's function works with.

    Attributes:
        output: a folder; every file left in it becomes part of the result.
        scratch: a folder for what is not.
        fingerprint: all that determines the result; what is kept of unfinished work is kept for
            this fingerprint alone.
        forced: whether the run wants the step computed anew, whatever other runs have of it.
        external: what ``Step.external`` found when the fingerprint was taken.
        measurements: what may differ between executions (seconds, rates); not part of the digest.
        until_published: keys of the bucket that are of no use once the result is published; they
            are removed then.
    """

    run_id: str
    fingerprint: str
    forced: bool
    options: Any
    inputs: Mapping[str, Artifact]
    output: Path
    scratch: Path
    store: Store
    cache: Cache
    external: Mapping[str, str] = field(default_factory=dict)
    measurements: dict[str, Any] = field(default_factory=dict)
    until_published: list[str] = field(default_factory=list)


def run_step(step: Step, config: Config, run_id: str, store: Store, cache: Cache) -> RunRecord:
    """Bring about one step's result for one run.

    The record of an earlier attempt is removed first and written last: while it is absent, the
    step is not done, whatever else happened.

    Raises:
        StepError: one line for the person who must act.
    """
    started = now()
    clock = time.monotonic()
    store.require_bucket()
    store.delete(record_key(run_id, step.name))
    upstream = {name: read_record(store, run_id, name).manifest for name in step.inputs}
    manifest, cached = bring_about(
        step, config.slice(step.options), upstream, run_id, store, cache, forced=config.force
    )
    step.after(store, run_id, manifest)
    record = RunRecord(
        run_id=run_id,
        step=step.name,
        cached=cached,
        started=started,
        finished=now(),
        manifest=manifest,
    )
    content = record.model_dump_json(indent=1).encode()
    patiently(lambda: store.write(record_key(run_id, step.name), content))
    log.info(
        "%s: %s in %.1f s (%s)",
        step.name,
        f"unchanged since run {manifest.produced_by.get('run_id')}" if cached else "done",
        time.monotonic() - clock,
        store.uri(manifest.key),
    )
    return record


def bring_about(
    step: Step,
    options: Options,
    upstream: Mapping[str, Manifest],
    run_id: str,
    store: Store,
    cache: Cache,
    *,
    forced: bool,
) -> tuple[Manifest, bool]:
    """A step's published result, and whether it was there already; the run has no record of it.

    A step may bring about another as a part of itself, so that later runs find that part even if
    the rest of it is new.

    Args:
        upstream: the manifest of each of ``step.inputs``.
        forced: compute it anew.
    """
    clock = time.monotonic()
    inputs = {name: manifest.digest for name, manifest in upstream.items()}
    external = step.external(store, options)
    inputs |= external
    fingerprint = fingerprint_of(step, options, inputs)
    found = None if forced else find_manifest(store, step.name, fingerprint)
    if found is not None and step.holds(store, found, upstream):
        return found, True
    log.info("%s: computing %s", step.name, fingerprint[:12])
    with cache.workspace(step.name) as folder:
        output, scratch = folder / "output", folder / "scratch"
        output.mkdir()
        scratch.mkdir()
        job = Job(
            run_id=run_id,
            fingerprint=fingerprint,
            forced=forced,
            options=options,
            inputs={name: Artifact(made, store, cache) for name, made in upstream.items()},
            output=output,
            scratch=scratch,
            store=store,
            cache=cache,
            external=external,
        )
        with cache.evictions_told():
            facts = step.run(job)
        job.measurements["seconds"] = round(time.monotonic() - clock, 3)
        manifest = _publish(step, fingerprint, options, inputs, facts, job)
        _remove(job.until_published, step, store)
    return manifest, False


def fingerprint_of(step: Step, options: Options, inputs: Mapping[str, str]) -> str:
    """Digest of all that determines a step's result: its code, its options and its inputs."""
    return digest_of(
        {
            "step": step.name,
            "code": {module: code_digest(module) for module in step.code},
            "options": options.model_dump(mode="json"),
            "inputs": dict(inputs),
        }
    )


def find_manifest(store: Store, step: str, fingerprint: str) -> Manifest | None:
    """The published result of this fingerprint, if every file of it is still in the store.

    That it was found is noted in it, by a conditional put. Retention takes a manifest away by a
    conditional delete, so of the two that meet one fails: what was found stays.
    """
    key = artifact_key(step, fingerprint, "manifest.json")
    while True:
        content, etag = store.read_if_new(key, None) or (b"", "")
        if not etag:
            return None
        try:
            manifest = Manifest.model_validate_json(content)
        except ValidationError:
            log.warning("%s: the stored manifest cannot be read: computing again", step)
            return None
        missing = missing_file(store, manifest)
        if missing is not None:
            log.warning("%s: stored file %r is gone or changed: computing again", step, missing)
            return None
        used = manifest.model_copy(update={"used": now()})
        if store.replace(key, used.model_dump_json(indent=1).encode(), etag):
            return manifest.model_copy(update={"used": None})


def missing_file(store: Store, manifest: Manifest) -> str | None:
    """The name of a file of the result that is not in the store as it was put; None if all are."""
    files = manifest.files.items()
    return next((name for name, file in files if not is_in_place(store, file)), None)


def is_in_place(store: Store, file: FileReference) -> bool:
    """Whether the store has a file as it was put."""
    head = store.head(file.key)
    return head is not None and (head.size, head.etag) == (file.size, file.etag)


def read_record(store: Store, run_id: str, step: str) -> RunRecord:
    """What a run has of a step.

    Raises:
        InputError: the step has not finished in this run, or its record was tampered with.
    """
    content = store.read(record_key(run_id, step))
    if content is None:
        raise InputError(f"run {run_id!r} has no result of {step!r} yet: run that step first")
    try:
        return RunRecord.model_validate_json(content)
    except ValidationError:
        raise InputError(
            f"{store.uri(record_key(run_id, step))} cannot be read: run {step} again"
        ) from None


def fetch_file(reference: FileReference, store: Store, cache: Cache) -> Path:
    """A verified local copy of a stored file.

    Raises:
        InputError: it is gone, or its bytes are not those that were published.
    """

    def download(target: Path) -> None:
        head = store.head(reference.key)
        if head is None:
            raise InputError(f"{store.uri(reference.key)} is gone: run with force to make it again")
        store.download(head, target)

    return cache.fetch(reference.sha256, store.uri(reference.key), download)


def _publish(
    step: Step,
    fingerprint: str,
    options: Options,
    inputs: Mapping[str, str],
    facts: Facts,
    job: Job,
) -> Manifest:
    """Put every file, then the manifest."""
    paths = sorted(path for path in job.output.rglob("*") if path.is_file())
    names = [path.relative_to(job.output).as_posix() for path in paths]
    publication = secrets.token_hex(4)
    pool = ThreadPoolExecutor(_UPLOADS, "upload")
    try:
        uploaded = pool.map(
            lambda name, path: _upload(step, fingerprint, publication, name, path, job),
            names,
            paths,
        )
        files = dict(zip(names, uploaded, strict=True))
    finally:
        pool.shutdown(cancel_futures=True)
        job.cache.trim()
    manifest = Manifest(
        step=step.name,
        fingerprint=fingerprint,
        options=options.model_dump(mode="json"),
        inputs=dict(inputs),
        files=files,
        facts=facts,
        measurements=job.measurements,
        produced_by={"run_id": job.run_id} | provenance(),
        created=now(),
    )
    content = manifest.model_dump_json(indent=1).encode()
    patiently(lambda: job.store.write(manifest.key, content))
    return manifest


def _upload(
    step: Step, fingerprint: str, publication: str, name: str, path: Path, job: Job
) -> FileReference:
    """Put one file under its own digest, and keep it as this machine's cached copy.

    No two publications have a key in common, or an earlier one's removal could hit a later one.
    """
    sha256 = sha256_of(path)
    key = artifact_key(step.name, fingerprint, f"{sha256[:16]}-{publication}/{name}")
    content_type = mimetypes.guess_type(name)[0] or "application/octet-stream"
    reference = patiently(lambda: job.store.upload(path, key, sha256, content_type))
    job.cache.move_in(path, sha256)
    return reference


def _remove(keys: list[str], step: Step, store: Store) -> None:
    """Remove what the published result has made useless; the step is done, with or without it."""
    for key in keys:
        try:
            store.delete(key)
        except StepError as error:
            log.warning(
                "%s: %s is of no use any more and could not be removed: %s",
                step.name,
                store.uri(key),
                error,
            )


def provenance() -> dict[str, str]:
    """Source revision, image and library versions: where a result came from."""
    found = {
        "revision": os.environ.get("WILDLIFE_REVISION", "unknown"),
        "image": os.environ.get("WILDLIFE_IMAGE", "none: a plain process"),
        "python": platform.python_version(),
        "platform": platform.platform(),
    }
    for package in (
        "tensorflow",
        "tensorflow-cpu",
        "keras",
        "numpy",
        "pillow",
        "simplejpeg",
        "cykooz-resizer",
        "boto3",
        "scipy",
        "matplotlib",
    ):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
