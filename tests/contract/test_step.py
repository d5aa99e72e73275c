"""Running a step: computed once, found again while it is whole, complete or absent."""

import importlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.contract import patience
from tasks.contract.cache import Cache
from tasks.contract.config import Config, FetchOptions, PreprocessOptions
from tasks.contract.errors import InputError, UnavailableError
from tasks.contract.manifest import Manifest, RunRecord, record_key
from tasks.contract.step import (
    Artifact,
    Facts,
    Job,
    Step,
    fingerprint_of,
    read_record,
    run_step,
)
from tasks.contract.store import Store

CONFIG = Config()


class Counted:
    """A step's function that counts its calls and leaves two files."""

    def __init__(self, content: bytes = b"content") -> None:
        self.calls = 0
        self.content = content

    def __call__(self, job: Job) -> Facts:
        self.calls += 1
        (job.output / "deep").mkdir()
        (job.output / "deep" / "file.bin").write_bytes(self.content)
        (job.output / "empty").touch()
        (job.scratch / "not-kept").write_bytes(b"x")
        return {"length": len(self.content)}


def step_of(run: Callable[[Job], Facts], name: str = "fetch", **changes: object) -> Step:
    step = Step(name=name, code=("tasks.contract.errors",), options=FetchOptions, run=run)
    return replace(step, **changes)


def test_a_second_run_finds_the_result_of_the_first(store: Store, cache: Cache) -> None:
    work = Counted()
    first = run_step(step_of(work), CONFIG, "r1", store, cache)
    second = run_step(step_of(work), CONFIG, "r2", store, cache)
    assert (first.cached, second.cached, work.calls) == (False, True, 1)
    assert second.manifest == first.manifest
    assert read_record(store, "r2", "fetch") == second


def test_the_files_can_be_read_on_another_machine(
    store: Store, cache: Cache, tmp_path: Path
) -> None:
    manifest = run_step(step_of(Counted()), CONFIG, "r1", store, cache).manifest
    assert set(manifest.files) == {"deep/file.bin", "empty"}
    elsewhere = Artifact(manifest, store, Cache(tmp_path / "elsewhere"))
    assert elsewhere.path("deep/file.bin").read_bytes() == b"content"
    assert elsewhere.path("empty").read_bytes() == b""
    with pytest.raises(InputError, match="has no file 'missing'"):
        elsewhere.path("missing")


def test_a_part_of_a_file_costs_no_copy_of_it(store: Store, cache: Cache, tmp_path: Path) -> None:
    manifest = run_step(step_of(Counted()), CONFIG, "r1", store, cache).manifest
    elsewhere = Artifact(manifest, store, Cache(tmp_path / "elsewhere"))
    assert elsewhere.read("deep/file.bin", 3, 5) == b"te"
    assert not [path for path in (tmp_path / "elsewhere").rglob("*") if path.is_file()]
    with pytest.raises(InputError, match="has no file 'missing'"):
        elsewhere.read("missing", 0, 1)


@pytest.mark.parametrize("content", [b"changed", b"longer than it was", None])
def test_a_file_that_is_no_longer_what_the_step_left_names_the_step_to_run_again(
    store: Store, cache: Cache, content: bytes | None
) -> None:
    manifest = run_step(step_of(Counted()), CONFIG, "r1", store, cache).manifest
    key = manifest.files["deep/file.bin"].key
    if content is None:
        store.delete(key)
    else:
        store.write(key, content)
    with pytest.raises(InputError) as caught:
        Artifact(manifest, store, cache).read("deep/file.bin", 3, 5)
    happened = "removed" if content is None else "replaced"
    assert str(caught.value) == (
        f"{store.uri(key)} was {happened} since {manifest.step} left it: "
        f"run {manifest.step} again with force"
    )


def test_a_reader_never_gets_altered_bytes(store: Store, cache: Cache, tmp_path: Path) -> None:
    manifest = run_step(step_of(Counted()), CONFIG, "r1", store, cache).manifest
    store.write(manifest.files["deep/file.bin"].key, b"CONTENT")
    with pytest.raises(InputError, match="changed or damaged"):
        Artifact(manifest, store, Cache(tmp_path / "elsewhere")).path("deep/file.bin")


@pytest.mark.parametrize(
    "damage",
    [
        lambda store, manifest: store.delete(manifest.files["deep/file.bin"].key),
        lambda store, manifest: store.write(manifest.files["deep/file.bin"].key, b"CONTENT"),
        lambda store, manifest: store.write(manifest.files["deep/file.bin"].key, b"longer content"),
        lambda store, manifest: store.delete(manifest.key),
        lambda store, manifest: store.write(manifest.key, b'{"format": 1}'),
    ],
    ids=["file deleted", "file altered", "file replaced", "manifest deleted", "manifest altered"],
)
def test_a_damaged_result_is_computed_again(store: Store, cache: Cache, damage) -> None:
    work = Counted()
    damage(store, run_step(step_of(work), CONFIG, "r1", store, cache).manifest)
    again = run_step(step_of(work), CONFIG, "r2", store, cache)
    assert (again.cached, work.calls) == (False, 2)
    assert run_step(step_of(work), CONFIG, "r3", store, cache).cached


def test_that_a_result_was_found_is_noted_in_its_manifest_and_in_no_record(
    store: Store, cache: Cache
) -> None:
    first = run_step(step_of(Counted()), CONFIG, "r1", store, cache)

    def published() -> Manifest:
        return Manifest.model_validate_json(store.read(first.manifest.key) or b"")

    assert published().used is None
    second = run_step(step_of(Counted()), CONFIG, "r2", store, cache)
    used = published().used
    assert used is not None
    assert second.started < used < second.finished
    assert published().digest == first.manifest.digest
    assert run_step(step_of(Counted()), CONFIG, "r3", store, cache).manifest == first.manifest


def test_no_two_publications_have_a_key_in_common(store: Store, cache: Cache) -> None:
    first = run_step(step_of(Counted()), CONFIG, "r1", store, cache).manifest
    again = run_step(step_of(Counted()), Config(force=True), "r2", store, cache).manifest
    assert again.digest == first.digest
    keys = [{file.key for file in made.files.values()} for made in (first, again)]
    assert not keys[0] & keys[1]


def test_force_computes_again(store: Store, cache: Cache) -> None:
    work = Counted()
    first = run_step(step_of(work), CONFIG, "r1", store, cache)
    forced = run_step(step_of(work), Config(force=True), "r2", store, cache)
    assert (forced.cached, work.calls) == (False, 2)
    assert forced.manifest.digest == first.manifest.digest
    assert run_step(step_of(work), CONFIG, "r3", store, cache).cached


def test_a_step_that_fails_leaves_nothing_in_the_bucket(store: Store, cache: Cache) -> None:
    def fail(job: Job) -> Facts:
        (job.output / "half").write_bytes(b"half")
        raise InputError("no good")

    with pytest.raises(InputError, match="no good"):
        run_step(step_of(fail), CONFIG, "r1", store, cache)
    assert not list(store.list(""))
    assert not list((cache.root / "work").iterdir())


def test_a_file_that_the_store_does_not_take_leaves_no_manifest_and_no_record(
    store: Store, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(job: Job) -> Facts:
        for number in range(20):
            (job.output / f"{number:02}").write_bytes(bytes([number]))
        return {}

    real = store.upload

    def upload(path: Path, *arguments: Any) -> Any:
        if path.name == "07":
            raise UnavailableError("the store is away")
        return real(path, *arguments)

    monkeypatch.setattr(store, "upload", upload)
    monkeypatch.setattr(patience, "PAUSES", (0.0,))
    with pytest.raises(UnavailableError, match="the store is away"):
        run_step(step_of(run), CONFIG, "r1", store, cache)
    assert not [head for head in store.list("") if head.key.endswith(".json")]
    monkeypatch.setattr(store, "upload", real)
    record = run_step(step_of(run), CONFIG, "r1", store, cache)
    assert list(record.manifest.files) == [f"{number:02}" for number in range(20)]


def test_a_store_that_is_away_while_a_result_is_published_costs_no_work(
    store: Store, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy would be more real, but what counts is that every put is tried again."""
    work = Counted()
    failing = {"upload": 2, "write": 3}

    def sometimes(name: str, real: Callable[..., Any], *arguments: Any) -> Any:
        if failing[name]:
            failing[name] -= 1
            raise UnavailableError("the store is away")
        return real(*arguments)

    for name in failing:
        monkeypatch.setattr(store, name, partial(sometimes, name, getattr(store, name)))
    monkeypatch.setattr(patience, "PAUSES", (0.0,) * 4)
    run_step(step_of(work), CONFIG, "r1", store, cache)
    assert failing == {"upload": 0, "write": 0}
    assert read_record(store, "r1", "fetch").manifest.files


def test_a_failed_attempt_takes_back_the_record_of_an_earlier_one(
    store: Store, cache: Cache
) -> None:
    run_step(step_of(Counted()), CONFIG, "r1", store, cache)

    def fail(job: Job) -> Facts:
        raise InputError("no good")

    with pytest.raises(InputError):
        run_step(step_of(fail), Config(force=True), "r1", store, cache)
    with pytest.raises(InputError, match="run 'r1' has no result of 'fetch' yet"):
        read_record(store, "r1", "fetch")


KILLED = """
import os, signal
from tasks.contract.store import Store
from tests.contract.test_step import *

put = Store.write
def write(self, key, *rest):
    if key.endswith(DYING_AT):
        os.kill(os.getpid(), signal.SIGKILL)
    put(self, key, *rest)
Store.write = write
run_step(step_of(Counted()), CONFIG, "r1", Store.from_environment(), Cache(Path(CACHE)))
"""


@pytest.mark.parametrize("dying_at", ["manifest.json", "runs/r1/fetch.json"])
def test_a_step_killed_on_the_way_leaves_nothing_that_looks_done(
    store: Store, cache: Cache, dying_at: str
) -> None:
    code = KILLED.replace("DYING_AT", repr(dying_at)).replace("CACHE)", f"{str(cache.root)!r})")
    root = Path(__file__).parents[2]
    child = subprocess.run([sys.executable, "-c", code], cwd=root, env=os.environ, check=False)
    assert child.returncode == -signal.SIGKILL
    keys = {head.key for head in store.list("")}
    assert any(key.endswith("/deep/file.bin") for key in keys), "it died after the files were put"
    assert not any(key.endswith(dying_at) for key in keys)
    assert record_key("r1", "fetch") not in keys

    work = Counted()
    retried = run_step(step_of(work), CONFIG, "r1", store, cache)
    assert retried.cached == (dying_at != "manifest.json")
    assert read_record(store, "r1", "fetch") == retried


def second(run: Callable[[Job], Facts] = lambda job: {}) -> Step:
    return step_of(run, "preprocess", options=PreprocessOptions, inputs=("fetch",))


def test_a_step_waits_for_its_inputs(store: Store, cache: Cache) -> None:
    with pytest.raises(InputError, match="run 'r1' has no result of 'fetch' yet: run that step"):
        run_step(second(), CONFIG, "r1", store, cache)


def test_a_record_that_was_tampered_with_is_told(store: Store, cache: Cache) -> None:
    store.write(record_key("r1", "fetch"), b"{}")
    with pytest.raises(InputError, match=r"runs/r1/fetch\.json cannot be read: run fetch again"):
        run_step(second(), CONFIG, "r1", store, cache)


def test_a_step_reads_the_facts_and_files_of_its_inputs(store: Store, cache: Cache) -> None:
    run_step(step_of(Counted(b"abc")), CONFIG, "r1", store, cache)

    def read(job: Job) -> Facts:
        source = job.inputs["fetch"]
        return {"facts": source.facts, "file": source.path("deep/file.bin").read_text()}

    record = run_step(second(read), CONFIG, "r1", store, cache)
    assert record.manifest.facts == {"facts": {"length": 3}, "file": "abc"}


def test_an_input_that_another_process_evicts_before_it_is_read_is_no_final_failure(
    store: Store, cache: Cache
) -> None:
    run_step(step_of(Counted()), CONFIG, "r1", store, cache)

    def read(job: Job) -> Facts:
        path = job.inputs["fetch"].path("deep/file.bin")
        path.unlink()
        return {"file": path.read_text()}

    with pytest.raises(UnavailableError, match="a retry downloads it again"):
        run_step(second(read), CONFIG, "r1", store, cache)


def test_an_input_remade_to_the_same_bytes_changes_nothing(store: Store, cache: Cache) -> None:
    run_step(step_of(Counted()), CONFIG, "r1", store, cache)
    run_step(second(), CONFIG, "r1", store, cache)
    run_step(step_of(Counted()), Config(archive="other.zip"), "r2", store, cache)
    assert run_step(second(), CONFIG, "r2", store, cache).cached
    run_step(step_of(Counted(b"new")), Config(archive="third.zip"), "r3", store, cache)
    assert not run_step(second(), CONFIG, "r3", store, cache).cached


def test_a_step_is_told_what_its_fingerprint_saw_outside(store: Store, cache: Cache) -> None:
    seen = {}

    def look(job: Job) -> Facts:
        seen.update(job.external)
        return {}

    step = step_of(look, external=lambda store, options: {"archive": options.archive})
    run_step(step, CONFIG, "r1", store, cache)
    assert seen == {"archive": CONFIG.archive}


def test_a_result_that_does_not_hold_any_more_is_computed_again(store: Store, cache: Cache) -> None:
    """As one that rests on something in the bucket that no step made."""

    def look(job: Job) -> Facts:
        return {"seen": (job.store.read("said") or b"").decode()}

    step = step_of(
        look, holds=lambda store, found, _: store.read("said") == found.facts["seen"].encode()
    )
    store.write("said", b"one")
    cached = []
    for number, said in enumerate((b"one", b"one", b"two", b"two")):
        store.write("said", said)
        record = run_step(step, CONFIG, f"r{number}", store, cache)
        assert record.manifest.facts == {"seen": said.decode()}
        cached.append(record.cached)
    assert cached == [False, True, False, True]


def test_a_step_is_told_its_fingerprint_and_whether_the_run_is_forced(
    store: Store, cache: Cache
) -> None:
    seen = []

    def look(job: Job) -> Facts:
        seen.append((job.fingerprint, job.forced))
        return {}

    made = run_step(step_of(look), CONFIG, "r1", store, cache).manifest
    run_step(step_of(look), Config(force=True), "r2", store, cache)
    assert seen == [(made.fingerprint, False), (made.fingerprint, True)]


def leave_unfinished_work(job: Job) -> Facts:
    job.store.write("unfinished/a", b"a")
    job.until_published += ["unfinished/a", "unfinished/never-written"]
    return {}


def test_unfinished_work_is_removed_once_the_result_is_published(
    store: Store, cache: Cache
) -> None:
    def fail(job: Job) -> Facts:
        leave_unfinished_work(job)
        raise InputError("no good")

    with pytest.raises(InputError, match="no good"):
        run_step(step_of(fail), CONFIG, "r1", store, cache)
    assert [head.key for head in store.list("unfinished/")] == ["unfinished/a"]
    run_step(step_of(leave_unfinished_work), CONFIG, "r1", store, cache)
    assert not list(store.list("unfinished/"))


def test_unfinished_work_that_cannot_be_removed_is_only_a_warning(
    store: Store, cache: Cache, caplog: pytest.LogCaptureFixture
) -> None:
    def leave_what_no_store_deletes(job: Job) -> Facts:
        job.until_published.append("")  # no S3 client asks for that
        return {}

    record = run_step(step_of(leave_what_no_store_deletes), CONFIG, "r1", store, cache)
    assert read_record(store, "r1", "fetch") == record
    assert "is of no use any more and could not be removed" in caplog.text


def test_what_follows_a_step_is_done_for_cached_results_too(store: Store, cache: Cache) -> None:
    done = []
    step = step_of(Counted(), after=lambda store, run_id, manifest: done.append(run_id))
    for run_id in ("r1", "r2"):
        run_step(step, CONFIG, run_id, store, cache)
    assert done == ["r1", "r2"]


def test_a_record_says_when_and_whether_it_was_cached(store: Store, cache: Cache) -> None:
    record: RunRecord = run_step(step_of(Counted()), CONFIG, "r1", store, cache)
    assert record.started <= record.manifest.created <= record.finished
    assert record.manifest.produced_by["run_id"] == "r1"
    assert record.manifest.measurements["seconds"] >= 0


STEP = step_of(Counted(), options=PreprocessOptions)
DIGESTS = st.dictionaries(st.text("ab", min_size=1), st.text("01"), max_size=3)


@given(st.integers(0, 9), st.integers(0, 9), DIGESTS, DIGESTS)
def test_the_fingerprint_changes_with_options_and_inputs_and_only_then(
    seed: int, other_seed: int, inputs: dict[str, str], other_inputs: dict[str, str]
) -> None:
    one = fingerprint_of(STEP, PreprocessOptions(seed=seed), inputs)
    other = fingerprint_of(STEP, PreprocessOptions(seed=other_seed), other_inputs)
    assert (one == other) == ((seed, inputs) == (other_seed, other_inputs))


def test_the_fingerprint_ignores_the_options_of_other_steps() -> None:
    configs = Config(), Config(scratch_epochs=3, archive="other.zip", force=True)
    slices = [config.slice(PreprocessOptions) for config in configs]
    assert fingerprint_of(STEP, slices[0], {}) == fingerprint_of(STEP, slices[1], {})


@pytest.mark.parametrize("name", ["fetch", "preprocess"])
def test_the_fingerprint_of_a_step_covers_the_formats_it_writes(name: str) -> None:
    step = importlib.import_module(f"tasks.{name}").STEP
    assert f"tasks.{name}" in step.code
    assert "tasks.contract.archive" in step.code
