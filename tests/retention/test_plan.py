"""The rules, on fabricated buckets: what is referred to stays, what is old and is not goes."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.contract.champion import Champion, Champions, Data
from tasks.contract.config import RetentionOptions
from tasks.contract.manifest import FileReference, Manifest, digest_of
from tasks.contract.store import ObjectHead, Upload
from tasks.retention.inventory import Address, Inventory
from tasks.retention.plan import (
    Ages,
    Removal,
    checkpoints_to_remove,
    kept_runs,
    results_to_remove,
    runs_to_remove,
    uploads_to_remove,
)
from tasks.retention.references import References

NOW = datetime(2026, 12, 1, tzinfo=UTC)


def head(key: str, days: float) -> ObjectHead:
    """An object that was put so many days ago."""
    return ObjectHead(key, 10, f"etag of {key}", last_modified=NOW - timedelta(days=days))


def manifest(step: str, name: str, publication: int = 0, **inputs: str) -> Manifest:
    fingerprint = digest_of({"name": name})
    keys = [f"artifacts/{step}/{fingerprint}/d{n}-{publication}/{n}.bin" for n in range(2)]
    return Manifest(
        step=step,
        fingerprint=fingerprint,
        options={},
        inputs=inputs,
        files={key[-5:]: FileReference(key=key, size=10, sha256=key, etag=key) for key in keys},
        created=NOW,
    )


@dataclass
class Bucket:
    """A fabricated bucket, planned for as ``retain`` does."""

    heads: list[ObjectHead] = field(default_factory=list)
    published: dict[str, Manifest] = field(default_factory=dict)
    records: dict[str, list[Manifest]] = field(default_factory=dict)
    champions: list[Champion] = field(default_factory=list)
    active: set[str] = field(default_factory=set)
    uploads: list[Upload] = field(default_factory=list)

    def publish(self, made: Manifest, days: float) -> Manifest:
        """Put a result, or one in the place of an earlier publication of the same result."""
        self.heads = [one for one in self.heads if one.key != made.key]
        self.heads += [head(file.key, days) for file in made.files.values()]
        self.heads.append(head(made.key, days))
        self.published[made.key] = made
        return made

    def run(self, run_id: str, days: float, results: Sequence[Manifest], report: bool) -> None:
        self.records[run_id] = list(results)
        self.heads += [head(f"runs/{run_id}/{n}.json", days) for n, _ in enumerate(results)]
        if report:
            names = ("index.html", "a.png")
            self.heads += [head(f"reports/{run_id}/{name}", days) for name in names]
            self.heads.append(head(f"headlines/{run_id}.json", days))

    def crown(self, training: Manifest, prepared: Manifest, run_id: str) -> None:
        photos = next(iter(prepared.files.values()))
        data = Data(photos=photos, archive_sha256="", prepared=NOW)
        crowned = Champion(run_id=run_id, promoted=NOW, reason="", training=training, data=data)
        self.champions.insert(0, crowned)

    def plan(self, options: RetentionOptions) -> tuple[dict[str, str], list[Removal]]:
        inventory, ages = Inventory.sorted(self.heads, self.uploads), Ages(options, NOW)
        champion = self.champions[0].run_id if self.champions else None
        kept = kept_runs(inventory, ages, self.active, champion)
        records = [made for run_id in kept for made in self.records.get(run_id, [])]
        references = References.of(records, Champions(champions=self.champions))
        keys = {one.key for one in self.heads}
        manifests = {
            Address(made.step, made.fingerprint): made
            for key, made in self.published.items()
            if key in keys
        }
        return kept, [
            *runs_to_remove(inventory, ages, kept),
            *results_to_remove(inventory, ages, references, manifests),
            *checkpoints_to_remove(inventory, ages, self.active),
            *uploads_to_remove(inventory, ages),
        ]

    def without(self, removals: Sequence[Removal]) -> "Bucket":
        gone = {one.key for removal in removals for one in removal.all_objects}
        uploads = {removal.upload for removal in removals}
        return Bucket(
            [one for one in self.heads if one.key not in gone],
            self.published,
            self.records,
            self.champions,
            self.active,
            [one for one in self.uploads if one not in uploads],
        )


DAYS = st.integers(0, 60)


@st.composite
def buckets(draw: st.DrawFn) -> Bucket:
    """Runs over a few archives, some computed again, some killed, with champions among them."""
    bucket = Bucket()
    prepared = [
        bucket.publish(manifest("preprocess", f"data {n}"), draw(DAYS))
        for n in range(draw(st.integers(1, 3)))
    ]
    for number, made in enumerate(prepared):
        if draw(st.booleans()):
            bucket.publish(manifest("features", f"of {number}", data=made.digest), draw(DAYS))
    trainings = [
        bucket.publish(manifest("train_transfer", f"training {n}"), draw(DAYS))
        for n in range(draw(st.integers(1, 4)))
    ]
    for number in range(draw(st.integers(0, 8))):
        data, training = draw(st.sampled_from(prepared)), draw(st.sampled_from(trainings))
        run_id = f"run-{number}"
        bucket.run(run_id, draw(DAYS), [data, training], report=draw(st.booleans()))
        if draw(st.integers(0, 3)) == 0:
            bucket.active.add(run_id)
        if draw(st.integers(0, 2)) == 0:
            bucket.crown(training, data, run_id)
    for number, made in enumerate(trainings):
        again = draw(st.integers(0, 3))
        if again == 0:  # with force: the run's record names the earlier files
            bucket.publish(manifest("train_transfer", f"training {number}", 1), draw(DAYS))
        elif again == 1:  # killed before its manifest
            key = f"artifacts/train_transfer/{made.fingerprint}/d-9/half.bin"
            bucket.heads.append(head(key, draw(DAYS)))
        if draw(st.booleans()):
            key = f"checkpoints/train_scratch/{made.fingerprint}/a.npz"
            bucket.heads.append(head(key, draw(DAYS)))
    lost = f"artifacts/fetch/{'0' * 64}/d-1/lost.bin"
    bucket.heads.append(head(lost, draw(DAYS)))
    begun = NOW - timedelta(days=draw(DAYS))
    bucket.uploads.append(Upload("artifacts/fetch/x/d-1/part.bin", "id", begun))
    return bucket


OPTIONS = st.builds(
    RetentionOptions,
    keep_reports=st.integers(0, 5),
    keep_days=st.integers(0, 60),
    checkpoint_days=st.integers(1, 60),
    grace_days=st.integers(1, 20),
)


@given(buckets(), OPTIONS)
def test_nothing_that_is_referred_to_or_young_is_ever_removed(
    bucket: Bucket, options: RetentionOptions
) -> None:
    kept, removals = bucket.plan(options)
    gone = {one.key: one for removal in removals for one in removal.all_objects}
    assert sum(len(removal.all_objects) for removal in removals) == len(gone), "named twice"
    for one in gone.values():
        assert one.last_modified is not None
        assert NOW - one.last_modified > timedelta(days=options.grace_days)
    for run_id in {*kept, *(bucket.active & bucket.records.keys())}:
        for made in bucket.records[run_id]:
            assert not {made.key, *(file.key for file in made.files.values())} & gone.keys()
        assert not [key for key in gone if f"/{run_id}/" in key or f"/{run_id}.json" in key]
    for champion in bucket.champions:
        files = {file.key for file in champion.training.files.values()}
        assert not {champion.training.key, champion.data.photos.key, *files} & gone.keys()
    if bucket.champions:
        assert bucket.champions[0].run_id in kept


@given(buckets(), OPTIONS)
def test_a_second_removal_finds_nothing_more(bucket: Bucket, options: RetentionOptions) -> None:
    kept, removals = bucket.plan(options)
    after = bucket.without(removals)
    assert after.plan(options) == (kept, [])


@given(buckets(), OPTIONS)
def test_all_that_is_old_and_not_referred_to_goes(
    bucket: Bucket, options: RetentionOptions
) -> None:
    kept, removals = bucket.plan(options)
    left = bucket.without(removals)
    reports = {run_id for run_id in kept if "newest" in kept[run_id]}
    assert len(reports) <= options.keep_reports
    needed = {one.training.key: one.training for one in bucket.champions}
    records = [made for run_id in kept for made in bucket.records[run_id]]
    needed |= {made.key: made for made in records}
    files = {file.key for made in [*needed.values(), *records] for file in made.files.values()}
    files |= {file.key for c in bucket.champions for file in c.training.files.values()}
    files |= {champion.data.photos.key for champion in bucket.champions}
    digests = {made.digest for made in needed.values()}
    for one in left.heads:
        assert one.last_modified is not None
        if NOW - one.last_modified <= timedelta(days=options.grace_days):
            continue
        folder, step, *rest = one.key.split("/")
        if folder in ("runs", "reports", "headlines"):
            assert step.removesuffix(".json") in kept
            continue
        if folder == "checkpoints":
            continue  # of its own test
        key = f"artifacts/{step}/{rest[0]}/manifest.json"
        here = left.published.get(key)
        named = here is not None and one.key in {key, *(f.key for f in here.files.values())}
        is_part = step == "features" and here is not None and {*here.inputs.values()} <= digests
        fresh = [
            other
            for other in left.heads
            if other.key.startswith(key.removesuffix("manifest.json"))
            and other.last_modified is not None
            and NOW - other.last_modified <= timedelta(days=options.grace_days)
        ]
        assert one.key in files or (named and (key in needed or is_part or fresh)), one.key


def options(**changes: float) -> RetentionOptions:
    return RetentionOptions(**{"keep_reports": 2, "keep_days": 30} | changes)  # type: ignore[arg-type]


def runs_of(removals: Sequence[Removal]) -> list[str]:
    return [removal.name for removal in removals if removal.kind == "run"]


def test_a_report_goes_if_it_is_beyond_both_the_count_and_the_age() -> None:
    bucket = Bucket()
    for days in (50, 40, 35, 20, 10):
        bucket.run(f"run-{days}", days, [], report=True)
    assert runs_of(bucket.plan(options())[1]) == ["run-50", "run-40", "run-35"]
    assert runs_of(bucket.plan(options(keep_reports=4))[1]) == ["run-50"]
    assert runs_of(bucket.plan(options(keep_reports=0, keep_days=0))[1]) == [
        f"run-{days}" for days in (50, 40, 35, 20, 10)
    ]
    assert bucket.plan(options(keep_reports=0, keep_days=0, grace_days=60))[1] == []


def test_a_run_without_a_report_takes_no_report_s_place() -> None:
    bucket = Bucket()
    made = manifest("fetch", "a")
    for days in (50, 40, 35):
        bucket.run(f"run-{days}", days, [made], report=days != 40)
    kept, removals = bucket.plan(options())
    assert runs_of(removals) == ["run-40"]
    assert set(kept.values()) == {"of the newest 2 reports"}


def test_a_run_that_airflow_is_at_keeps_its_results_however_old_they_are() -> None:
    bucket = Bucket(active={"run-1"})
    made = bucket.publish(manifest("fetch", "a"), 100)
    bucket.run("run-1", 100, [made], report=False)
    assert bucket.plan(options()) == ({"run-1": "at work"}, [])
    bucket.active.clear()
    kept, removals = bucket.plan(options())
    assert (kept, [removal.kind for removal in removals]) == ({}, ["run", "artifact"])
    assert removals[1].why == "no kept run refers to it, last used 100 days ago"


def test_an_earlier_champion_keeps_its_weights_and_photos_but_not_its_run() -> None:
    bucket = Bucket()
    for name in ("a", "b"):
        data = bucket.publish(manifest("preprocess", f"data {name}"), 100)
        training = bucket.publish(manifest("train_transfer", name), 100)
        bucket.run(f"run-{name}", 100, [data, training], report=True)
        bucket.crown(training, data, f"run-{name}")
    kept, removals = bucket.plan(options(keep_reports=0))
    assert kept == {"run-b": "the champion's"}
    assert [(removal.kind, removal.name[:15]) for removal in removals] == [
        ("run", "run-a"),
        ("artifact", "preprocess/" + digest_of({"name": "data a"})[:4]),
    ]
    assert len(removals[1].all_objects) == 2, "the manifest and one of two files: not the photos"


def test_features_stay_while_the_photos_do() -> None:
    bucket = Bucket()
    data = bucket.publish(manifest("preprocess", "data"), 100)
    bucket.publish(manifest("features", "view 0", preprocess=data.digest), 100)
    bucket.publish(manifest("features", "other", preprocess="another"), 100)
    bucket.run("run-1", 100, [data], report=True)
    _, removals = bucket.plan(options())
    assert [removal.name[:8] for removal in removals] == ["features"]
    assert removals[0].name == f"features/{digest_of({'name': 'other'})[:12]}"


@pytest.mark.parametrize("days", [3, 100])
def test_a_step_that_is_writing_files_in_the_place_of_an_old_result_keeps_both(days: int) -> None:
    bucket = Bucket()
    old = bucket.publish(manifest("fetch", "a"), 100)
    bucket.heads.append(head(f"artifacts/fetch/{old.fingerprint}/d-2/new.bin", days))
    _, removals = bucket.plan(options())
    assert [len(removal.all_objects) for removal in removals] == ([] if days == 3 else [4])


@pytest.mark.parametrize(("begun", "stays"), [(60, True), (20, False)])
def test_a_run_at_work_may_go_on_with_an_old_checkpoint_that_it_saved(
    begun: int, stays: bool
) -> None:
    bucket = Bucket([head("checkpoints/train_scratch/f/a.npz", 50)], active={"run-1"})
    bucket.run("run-1", begun, [manifest("fetch", "a")], report=False)
    removals = bucket.plan(options(checkpoint_days=45))[1]
    assert [removal.kind for removal in removals] == ([] if stays else ["checkpoint"])
    assert bucket.plan(options(checkpoint_days=55))[1] == []


def test_only_what_this_program_made_is_sorted_into_an_inventory() -> None:
    keys = ["datasets/a.zip", "weights/a.h5", "champion.json", "runs/x.json", "runs/ /a.json"]
    keys += ["artifacts/README", "something/else/is/here", "headlines.json", "headlines/a/b.json"]
    inventory = Inventory.sorted(head(key, 1000) for key in keys)
    assert inventory == Inventory({}, {}, {}, [])
