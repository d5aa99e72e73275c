"""All runs there are, as the list shows them: those with a report, and those without one (yet)."""

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, Literal, get_args

from tasks.contract.champion import champions_if_new
from tasks.contract.errors import InputError, StepError
from tasks.contract.headline import Headline, Listed, read_file_of_all, read_headlines
from tasks.contract.manifest import is_run_id
from tasks.contract.store import Store, StoreSettings
from wildlife.pages.airflow_runs import KnownRun, known_runs

#: Now and then the headlines are compared with the objects they stand for.
_UNCHECKED_SECONDS = 30.0

State = Literal["reported", "unreadable", "queued", "running", "failed", "no report", "unfinished"]


@dataclass(frozen=True)
class Run:
    """One run.

    Attributes:
        when: its report was put in place, or else it was started; None if nobody knows.
        headline: of its report, if there is one and it can be read.
        known: what Airflow has of it; None if Airflow has forgotten it or never had it.
        champion: whether it promoted the network that is the champion now.
    """

    run_id: str
    when: datetime | None
    headline: Headline | None
    reported: bool
    known: KnownRun | None
    champion: bool

    @property
    def state(self) -> State:
        """What the run is.

        A run that failed after its report, or is repeated now, still has that report. ``no report``
        is one that Airflow calls a success; ``unfinished`` one that it does not have.
        """
        if self.headline is not None:
            return "reported"
        if self.reported:
            return "unreadable"
        if self.known is None:
            return "unfinished"
        state = self.known.state
        if state in ("queued", "running", "failed"):
            return state  # type: ignore[return-value]
        return "no report"

    @property
    def at_work(self) -> bool:
        """Whether Airflow is at it now; a run that is repeated may have a report meanwhile."""
        return self.known is not None and self.known.state in ("queued", "running")


def all_runs(store: Store) -> list[Run]:
    """Every run that the bucket or Airflow has, newest first.

    It takes a listing of folders, two questions whether a file is another than before, that of all
    headlines and that of the champion, and a query of Airflow's database.

    Raises:
        StepError: the store failed.
    """
    before = _read_before(store.settings)
    with ThreadPoolExecutor(2) as pool:
        folders = pool.submit(lambda: list(store.folders("runs/")))
        champion = pool.submit(before.champion_now, store)
        listed = before.headlines_now(store)
        airflow = known_runs()
        names = set(folders.result())
    lonely = names - listed.keys() - airflow.keys()
    _leave_empty_ones_out(store, lonely, before.left_something)
    # Retention has taken what such a run left, and there is nothing more to say of it.
    removed = {name for name, run in airflow.items() if run.state == "success"} - names
    runs = [
        _run(name, listed, airflow, champion.result())
        for name in (lonely & before.left_something) | listed.keys() | airflow.keys() - removed
    ]
    return ordered(runs, "when", descending=True)


@lru_cache(maxsize=1)
def _read_before(_settings: StoreSettings) -> "_ReadBefore":
    return _ReadBefore()


class _ReadBefore:
    """What this process has read of a bucket.

    Attributes:
        left_something: runs without a report, unknown to Airflow, that have objects all the same;
            should those be removed, such a run stays listed while the process lives.
    """

    def __init__(self) -> None:
        self.left_something: set[str] = set()
        self._headlines: Mapping[str, Listed] = {}
        self._etag = ""
        self._checked = time.monotonic()
        self._checking = threading.Lock()
        self._champion, self._champion_etag = "", ""

    def headlines_now(self, store: Store) -> Mapping[str, Listed]:
        """Those of the file of all, if it has changed; each against its object every now and then.

        The check takes a listing of a thousand objects, so the request does not wait for it: what
        it finds, which is hardly ever anything, is shown from the next one on.
        """
        newer = read_file_of_all(store, self._etag)
        lacking = False
        if newer is not None:
            found, self._etag = newer
            lacking = not self._headlines.keys() <= found.keys()  # removed, or overwritten
            self._headlines = {**self._headlines, **found}
        if lacking or (newer is not None and not self._etag):  # no such file, or it is broken
            self._check(store)
        elif time.monotonic() - self._checked > _UNCHECKED_SECONDS:
            threading.Thread(target=self._check_aside, args=(store,), daemon=True).start()
        return self._headlines

    def champion_now(self, store: Store) -> str:
        """The run that promoted the champion; empty if there is none, or nobody can read who."""
        try:
            newer = champions_if_new(store, self._champion_etag)
        except InputError:
            return ""
        if newer is not None:
            champions, self._champion_etag = newer
            self._champion = champions.current.run_id if champions.current else ""
        return self._champion

    def _check(self, store: Store) -> None:
        self._headlines = read_headlines(store, self._headlines)
        self._checked = time.monotonic()

    def _check_aside(self, store: Store) -> None:
        if self._checking.acquire(blocking=False):
            try:
                with suppress(StepError):  # who asks next is told of it
                    self._check(store)
            finally:
                self._checking.release()


def _leave_empty_ones_out(store: Store, names: set[str], left_something: set[str]) -> None:
    """Look into folders that nobody knows: some servers keep one when its last object is gone."""
    unseen = [name for name in names - left_something if is_run_id(name)]
    if unseen:
        with ThreadPoolExecutor(8) as pool:
            filled = pool.map(lambda name: any(store.list(f"runs/{name}/")), unseen)
            left_something.update(name for name, full in zip(unseen, filled, strict=True) if full)


def _run(
    run_id: str, listed: Mapping[str, Listed], airflow: Mapping[str, KnownRun], champion: str
) -> Run:
    entry, known = listed.get(run_id), airflow.get(run_id)
    headline = entry.headline if entry else None
    if headline is not None:
        when: datetime | None = headline.finished
    elif entry is not None:
        when = entry.published
    else:
        when = known.started if known else None
    return Run(run_id, when, headline, entry is not None, known, run_id == champion)


Column = Literal[
    "when", "run", "archive", "photos", "scratch", "transfer", "difference", "weights", "result"
]
COLUMNS: tuple[Column, ...] = get_args(Column)

#: What a row is sorted by; None for a row that has nothing to be sorted by.
_KEYS: dict[Column, Callable[[Run], Any]] = {
    "when": lambda run: run.when,
    "run": lambda run: run.run_id.casefold(),
    "archive": lambda run: run.headline and (run.headline.archive, run.headline.title),
    "photos": lambda run: run.headline and (run.headline.photos, run.headline.test_photos),
    "scratch": lambda run: run.headline and (run.headline.scratch_accuracy,),
    "transfer": lambda run: run.headline and (run.headline.transfer_accuracy,),
    "difference": lambda run: run.headline and (run.headline.difference,),
    "weights": lambda run: run.headline and run.headline.weights.casefold(),
    "result": lambda run: (run.state, run.headline is not None and run.headline.cached),
}


def ordered(runs: Iterable[Run], column: Column, *, descending: bool) -> list[Run]:
    """The runs by one column, those without such a value last; equal ones stay as they were."""
    key = _KEYS[column]
    runs = list(runs)
    with_value = [run for run in runs if key(run) is not None]
    without = [run for run in runs if key(run) is None]
    return sorted(with_value, key=key, reverse=descending) + without
