"""The headline of a run's report: what a list of many runs tells of each, in one small object.

``compare`` writes it when the report is in place, at ``headlines/<run_id>.json``, and then anew
``headlines.json``, which holds them all, so that a reader asks for one object. That file is a
cache: it may be lost, or lack a run if two were written at once. One listing of the folder says so,
by the ETag that each entry has beside it, and ``read_headlines`` puts it right.
"""

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from tasks.contract.bounded import Count, Difference, Moment, Share
from tasks.contract.errors import StepError
from tasks.contract.manifest import checked_run_id, is_run_id
from tasks.contract.store import ObjectHead, Store, TooLargeError

log = logging.getLogger(__name__)

_FOLDER, _ALL = "headlines/", "headlines.json"
#: One is half a kilobyte. What is larger is not ours.
_MOST_BYTES, _MOST_BYTES_OF_ALL = 20_000, 20_000_000
_READERS = 16


class Headline(BaseModel):
    """What a report says, in one line. Accuracies and intervals (95 %) are shares.

    Attributes:
        finished: when the report was put in place for this run.
        computed_by: the run that computed it; another one if this run found nothing changed.
        archive: its key in the bucket.
        photos: how many were used, all splits together.
        difference: accuracy of transfer minus that from scratch, -1..1.
        weights: name of those that the transfer arm began with.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    run_id: str
    finished: Moment
    computed_by: str
    title: str
    synthetic: bool
    archive: str
    photos: Count
    test_photos: Count
    scratch_accuracy: Share
    scratch_accuracy_low: Share
    scratch_accuracy_high: Share
    transfer_accuracy: Share
    transfer_accuracy_low: Share
    transfer_accuracy_high: Share
    difference: Difference
    difference_low: Difference
    difference_high: Difference
    verdict: str
    weights: str

    @property
    def cached(self) -> bool:
        """Whether the run found an earlier run's report unchanged."""
        return self.computed_by != self.run_id


class Listed(NamedTuple):
    """A run with a report.

    ``headline`` is None if it cannot be read, as one of a newer version of this program may not;
    ``version`` tells one upload of it from another.
    """

    version: str
    published: datetime
    headline: Headline | None


class _Entry(NamedTuple):
    version: str
    headline: Headline


_ENTRIES = TypeAdapter(dict[str, _Entry])


def headline_key(run_id: str) -> str:
    return f"{_FOLDER}{checked_run_id(run_id)}.json"


def publish_headline(store: Store, headline: Headline) -> None:
    """Write a run's headline, and all of them anew for who knows none."""
    store.write(headline_key(headline.run_id), headline.model_dump_json().encode())
    _write_all(store)


def withdraw_headlines(store: Store, run_ids: Sequence[str]) -> None:
    """Take runs off the list of reports."""
    store.delete_all([headline_key(run_id) for run_id in run_ids])
    _write_all(store)


def _write_all(store: Store) -> None:
    try:
        entries = {
            run_id: _Entry(listed.version, listed.headline)
            for run_id, listed in read_headlines(store, {}).items()
            if listed.headline is not None
        }
        store.write(_ALL, _ENTRIES.dump_json(entries))
    except StepError as error:  # it is a cache
        log.warning("%s is not brought up to date: %s", store.uri(_ALL), error)


def read_headlines(store: Store, known: Mapping[str, Listed]) -> dict[str, Listed]:
    """Every run with a report, by run id: one listing, and requests for what is not known.

    Args:
        known: what an earlier call returned; an entry is taken over while its object is the same.
    """
    heads = {run_id: head for head in store.list(_FOLDER) if (run_id := _run_id_of(head.key))}
    found = {
        run_id: known[run_id]
        for run_id, head in heads.items()
        if run_id in known and known[run_id].version == head.version
    }
    if len(heads) - len(found) > 1:
        for run_id, entry in _entries(_read_all(store)).items():
            head = heads.get(run_id)
            if head is not None and run_id not in found and entry.version == head.version:
                found[run_id] = _listed(head, entry.headline)
    missing = [run_id for run_id in heads if run_id not in found]
    if missing:
        with ThreadPoolExecutor(_READERS) as pool:
            read = pool.map(lambda run_id: _read(store, run_id, heads[run_id]), missing)
            found.update(zip(missing, read, strict=True))
    return found


def read_file_of_all(store: Store, etag: str | None) -> tuple[dict[str, Listed], str] | None:
    """The headlines of ``headlines.json`` and its ETag; they are most likely all there are.

    Returns:
        None if its ETag is still ``etag``. If the file is not there, or cannot be read, there are
        no headlines and the ETag is empty.
    """
    try:
        newer = store.read_if_new(_ALL, etag, _MOST_BYTES_OF_ALL)
    except TooLargeError:
        newer = b"", ""
    if newer is None:
        return None
    content, etag = newer
    found = {
        run_id: Listed(version, line.finished, line)
        for run_id, (version, line) in _entries(content).items()
    }
    return found, etag if found else ""


def _run_id_of(key: str) -> str | None:
    name = key.removeprefix(_FOLDER).removesuffix(".json")
    return name if is_run_id(name) else None


def _read_all(store: Store) -> bytes | None:
    try:
        return store.read(_ALL, _MOST_BYTES_OF_ALL)
    except TooLargeError:
        return None


def _entries(content: bytes | None) -> dict[str, _Entry]:
    """What of the file of all can be believed; nothing of it if it is broken."""
    try:
        found = _ENTRIES.validate_json(content or b"{}")
    except ValidationError:
        return {}
    return {
        run_id: entry
        for run_id, entry in found.items()
        if is_run_id(run_id) and entry.headline.run_id == run_id
    }


def _read(store: Store, run_id: str, head: ObjectHead) -> Listed:
    if head.size > _MOST_BYTES:
        return _listed(head, None)
    try:
        headline = Headline.model_validate_json(store.read(head.key) or b"")
    except ValidationError:
        return _listed(head, None)
    return _listed(head, headline if headline.run_id == run_id else None)


def _listed(head: ObjectHead, headline: Headline | None) -> Listed:
    assert head.last_modified is not None  # it was listed
    return Listed(head.version, head.last_modified, headline)
