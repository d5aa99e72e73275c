"""Fetch: says what the archive is by its bytes, and takes only archives that can be trained on."""

import hashlib
import json
import logging
import tarfile
from pathlib import Path

import pytest
from backports import zstd

from tasks.contract.cache import Cache
from tasks.contract.config import Config
from tasks.contract.errors import InputError
from tasks.contract.manifest import RunRecord
from tasks.contract.photos import REFUSED_FILE, Refusal, read_rows
from tasks.contract.step import Artifact, run_step
from tasks.contract.store import ObjectHead, Store
from tasks.fetch import INDEX_FILE, STEP
from tests.contract.archive.made import member, tarred
from tests.preprocess.archives import zip_of

KEY = "datasets/pets.zip"
CONFIG = Config(archive=KEY)
FILES = {
    "pets/cat/1.jpg": b"one",
    "pets/cat/2.jpg": b"two",
    "pets/dog/1.jpg": b"three",
    "dataset.json": b'{"name": "Pets", "synthetic": true}',
}


@pytest.fixture
def archive(tmp_path: Path) -> bytes:
    return zip_of(FILES, tmp_path / "pets.zip").read_bytes()


def fetch(store: Store, cache: Cache, run_id: str = "r1", config: Config = CONFIG) -> RunRecord:
    return run_step(STEP, config, run_id, store, cache)


def test_the_facts_say_what_the_archive_is(store: Store, cache: Cache, archive: bytes) -> None:
    store.write(KEY, archive)
    manifest = fetch(store, cache).manifest
    assert manifest.facts == {
        "size": len(archive),
        "sha256": hashlib.sha256(archive).hexdigest(),
        "format": "zip",
        "dataset": {"name": "Pets", "synthetic": True, "note": ""},
        "entries": 3,
        "classes": {"cat": 2, "dog": 1},
        "refused": {},
    }
    assert Artifact(manifest, store, cache).path(REFUSED_FILE).read_bytes() == b""
    index = Artifact(manifest, store, cache).path(INDEX_FILE).read_text().splitlines()
    assert [json.loads(line) for line in index] == [
        {"class": "cat", "entry": "pets/cat/1.jpg", "size": 3},
        {"class": "cat", "entry": "pets/cat/2.jpg", "size": 3},
        {"class": "dog", "entry": "pets/dog/1.jpg", "size": 5},
    ]


def test_what_must_not_be_used_is_told_and_listed(
    store: Store, cache: Cache, caplog: pytest.LogCaptureFixture
) -> None:
    link = member("pets/cat/3.jpg", type=tarfile.SYMTYPE, linkname="/etc/passwd")
    outside = member("../../cat/4.jpg")
    again = member("pets/cat/1.jpg", b"again")
    photos = [member(name, content) for name, content in FILES.items()]
    store.write(KEY, zstd.compress(tarred([*photos, link, outside, again])))
    manifest = fetch(store, cache).manifest
    assert manifest.facts["format"] == "tar.zst"
    assert manifest.facts["entries"] == 3
    assert manifest.facts["dataset"]["name"] == "Pets"
    assert manifest.facts["refused"] == {"link": 1, "path with ..": 1, "repeated name": 1}
    rows = read_rows(Artifact(manifest, store, cache).path(REFUSED_FILE), Refusal)
    assert [(row.entry, row.class_name, row.reason) for row in rows] == [
        ("../../cat/4.jpg", "", "path with .."),
        ("pets/cat/1.jpg", "cat", "repeated name"),
        ("pets/cat/3.jpg", "cat", "link"),
    ]
    [line] = [message for message in caplog.messages if "refused" in message]
    assert line == (
        f"s3://wildlife/{KEY}: 3 entries refused: path with .. 1, repeated name 1, link 1"
    )


def test_an_archive_that_is_a_bomb_is_one_clear_line(store: Store, cache: Cache) -> None:
    store.write(KEY, zstd.compress(tarred({"cat/1.jpg": bytes(5_000_000)})))
    with pytest.raises(InputError, match=r"pets\.zip decompresses to more than its size and the"):
        fetch(store, cache)
    assert [head.key for head in store.list("")] == [KEY]


def test_a_limit_that_is_raised_is_looked_at_anew(store: Store, cache: Cache) -> None:
    store.write(KEY, tarred({"cat/1.jpg": bytes(2_000_000), "dog/1.jpg": b"", "cat/2.jpg": b""}))
    facts = fetch(store, cache, config=Config(archive=KEY, max_entry_mb=1)).manifest.facts
    assert (facts["entries"], facts["refused"]) == (2, {"too large": 1})
    assert fetch(store, cache, "r2").manifest.facts["entries"] == 3


def test_the_archive_is_kept_for_the_next_step(store: Store, cache: Cache, archive: bytes) -> None:
    store.write(KEY, archive)
    local = cache.get(fetch(store, cache).manifest.facts["sha256"])
    assert local is not None
    assert local.read_bytes() == archive


def test_the_same_bytes_under_another_name_are_the_same_data(
    store: Store, cache: Cache, archive: bytes
) -> None:
    store.write(KEY, archive)
    store.write("elsewhere/copy.zip", archive)
    first = fetch(store, cache, "r1")
    second = fetch(store, cache, "r2", Config(archive="elsewhere/copy.zip"))
    assert not second.cached
    assert second.manifest.digest == first.manifest.digest


def test_a_replaced_archive_is_fetched_again(
    store: Store, cache: Cache, archive: bytes, tmp_path: Path
) -> None:
    store.write(KEY, archive)
    first = fetch(store, cache, "r1")
    assert fetch(store, cache, "r2").cached
    more = zip_of(FILES | {"pets/dog/2.jpg": b"four"}, tmp_path / "more.zip")
    store.write(KEY, more.read_bytes())
    third = fetch(store, cache, "r3")
    assert not third.cached
    assert third.manifest.facts["entries"] == first.manifest.facts["entries"] + 1


def test_an_archive_that_this_machine_has_is_not_downloaded_again(
    store: Store, cache: Cache, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    path = zip_of(FILES, tmp_path / "pets.zip")
    store.upload(path, KEY, hashlib.sha256(path.read_bytes()).hexdigest(), "application/zip")
    first = fetch(store, cache, "r1")
    assert "bytes_per_second" in first.manifest.measurements
    forced = fetch(store, cache, "r2", Config(archive=KEY, force=True))
    assert "bytes_per_second" not in forced.manifest.measurements
    assert "s3://wildlife/datasets/pets.zip: this machine has it already" in caplog.messages
    assert forced.manifest.digest == first.manifest.digest


def test_an_archive_damaged_since_its_upload_is_told(
    store: Store, cache: Cache, tmp_path: Path
) -> None:
    store.upload(zip_of(FILES, tmp_path / "pets.zip"), KEY, "0" * 64, "application/zip")
    with pytest.raises(InputError, match=r"pets\.zip is damaged \(SHA-256 .*\): upload it again"):
        fetch(store, cache)


def test_an_archive_replaced_just_as_the_step_begins_is_told(
    store: Store, cache: Cache, archive: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.write(KEY, archive)
    heads = iter([store.head(KEY)])
    real = store.head
    monkeypatch.setattr(store, "head", lambda key: next(heads, None) or real(key))
    store.write(KEY, archive + b"more")
    with pytest.raises(InputError, match="was replaced while the run began: run again"):
        fetch(store, cache)


@pytest.mark.parametrize(
    ("present", "listed"),
    [
        ([], "holds nothing"),
        (["b.zip", "a.zip"], "holds datasets/a.zip, datasets/b.zip:"),
        (list("abcdefghijkl"), "datasets/i, datasets/j and 2 more:"),
    ],
)
def test_a_missing_archive_is_named_with_what_is_there_instead(
    store: Store, cache: Cache, present: list[str], listed: str
) -> None:
    for name in present:
        store.write(f"datasets/{name}", b"")
    with pytest.raises(InputError) as caught:
        fetch(store, cache)
    assert f"there is no archive {KEY!r} in bucket 'wildlife'" in str(caught.value)
    assert listed in str(caught.value)
    assert "set the option 'archive'" in str(caught.value)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "is not a readable archive"),
        (b"\x1f\x8b\x08 a tar.gz by its looks", "is not a readable archive"),
        (
            tarred({"../cat/1.jpg": b"", "/dog/1.jpg": b"", "/dog/2.jpg": b""}),
            "has no folders of photos (entries refused: absolute path 2, path with .. 1)",
        ),
        ({}, "has no folders of photos"),
        ({"1.jpg": b"", "README.txt": b""}, "has no folders of photos"),
        ({"cat/1.jpg": b"", "cat/2.jpg": b""}, "has photos of the single class 'cat'"),
    ],
    ids=["empty", "no gzip", "outside", "nothing inside", "no folders", "one class"],
)
def test_an_archive_that_cannot_be_used_is_one_clear_line_and_leaves_nothing(
    store: Store, cache: Cache, tmp_path: Path, content: bytes | dict[str, bytes], complaint: str
) -> None:
    if isinstance(content, dict):
        content = zip_of(content, tmp_path / "bad.zip").read_bytes()
    store.write(KEY, content)
    with pytest.raises(InputError) as caught:
        fetch(store, cache)
    assert str(caught.value).startswith(f"s3://wildlife/{KEY} {complaint}")
    assert "one folder" in str(caught.value)
    assert [head.key for head in store.list("")] == [KEY]


def test_an_archive_replaced_in_mid_download_leaves_nothing(
    store: Store, cache: Cache, archive: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.write(KEY, archive)
    real = store.download

    def replaced(head: ObjectHead, target: Path, *rest: object) -> str:
        target.write_bytes(archive[:10])
        store.write(KEY, archive + b"more")
        return real(head, target, *rest)

    monkeypatch.setattr(store, "download", replaced)
    with pytest.raises(InputError, match=r"pets\.zip was replaced while it was being read"):
        fetch(store, cache)
    assert [path for path in cache.root.rglob("*") if path.is_file()] == []
    assert [head.key for head in store.list("")] == [KEY]


def test_an_unchanged_archive_is_not_even_read(
    store: Store, cache: Cache, archive: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.write(KEY, archive)
    fetch(store, cache, "r1")
    monkeypatch.setattr(store, "download", None)
    assert fetch(store, Cache(cache.root.parent / "other"), "r2").cached
