"""Retention in the real store: what goes goes whole, what is in use stays whole."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest

from tasks.compare.publish import publish_report
from tasks.contract.cache import Cache
from tasks.contract.champion import Champion, Data, read_champions, write_champions
from tasks.contract.config import Config, FetchOptions, RetentionOptions
from tasks.contract.errors import ConfigurationError
from tasks.contract.headline import read_file_of_all, read_headlines
from tasks.contract.manifest import Manifest, now, record_key
from tasks.contract.photos import PHOTOS_FILE
from tasks.contract.step import (
    Facts,
    Job,
    Step,
    find_manifest,
    missing_file,
    read_record,
    run_step,
)
from tasks.contract.store import Store
from tasks.retention import Retained, retain
from tasks.retention.inventory import Inventory
from tasks.retention.plan import Ages, results_to_remove
from tasks.retention.references import References, read_manifests
from tasks.retention.removal import remove
from tests.plugins.pages.published import FACTS

ROOT = Path(__file__).resolve().parents[2]
STEPS = ("fetch", "preprocess", "train_scratch", "train_transfer", "compare")
#: Nothing is kept but what is at work, or the champion's.
NOTHING = RetentionOptions(keep_reports=0, keep_days=0, grace_days=1)
LATER = timedelta(days=100)


def retained(
    store: Store,
    options: RetentionOptions = NOTHING,
    active: Collection[str] | Callable[[], Collection[str]] = (),
    *,
    dry_run: bool = False,
) -> Retained:
    """Retention in a hundred days."""
    asked = active if callable(active) else lambda: active
    return retain(store, options, asked, dry_run=dry_run, moment=now() + LATER)


def step_of(name: str, run_id: str) -> Step:
    """A step that leaves little, of this run alone, in the way that the real ones do."""

    def run(job: Job) -> Facts:
        names = ("a.png", "index.html", "summary.json") if name == "compare" else ("a", "b")
        for file in (*names, PHOTOS_FILE) if name == "preprocess" else names:
            (job.output / file).write_text(f"{file} of {name} of {run_id}")
        return FACTS if name == "compare" else {"of": run_id}

    return Step(
        name,
        ("tasks.contract.errors",),
        FetchOptions,
        run,
        STEPS[: STEPS.index(name)],
        external=lambda _store, _options: {"run": run_id},
        after=publish_report if name == "compare" else lambda _store, _run_id, _manifest: None,
    )


def made(store: Store, cache: Cache, *runs: str) -> None:
    """Runs with their reports, each with results of its own."""
    for run_id in runs:
        for name in STEPS:
            run_step(step_of(name, run_id), Config(), run_id, store, cache)


def keys(store: Store) -> dict[str, tuple[str, Any]]:
    return {head.key: (head.version, head.last_modified) for head in store.list("")}


def crown(store: Store, run_id: str) -> None:
    prepared = read_record(store, run_id, "preprocess").manifest
    training = read_record(store, run_id, "train_transfer").manifest
    data = Data(photos=prepared.files[PHOTOS_FILE], archive_sha256="", prepared=now())
    champion = Champion(run_id=run_id, promoted=now(), reason="", training=training, data=data)
    champions, etag = read_champions(store)
    assert write_champions(store, champions.promoting(champion), etag)


def require_whole(store: Store, run_id: str) -> None:
    """A run whose records' files, report and headline are all there."""
    for step in STEPS:
        assert missing_file(store, read_record(store, run_id, step).manifest) is None, step
    report = read_record(store, run_id, "compare").manifest.files
    assert {f"reports/{run_id}/{name}" for name in report} <= keys(store).keys()
    assert run_id in read_headlines(store, {})


def all_listed(store: Store) -> Collection[str]:
    found = read_file_of_all(store, None)
    assert found is not None
    return found[0].keys()


def test_a_run_goes_whole_and_its_neighbours_and_the_data_stay_whole(
    store: Store, cache: Cache
) -> None:
    store.write("datasets/a.zip", b"photos")
    store.write("weights/w.h5", b"weights")
    made(store, cache, "run-1", "run-2", "run-3")
    crown(store, "run-1")
    options = RetentionOptions(keep_reports=1, keep_days=0)
    done = retained(store, options)
    assert done.kept == {"run-1": "the champion's", "run-3": "of the newest 1 reports"}
    assert [removal.name for removal in done.removed if removal.kind == "run"] == ["run-2"]
    left = keys(store)
    assert not [key for key in left if "run-2" in key]
    assert {"datasets/a.zip", "weights/w.h5", "champion.json"} <= left.keys()
    assert "run-2" not in store.folders("runs/")
    assert all_listed(store) == {"run-1", "run-3"}
    for run_id in ("run-1", "run-3"):
        require_whole(store, run_id)
    artifacts = {key.split("/")[2] for key in left if key.startswith("artifacts/")}
    named = {
        read_record(store, run_id, step).manifest.fingerprint
        for run_id in ("run-1", "run-3")
        for step in STEPS
    }
    assert artifacts == named
    assert retained(store, options).removed == []


def test_a_dry_run_tells_the_same_and_changes_nothing(store: Store, cache: Cache) -> None:
    made(store, cache, "run-1", "run-2")
    before = keys(store)
    told = retained(store, dry_run=True)
    assert keys(store) == before
    done = retained(store)
    assert [(one.kind, one.name, one.size) for one in told.removed] == [
        (one.kind, one.name, one.size) for one in done.removed
    ]
    assert not list(store.list("artifacts/"))
    assert done.before == done.size > 0


def test_what_is_young_stays_whatever_the_options_say(store: Store, cache: Cache) -> None:
    made(store, cache, "run-1")
    before = keys(store)
    assert retain(store, NOTHING, lambda: (), dry_run=False).removed == []
    assert keys(store) == before


def test_a_run_that_came_to_life_meanwhile_stays_with_all_it_needs(
    store: Store, cache: Cache
) -> None:
    made(store, cache, "run-1", "run-2")
    answers: list[Sequence[str]] = [[], ["run-1"]]  # cleared between the two questions
    done = retained(store, active=lambda: answers.pop(0) if len(answers) > 1 else answers[0])
    assert done.kept == {"run-1": "at work again"}
    require_whole(store, "run-1")
    assert not [key for key in keys(store) if "run-2" in key]


def test_a_run_that_changes_after_the_listing_stays(
    store: Store, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(store, cache, "run-1")
    listed = Inventory.of

    def then_changed(store: Store) -> Inventory:
        inventory = listed(store)
        store.write("runs/run-1/train_scratch.progress.json", b"{}")
        return inventory

    monkeypatch.setattr(Inventory, "of", then_changed)
    assert retained(store).kept == {"run-1": "at work again"}
    require_whole(store, "run-1")


def test_what_a_record_refers_to_that_cannot_be_read_stays(
    store: Store, cache: Cache, caplog: pytest.LogCaptureFixture
) -> None:
    made(store, cache, "run-1", "run-2")
    store.write(record_key("run-1", "fetch"), b'{"manifest": {"of": "a later version"}}')
    store.write("runs/run-1/notes.json", b'{"no": "record"}')
    done = retained(store, active=["run-1"])
    assert {removal.kind for removal in done.removed} == {"run"}
    assert "s3://wildlife/runs/run-1/fetch.json: run the step again" in caplog.text
    store.delete(record_key("run-1", "fetch"))
    assert {removal.kind for removal in retained(store, active=["run-1"]).removed} == {"artifact"}


def test_an_interrupted_upload_is_dropped_with_its_parts(store: Store) -> None:
    begun = [
        store._client.create_multipart_upload(Bucket=store.bucket, Key=key)
        for key in ("artifacts/fetch/f/d-1/archive", "datasets/large.zip")
    ]
    assert retain(store, NOTHING, lambda: (), dry_run=False).removed == []
    assert [one.kind for one in retained(store).removed] == ["upload"]
    assert [one.key for one in store.unfinished_uploads("")] == ["datasets/large.zip"]
    store._client.abort_multipart_upload(
        Bucket=store.bucket, Key="datasets/large.zip", UploadId=begun[1]["UploadId"]
    )


def test_a_store_that_deletes_whatever_the_etag_loses_no_result(
    store: Store, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = small()
    manifest = run_step(step, Config(), "run-1", store, cache).manifest

    def heedless(key: str, _etag: str) -> bool:
        store.delete(key)
        return True

    monkeypatch.setattr(store, "delete_if", heedless)
    with pytest.raises(ConfigurationError, match="deletes an object whatever its ETag"):
        retained(store)
    assert find_manifest(store, step.name, manifest.fingerprint) == manifest


# A result that is found while it is being removed


def small() -> Step:
    def run(job: Job) -> Facts:
        for name in ("a", "b", "c"):
            (job.output / name).write_bytes(name.encode() * 100)
        return {}

    return Step("fetch", ("tasks.contract.errors",), FetchOptions, run)


def the_removal(store: Store) -> Callable[[], bool]:
    """Of the only result there is, planned from a listing of now."""
    inventory = Inventory.of(store)
    ages = Ages(NOTHING, now() + LATER)
    nothing = References(frozenset(), frozenset(), frozenset())
    [removal] = results_to_remove(inventory, ages, nothing, read_manifests(store, inventory))
    return lambda: remove(store, removal)


def test_a_result_that_a_step_has_found_since_the_listing_stays(store: Store, cache: Cache) -> None:
    run_step(small(), Config(), "run-1", store, cache)
    removal = the_removal(store)
    found = run_step(small(), Config(), "run-2", store, cache)
    assert found.cached
    assert removal() is False
    assert missing_file(store, found.manifest) is None
    assert run_step(small(), Config(), "run-3", store, cache).cached


def test_a_result_that_is_computed_again_while_the_old_one_is_removed_is_whole(
    store: Store, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_step(small(), Config(), "run-1", store, cache)
    removal = the_removal(store)
    real, again = store.delete_all, []

    def after_another_run(some: Sequence[str]) -> None:  # its manifest is gone, its files are not
        again.append(run_step(small(), Config(), "run-2", store, cache))
        real(some)

    monkeypatch.setattr(store, "delete_all", after_another_run)
    assert removal() is True
    assert again[0].cached is False
    assert missing_file(store, again[0].manifest) is None
    assert run_step(small(), Config(), "run-3", store, cache).cached


def test_of_a_find_and_a_removal_that_meet_exactly_one_succeeds(store: Store, cache: Cache) -> None:
    won = {"found": 0, "removed": 0}
    with ThreadPoolExecutor(3) as pool:
        for number in range(40):
            manifest = run_step(small(), Config(), f"run-{number}", store, cache).manifest
            removal = the_removal(store)
            met = Barrier(3)

            def find(manifest: Manifest = manifest, met: Barrier = met) -> Manifest | None:
                met.wait(30)
                return find_manifest(store, manifest.step, manifest.fingerprint)

            finders = [pool.submit(find) for _ in range(2)]
            met.wait(30)
            time.sleep(number / 40 * 0.1)  # to find takes about half of that
            removed = removal()
            found = [finder.result() for finder in finders]
            assert not (removed and any(found)), "found, and then removed"
            if any(found):
                assert missing_file(store, manifest) is None
            else:
                assert removed
            won["removed" if removed else "found"] += 1
            if not removed:
                assert the_removal(store)() is True
    print(won)
    assert min(won.values()) > 0, f"{won}: they never met in both orders, so nothing was shown"


# Killed on the way

KILLED = """
import os, signal
from tasks.contract.store import Store
from tests.retention.test_retain import NOTHING, retained

left = AFTER
def dying(real):
    def call(self, *arguments):
        global left
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1
        return real(self, *arguments)
    return call
for name in ("delete", "delete_all", "delete_if", "write"):
    setattr(Store, name, dying(getattr(Store, name)))
retained(Store.from_environment(), active=["run-3"])
"""


def test_whenever_a_removal_is_killed_nothing_half_is_listed_and_the_next_one_finishes_it(
    store: Store, cache: Cache
) -> None:
    after, ended = 0, False
    while not ended:
        made(store, cache, "run-1", "run-2", "run-3")
        code = KILLED.replace("AFTER", str(after))
        environment = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'plugins'}"}
        child = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment)
        assert child.returncode in (0, -signal.SIGKILL)
        ended = child.returncode == 0
        left = keys(store)
        for run_id in all_listed(store):  # what the pages list: it opens, whole
            assert f"reports/{run_id}/index.html" in left, f"killed after {after} requests"
        for run_id in ("run-1", "run-2"):
            page = f"reports/{run_id}/index.html"
            if page in left:
                pictures = [key for key in left if key.startswith(f"reports/{run_id}/")]
                assert len(pictures) == 3, f"killed after {after} requests"
        require_whole(store, "run-3")
        retained(store, active=["run-3"])
        assert not [key for key in keys(store) if "run-1" in key or "run-2" in key]
        assert not {"run-1", "run-2"} & {*store.folders("runs/")}
        assert all_listed(store) == {"run-3"}
        require_whole(store, "run-3")
        after += 1 if after < 10 else 8  # the first requests are the runs', the others the results'
    assert after > 20, "it was hardly ever killed"
