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
#: For one list so many folders at most are looked into, and the others for the next ones.
_MOST_LOOKS = 64

State = Literal["reported", "no figures", "queued", "running", "failed", "no report", "unfinished"]


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

        A run that failed after its report, or is repeated now, still has that report. ``no
        figures`` is one with a report and no headline that can be read; ``no report`` one that
        Airflow calls a success; ``unfinished`` one that it does not have.
        """
        if self.headline is not None:
            return "reported"
        if self.reported:
            return "no figures"
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

    @property
    def has_pages(self) -> bool:
        """Whether it can have pages: Airflow takes ids that no folder can have."""
        return is_run_id(self.run_id)


def all_runs(store: Store) -> list[Run]:
    """Every run that the bucket or Airflow has, newest first.

    It takes a listing of folders, two questions whether a file is another than before, that of all
    headlines and that of the champion, and a query of Airflow's database; for the first time also a
    listing of the reports' folders.

    Raises:
        StepError: the store failed.
    """
    before = _read_before(store.settings)
    with ThreadPoolExecutor(3) as pool:
        folders = pool.submit(lambda: set(store.folders("runs/")))
        reports = pool.submit(before.reports_now, store)
        champion = pool.submit(before.champion_now, store)
        listed = before.headlines_now(store)
        airflow = known_runs()
    bare = before.with_page.among(store, reports.result() - listed.keys())
    lonely = folders.result() - listed.keys() - airflow.keys() - bare.keys()
    left = before.with_something.among(store, lonely)
    promoter = champion.result()

    def run(run_id: str) -> Run:
        entry, known = listed.get(run_id), airflow.get(run_id)
        headline = entry.headline if entry else None
        when = headline.finished if headline else entry.published if entry else bare.get(run_id)
        started = known.started if known else left.get(run_id)
        return Run(run_id, when or started, headline, when is not None, known, run_id == promoter)

    # Retention has taken what such a run left, and there is nothing more to say of it.
    succeeded = {name for name, known in airflow.items() if known.state == "success"}
    removed = succeeded - folders.result() - listed.keys() - bare.keys()
    names = listed.keys() | airflow.keys() - removed | bare.keys() | left.keys()
    return ordered(map(run, names), "when", descending=True)


@lru_cache(maxsize=1)
def _read_before(_settings: StoreSettings) -> "_ReadBefore":
    return _ReadBefore()


class _ReadBefore:
    """What this process has read of a bucket.

    Attributes:
        with_page: of the runs without a headline, such as those of before there were headlines,
            which have a report.
        with_something: of the runs that have no report and that Airflow does not know, which have
            any object.
    """

    def __init__(self) -> None:
        self.with_page = _Looked("reports/{}/index.html")
        self.with_something = _Looked("runs/{}/")
        self._reports: set[str] | None = None
        self._headlines: Mapping[str, Listed] = {}
        self._etag = ""
        self._checked: float | None = None
        self._checking = threading.Lock()
        self._champion, self._champion_etag = "", ""

    def reports_now(self, store: Store) -> set[str]:
        """The folders of ``reports/``; a report of now has a headline, so they may be of before."""
        if self._reports is None:
            self._reports = set(store.folders("reports/"))
        return self._reports

    def headlines_now(self, store: Store) -> Mapping[str, Listed]:
        """Those of the file of all, if it has changed; each against its object every now and then.

        The check takes a listing of a thousand objects, so a request does not wait for it unless
        nothing else is known: what it finds, which is hardly ever anything, is shown from the next
        one on.
        """
        newer = read_file_of_all(store, self._etag)
        lacking = False
        if newer is not None:
            found, self._etag = newer
            lacking = not self._headlines.keys() <= found.keys()  # removed, or overwritten
            self._headlines = {**self._headlines, **found}
        if self._checked is None:
            with self._checking:
                if self._checked is None and not self._etag:  # there is no file, or it is broken
                    self._headlines = read_headlines(store, self._headlines)
                self._checked = time.monotonic()
        elif lacking:
            self._headlines = read_headlines(store, self._headlines)
        elif time.monotonic() - self._checked > _UNCHECKED_SECONDS:
            threading.Thread(target=self._check, args=(store,), daemon=True).start()
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
        if self._checking.acquire(blocking=False):
            try:
                with suppress(StepError):  # who asks next is told of it
                    before = self._headlines
                    found = read_headlines(store, before)
                    if self._headlines is before:  # else they are newer than this listing
                        self._headlines = found
                    self._reports = set(store.folders("reports/"))
                    self.with_page.look_again()
                    self.with_something.look_again()
                self._checked = time.monotonic()
            finally:
                self._checking.release()


class _Looked:
    """When what lies below a prefix was put there, of many runs; asked for once.

    Some servers keep a folder when its last object is gone, so its name alone tells nothing. Should
    what was found be removed, it counts as there while the process lives.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._found: dict[str, datetime] = {}
        self._empty: set[str] = set()

    def among(self, store: Store, names: set[str]) -> dict[str, datetime]:
        """Those of the runs that have something there."""

        def first(name: str) -> datetime | None:
            heads = store.list(self._prefix.format(name))
            return next((head.last_modified for head in heads), None)

        unseen = sorted(filter(is_run_id, names - self._found.keys() - self._empty))[:_MOST_LOOKS]
        if unseen:
            with ThreadPoolExecutor(8) as pool:
                for name, when in zip(unseen, pool.map(first, unseen), strict=True):
                    if when is None:
                        self._empty.add(name)
                    else:
                        self._found[name] = when
        return {name: self._found[name] for name in names & self._found.keys()}

    def look_again(self) -> None:
        """Where there was nothing there may be something by now."""
        self._empty.clear()


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
