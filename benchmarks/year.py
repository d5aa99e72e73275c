"""A simulated year: 52 weekly ticks over an archive that changes 20 times, with retention.

Real are the store, all steps and the networks (EfficientNet-B0, at 32 pixels and for one epoch);
simulated is the calendar alone: after each tick the clock of retention is a week on, and the store
tells of an object the simulated time at which it was put.
"""

import dataclasses
import io
import logging
import time
import zipfile
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

import numpy as np
from PIL import Image

from benchmarks.figures import Figure, Target
from tasks.contract.cache import Cache
from tasks.contract.champion import read_champions
from tasks.contract.config import Config, RetentionOptions
from tasks.contract.headline import read_headlines
from tasks.contract.manifest import Manifest, report_prefix
from tasks.contract.step import Artifact, missing_file, read_record, run_step
from tasks.contract.store import ObjectHead, Store
from tasks.registry import STEP_NAMES, step_named
from tasks.retention import retain
from tasks.retention.inventory import Inventory

WEEKS, CHANGES = 52, 20
_ARCHIVE = "datasets/year.zip"
_BEGAN = datetime(2026, 1, 5, 3, tzinfo=UTC)
_WEEK = timedelta(weeks=1)
_SPECIES = ("bear", "elk", "fox")
_NEW_SPECIES = "owl"
_PHOTOS = 24
_OPTIONS = Config(
    archive=_ARCHIVE,
    image_size=32,
    recipe="lab",
    scratch_epochs=1,
    transfer_epochs=2,
    batch_size=16,
    weights="lite0",
)
_RETENTION = RetentionOptions(keep_reports=12, keep_days=56, checkpoint_days=14, grace_days=7)


def figures(store: Store, folder: Path) -> Iterator[Figure]:
    """What a year comes to; a line for each week on the way."""
    logging.getLogger("tasks").setLevel(logging.WARNING)
    year = _Year(Calendar(store), Cache(folder / "cache"))
    changed = _weeks_of_changes()
    for week in range(WEEKS):
        year.live(week, changed=week == 0 or week in changed)
    yield from year.figures()


class Calendar(Store):
    """The store in simulated time: weeks begin when the simulation says so."""

    def __init__(self, real: Store) -> None:
        super().__init__(real.settings)
        self._weeks: list[datetime] = []

    def begin_week(self) -> None:
        time.sleep(1.0)  # the store tells whole seconds
        self._weeks.append(datetime.now(UTC).replace(microsecond=0))

    @property
    def now(self) -> datetime:
        return self._simulated(datetime.now(UTC))

    def list(self, prefix: str) -> Iterator[ObjectHead]:
        for head in super().list(prefix):
            assert head.last_modified is not None
            yield dataclasses.replace(head, last_modified=self._simulated(head.last_modified))

    def _simulated(self, moment: datetime) -> datetime:
        week = max(0, bisect_right(self._weeks, moment) - 1)
        return _BEGAN + week * _WEEK + (moment - self._weeks[week])


class _Year:
    def __init__(self, store: Calendar, cache: Cache) -> None:
        self._store = store
        self._cache = cache
        self._archive = _Archive()
        self._hits: Counter[str] = Counter()
        self._computed: Counter[str] = Counter()
        self._quiet: list[float] = []  # seconds of ticks over unchanged photos
        self._busy: list[float] = []
        self._promotions = 0
        self._removed: Counter[str] = Counter()
        self._bytes_removed = 0
        self._before: list[int] = []
        self._after: list[int] = []

    def live(self, week: int, *, changed: bool) -> None:
        """One tick of the schedule, and the weekly retention after it."""
        store = self._store
        store.begin_week()
        if changed:
            store.write(_ARCHIVE, self._archive.changed(week), "application/zip")
        run_id = f"scheduled__{store.now:%Y-%m-%dT%H-%M-%S}"
        began, cached = time.monotonic(), []
        for name in STEP_NAMES:
            record = run_step(step_named(name), _OPTIONS, run_id, store, self._cache)
            (self._hits if record.cached else self._computed)[name] += 1
            cached.append(record.cached)
            if name == "promote":
                self._promotions += bool(record.manifest.facts["promoted"]) and not record.cached
        seconds = time.monotonic() - began
        (self._busy if changed else self._quiet).append(seconds)
        done = retain(store, _RETENTION, lambda: (), dry_run=False, moment=store.now)
        self._before.append(done.before)
        self._after.append(done.before - done.size)
        self._bytes_removed += done.size
        self._removed += Counter(removal.kind for removal in done.removed)
        print(
            f"week {week + 1:2} {'changed ' if changed else 'the same'} "
            f"{sum(cached)}/{len(cached)} hits {seconds:5.1f} s, kept {len(done.kept):2} runs, "
            f"{done.before / 1e6:6.1f} -> {(done.before - done.size) / 1e6:6.1f} MB",
            flush=True,
        )

    def figures(self) -> Iterator[Figure]:
        def told(name: str, value: float, target: Target | None = None) -> Figure:
            return Figure(name, None, value, None, target)

        yield told("weekly ticks", WEEKS)
        yield told("changes of the archive", len(self._busy) - 1)
        for name in STEP_NAMES:
            yield told(f"{name}: cache hits", self._hits[name])
        yield told("a tick over unchanged photos, s, median", median(self._quiet))
        yield told("the longest of them, s", max(self._quiet))
        yield told("a tick over changed photos, s, median", median(self._busy))
        yield told("promotions", self._promotions)
        champions, _ = read_champions(self._store)
        can = [c for c in champions.champions if missing_file(self._store, c.training) is None]
        yield told("champions in the history", len(champions.champions))
        yield told(
            "of them with all their files", len(can), Target("ours", ">=", len(champions.champions))
        )
        kinds = ", ".join(f"{count} {kind}s" for kind, count in sorted(self._removed.items()))
        yield told(f"removed ({kinds}), MB", self._bytes_removed / 1e6)
        yield told("MB without retention", (self._after[-1] + self._bytes_removed) / 1e6)
        yield told("MB at most, before a retention", max(self._before) / 1e6)
        yield told("MB at the end", self._after[-1] / 1e6)
        kept = self._require_whole_reports()
        yield told("reports that are kept, each with all its files", kept)
        champion = champions.current
        assert champion is not None
        yield told("the champion's answers to photos", self._asked(champion.training))

    def _require_whole_reports(self) -> int:
        """How many reports there are; each opens, and all that its records name is there."""
        store = self._store
        inventory = Inventory.of(store)
        for run_id in read_headlines(store, {}):
            for name in STEP_NAMES:
                missing = missing_file(store, read_record(store, run_id, name).manifest)
                if missing is not None:
                    raise SystemExit(f"{missing} of {name} in {run_id} is gone")
            report = read_record(store, run_id, "compare").manifest.files
            there = {head.key for head in inventory.runs[run_id].below("reports/")}
            if there != {report_prefix(run_id) + name for name in report}:
                raise SystemExit(f"the report of {run_id} is not whole")
        if inventory.runs.keys() != read_headlines(store, {}).keys():
            raise SystemExit("runs are left without a report")
        return len(inventory.runs)

    def _asked(self, training: Manifest) -> int:
        """Of how many photos of each class the champion names a class."""
        from tasks.train.saved import trained_network

        network = trained_network(Artifact(training, self._store, self._cache))
        photos = np.stack([_pixels(species, 10_000) for species in _SPECIES])
        answers = network.predict_on_batch(photos)
        if answers.shape != (len(photos), len(training.facts["classes"])):
            raise SystemExit(f"the champion answers {answers.shape}")
        return len(answers)


class _Archive:
    """Photos that come and go: at each change each class gains some and loses some."""

    def __init__(self) -> None:
        self._photos = {species: list(range(_PHOTOS)) for species in _SPECIES}
        self._made = _PHOTOS

    def changed(self, week: int) -> bytes:
        """The zip of the week, after the week's change."""
        if week:
            if week >= WEEKS // 2 and _NEW_SPECIES not in self._photos:
                self._photos[_NEW_SPECIES] = list(range(_PHOTOS))
            for numbers in self._photos.values():
                del numbers[:2]
                numbers += range(self._made, self._made + 4)
            self._made += 4
        return _zipped(self._photos)


def _zipped(photos: Mapping[str, list[int]]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for species, numbers in photos.items():
            for number in numbers:
                content = io.BytesIO()
                Image.fromarray(_pixels(species, number)).save(content, "PNG")
                archive.writestr(f"year/{species}/{number:04}.png", content.getvalue())
    return buffer.getvalue()


def _pixels(species: str, number: int) -> np.ndarray:
    """A photo of 32 pixels: coarse patches, of whose colours some depend on the species."""
    kind = sorted((*_SPECIES, _NEW_SPECIES)).index(species)
    random = np.random.default_rng((kind, number))
    tint = np.random.default_rng(kind).uniform(-45, 45, 3)
    cells = (random.uniform(40, 215, (8, 8, 3)) + tint).clip(0, 255).astype(np.uint8)
    return np.asarray(Image.fromarray(cells).resize((32, 32), Image.Resampling.BICUBIC))


def _weeks_of_changes() -> set[int]:
    """The same 20 weeks each time; the first week, which brings the archive, is none of them."""
    drawn = np.random.default_rng(20).choice(np.arange(1, WEEKS), CHANGES, replace=False)
    return set(map(int, drawn))
