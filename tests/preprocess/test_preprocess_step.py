"""Preprocess: says what became of every photo of the archive, and gives the same data each time."""

import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import tasks.fetch
import tasks.preprocess
from tasks.contract.cache import Cache
from tasks.contract.config import SPLITS, Config
from tasks.contract.errors import InputError
from tasks.contract.manifest import Manifest, RunRecord
from tasks.contract.photos import (
    PHOTOS_FILE,
    REFUSED_FILE,
    REFUSED_SHEET,
    Photo,
    PhotoSet,
    Refusal,
    read_rows,
)
from tasks.contract.step import Artifact, run_step
from tasks.contract.store import Store
from tasks.preprocess import STEP
from tasks.preprocess.decode import decode
from tests.contract.archive.made import FORMATS, member, tarred, zipped
from tests.preprocess.archives import class_folders, encoded, photo, picture, zip_of

KEY = "datasets/pets.zip"
OPTIONS = {"archive": KEY, "image_size": 32}


def put(store: Store, files: dict[str, bytes], path: Path, key: str = KEY) -> None:
    store.write(key, zip_of(files, path).read_bytes())


def prepare(store: Store, cache: Cache, run_id: str = "r1", **options: object) -> RunRecord:
    config = Config.parse(OPTIONS | options)
    run_step(tasks.fetch.STEP, config, run_id, store, cache)
    return run_step(STEP, config, run_id, store, cache)


def photos_of(manifest: Manifest, store: Store, cache: Cache) -> list[Photo]:
    return read_rows(Artifact(manifest, store, cache).path(PHOTOS_FILE), Photo)


def refused_of(manifest: Manifest, store: Store, cache: Cache) -> dict[str, str]:
    rows = read_rows(Artifact(manifest, store, cache).path(REFUSED_FILE), Refusal)
    assert [row.entry for row in rows] == sorted(row.entry for row in rows)
    return {row.entry: row.reason for row in rows}


GOOD = class_folders(photos_per_class=14)
BAD = {
    "pets/a/empty.jpg": b"",
    "pets/a/page.jpg": b"<html>not found</html>",
    "pets/a/cut.jpg": photo(1)[:-100],
    "pets/b/icon.png": encoded(picture(5, 7, 5)),
    "pets/b/000 copy.jpg": GOOD["pets/b/000.jpg"],
    "pets/c/from a.jpg": GOOD["pets/a/003.jpg"],
}
ODD = {
    "pets/a/png.jpg": encoded(picture(50).convert("RGBA")),
    "pets/a/webp.jpg": encoded(picture(51), "WEBP"),
    "pets/b/cmyk.JPEG": encoded(picture(52).convert("CMYK"), "JPEG"),
    "pets/b/grey": encoded(picture(53).convert("L"), "JPEG"),
    "pets/c/000 small.jpg": encoded(
        picture(2000, 192, 144).resize((96, 72), Image.Resampling.BICUBIC), "JPEG", quality=60
    ),
}


def test_every_photo_is_accounted_for(store: Store, cache: Cache, tmp_path: Path) -> None:
    put(store, GOOD | BAD | ODD, tmp_path / "a.zip")
    record = prepare(store, cache)
    facts = record.manifest.facts
    photos = photos_of(record.manifest, store, cache)
    assert refused_of(record.manifest, store, cache) == {
        "pets/a/003.jpg": "label conflict",
        "pets/a/cut.jpg": "truncated",
        "pets/a/empty.jpg": "empty",
        "pets/a/page.jpg": "not an image",
        "pets/b/000.jpg": "duplicate",
        "pets/b/icon.png": "too small",
        "pets/c/from a.jpg": "label conflict",
    }
    assert facts["photos"] == {"entries": 53, "kept": 46, "refused": 7}
    assert facts["refused"] == {
        "duplicate": 1,
        "empty": 1,
        "label conflict": 2,
        "not an image": 1,
        "too small": 1,
        "truncated": 1,
    }
    assert facts["classes"] == ["a", "b", "c"]
    assert facts["image_size"] == 32
    assert facts["near_duplicate_groups"] == 1
    assert facts["dataset"] == {"name": "", "synthetic": False, "note": ""}
    assert facts["split"] == {s: sum(p.split == s for p in photos) for s in SPLITS}
    assert {name: count["refused"] for name, count in facts["per_class"].items()} == {
        "a": 4,
        "b": 2,
        "c": 1,
    }
    for name, count in facts["per_class"].items():
        assert all(count[split] > 0 for split in SPLITS), name
        assert sum(count[s] for s in SPLITS) == sum(p.class_name == name for p in photos)
    assert record.manifest.measurements["photos_per_second"] > 0
    assert record.manifest.measurements["workers"] >= 1


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.zst"])
def test_what_fetch_refuses_is_accounted_for_in_every_format(
    store: Store, cache: Cache, kind: str
) -> None:
    outside = {"../a/1.jpg": photo(9000), "/b/1.jpg": photo(9001)}
    store.write(KEY, FORMATS[kind](GOOD | BAD | outside))
    manifest = prepare(store, cache).manifest
    refused = refused_of(manifest, store, cache)
    assert refused["../a/1.jpg"] == "path with .."
    assert refused["/b/1.jpg"] == "absolute path"
    assert manifest.facts["photos"] == {"entries": 50, "kept": 41, "refused": 9}
    assert manifest.facts["refused"]["absolute path"] == 1
    assert list(manifest.facts["per_class"]) == ["a", "b", "c"]
    assert len(photos_of(manifest, store, cache)) == 41


def test_an_entry_that_cannot_be_read_is_refused_alone(store: Store, cache: Cache) -> None:
    content = zipped(GOOD)
    store.write(KEY, content.replace(GOOD["pets/a/000.jpg"], GOOD["pets/a/000.jpg"][::-1]))
    manifest = prepare(store, cache).manifest
    assert refused_of(manifest, store, cache) == {"pets/a/000.jpg": "unreadable entry"}


def test_the_same_photos_in_any_format_are_the_same_data(store: Store, cache: Cache) -> None:
    files = set()
    for number, kind in enumerate(FORMATS):
        store.write(KEY, FORMATS[kind](dict(reversed((GOOD | BAD).items()))))
        manifest = prepare(store, cache, f"r{number}").manifest
        files.add(tuple(sorted((name, file.sha256) for name, file in manifest.files.items())))
    assert len(files) == 1


def test_a_class_whose_photos_are_all_refused_is_told(store: Store, cache: Cache) -> None:
    links = [member(f"pets/d/{n}.jpg", type=tarfile.SYMTYPE) for n in range(12)]
    store.write(KEY, tarred([*(member(name, content) for name, content in GOOD.items()), *links]))
    with pytest.raises(InputError, match="fewer than 10 usable photos: 'd' has 0"):
        prepare(store, cache)


def test_the_records_hold_each_photos_own_pixels(
    store: Store, cache: Cache, tmp_path: Path
) -> None:
    put(store, GOOD, tmp_path / "a.zip")
    manifest = prepare(store, cache).manifest
    rows = photos_of(manifest, store, cache)
    assert [SPLITS.index(row.split) for row in rows] == sorted(
        SPLITS.index(row.split) for row in rows
    )
    for split in SPLITS:
        photos = PhotoSet.open(rows, split, 32, Artifact(manifest, store, cache).path)
        photos.verify()
        places = [(row.shard, row.position) for row in photos.photos]
        assert places == sorted(places), "reading a split from front to back never goes back"
        for row, pixels in zip(photos.photos, photos.pixels(range(len(photos))), strict=True):
            expected = decode(GOOD[row.entry], 32)
            assert np.array_equal(pixels, expected.pixels)
            assert (row.photo, row.width, row.height) == (expected.photo, 64, 48)
            assert row.label == ["a", "b", "c"].index(row.class_name)


def test_near_duplicates_stay_together(store: Store, cache: Cache, tmp_path: Path) -> None:
    originals = {name: picture(seed, 224, 168) for seed, name in enumerate(GOOD)}
    files = {name: encoded(image, "JPEG", quality=90) for name, image in originals.items()} | {
        name.replace(".jpg", " small.jpg"): encoded(image.resize((168, 126)), "JPEG", quality=60)
        for name, image in originals.items()
    }
    put(store, files, tmp_path / "a.zip")
    manifest = prepare(store, cache).manifest
    photos = {row.entry: row for row in photos_of(manifest, store, cache)}
    assert len(photos) == 2 * len(GOOD)
    assert manifest.facts["near_duplicate_groups"] == len(GOOD)
    for name in GOOD:
        one, other = photos[name], photos[name.replace(".jpg", " small.jpg")]
        assert (one.group, one.split) == (other.group, other.split)
        assert one.group in (one.photo, other.photo)


def test_a_photo_that_is_refused_for_its_labels_still_draws_for_its_near_duplicates(
    store: Store, cache: Cache, tmp_path: Path
) -> None:
    """Else what was tested on could be trained on, once a copy of its twin lies elsewhere."""
    originals = {name: picture(seed, 224, 168) for seed, name in enumerate(GOOD)}
    files = {name: encoded(image, "JPEG", quality=90) for name, image in originals.items()} | {
        name.replace(".jpg", " small.jpg"): encoded(image.resize((168, 126)), "JPEG", quality=60)
        for name, image in originals.items()
    }
    put(store, files, tmp_path / "a.zip")
    before = {row.entry: row for row in photos_of(prepare(store, cache).manifest, store, cache)}
    in_a = [name for name in GOOD if name.startswith("pets/a/")]
    copies = {name.replace("pets/a/", "pets/b/copy of "): files[name] for name in in_a}
    put(store, files | copies, tmp_path / "b.zip")
    manifest = prepare(store, cache, "r2", max_refused_share=0.5).manifest
    after = {row.entry: row for row in photos_of(manifest, store, cache)}
    assert not set(in_a) & set(after)
    for name, row in before.items():
        if name in after:
            assert after[name].split == row.split


def test_neither_cores_nor_the_order_of_the_archive_matter(
    store: Store, cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store, GOOD | BAD, tmp_path / "a.zip")
    monkeypatch.setattr(tasks.preprocess, "cores", lambda: 1)
    one = prepare(store, cache).manifest
    monkeypatch.setattr(tasks.preprocess, "cores", lambda: 5)
    five = prepare(store, cache, "r2", force=True).manifest
    assert (one.measurements["workers"], five.measurements["workers"]) == (1, 5)
    assert five.digest == one.digest
    sheets = {name for name in one.files if name.startswith("contact/")}
    assert sheets == {"contact/000.jpg", "contact/001.jpg", "contact/002.jpg", REFUSED_SHEET}

    put(store, dict(reversed((GOOD | BAD).items())), tmp_path / "b.zip")
    reordered = prepare(store, cache, "r3").manifest
    assert reordered.facts["archive"] != one.facts["archive"]
    assert {name: file.sha256 for name, file in reordered.files.items()} == {
        name: file.sha256 for name, file in one.files.items()
    }


def test_a_photo_keeps_its_split_when_the_archive_grows(
    store: Store, cache: Cache, tmp_path: Path
) -> None:
    large = class_folders(photos_per_class=40)
    put(store, large, tmp_path / "a.zip")
    before = photos_of(prepare(store, cache).manifest, store, cache)
    more = class_folders(photos_per_class=55, classes="abcd")
    put(store, more, tmp_path / "b.zip")
    after = photos_of(prepare(store, cache, "r2").manifest, store, cache)
    splits = {row.photo: row.split for row in after}
    assert {row.photo: row.split for row in before} == {
        row.photo: splits[row.photo] for row in before
    }
    assert len(after) == 220


def test_the_same_bytes_under_another_key_are_prepared_once(
    store: Store, cache: Cache, tmp_path: Path
) -> None:
    for key in (KEY, "datasets/copy.zip"):
        put(store, GOOD, tmp_path / "a.zip", key)
    assert not prepare(store, cache, "r1").cached
    assert prepare(store, cache, "r2", archive="datasets/copy.zip").cached


def test_another_machine_gets_the_archive_for_itself(
    store: Store, cache: Cache, tmp_path: Path
) -> None:
    put(store, GOOD, tmp_path / "a.zip")
    config = Config.parse(OPTIONS)
    run_step(tasks.fetch.STEP, config, "r1", store, cache)
    elsewhere = Cache(tmp_path / "elsewhere")
    record = run_step(STEP, config, "r1", store, elsewhere)
    assert record.manifest.facts["photos"]["kept"] == len(GOOD)


def test_an_archive_replaced_after_fetch_is_told(
    store: Store, cache: Cache, tmp_path: Path
) -> None:
    put(store, GOOD, tmp_path / "a.zip")
    config = Config.parse(OPTIONS)
    run_step(tasks.fetch.STEP, config, "r1", store, cache)
    elsewhere = Cache(tmp_path / "elsewhere")
    store.write(KEY, b"another archive")
    with pytest.raises(InputError, match=r"pets\.zip was replaced after fetch had checked it"):
        run_step(STEP, config, "r1", store, elsewhere)
    store.delete(KEY)
    with pytest.raises(InputError, match=r"pets\.zip vanished after fetch had checked it"):
        run_step(STEP, config, "r1", store, elsewhere)
    assert not list(store.list("artifacts/preprocess/"))


@pytest.mark.parametrize(
    ("files", "options", "complaint"),
    [
        (
            GOOD | {"pets/d/1.jpg": photo(9999), "pets/e/1.jpg": b""},
            {},
            r"fewer than 10 usable photos: 'd' has 1, 'e' has 0: add photos",
        ),
        (GOOD, {"min_photos_per_class": 15}, "'a' has 14, 'b' has 14, 'c' has 14"),
        (
            GOOD | BAD,
            {"max_refused_share": 0.1},
            r"6 of the archive's 48 .* \(label conflict 2, .*duplicate 1.*max_refused_share 0\.1",
        ),
        (
            GOOD | {f"pets/d/{n}.jpg": encoded(Image.new("L", (40, 40), n)) for n in range(12)},
            {},
            "class 'd' has too few different photos",
        ),
    ],
    ids=["small classes", "minimum raised", "too many refused", "all alike"],
)
def test_an_archive_that_cannot_be_trained_on_is_one_clear_line_and_leaves_nothing(
    store: Store,
    cache: Cache,
    tmp_path: Path,
    files: dict[str, bytes],
    options: dict[str, object],
    complaint: str,
) -> None:
    put(store, files, tmp_path / "a.zip")
    with pytest.raises(InputError, match=complaint) as caught:
        prepare(store, cache, **options)
    assert "\n" not in str(caught.value)
    assert not list(store.list("artifacts/preprocess/"))
    assert not list(store.list("runs/r1/preprocess"))


def test_a_step_that_fails_lists_what_was_refused(
    store: Store, cache: Cache, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    put(store, GOOD | BAD, tmp_path / "a.zip")
    with pytest.raises(InputError):
        prepare(store, cache, max_refused_share=0.1)
    listed = [line for line in caplog.messages if line.startswith("refused ")]
    assert len(listed) == 7
    assert "refused 'pets/a/empty.jpg': empty (the file has no bytes)" in listed


def test_a_class_that_shrank_too_far_lists_its_own_losses(
    store: Store, cache: Cache, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    put(store, GOOD | BAD, tmp_path / "a.zip")
    with pytest.raises(InputError, match="'a' has 13"):
        prepare(store, cache, min_photos_per_class=14)
    listed = [line for line in caplog.messages if line.startswith("refused ")]
    assert len(listed) == 4
    assert all(line.startswith("refused 'pets/a/") for line in listed)


def test_exact_duplicates_are_no_failures(store: Store, cache: Cache, tmp_path: Path) -> None:
    copies = {name.replace(".jpg", " copy.jpg"): content for name, content in GOOD.items()}
    put(store, GOOD | copies, tmp_path / "a.zip")
    facts = prepare(store, cache, max_refused_share=0).manifest.facts
    assert facts["photos"] == {"entries": 84, "kept": 42, "refused": 42}
