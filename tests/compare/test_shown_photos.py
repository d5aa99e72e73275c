"""The photos that are shown are the right ones, always the same, and read without their files."""

import csv
import io
import re
from base64 import b64decode
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tasks.compare import STEP
from tasks.compare.answers import Answer, AnsweredPhoto
from tasks.compare.shown_photos import _KINDS, _MOST_PHOTOS, _choose
from tasks.contract.cache import Cache
from tasks.contract.config import Config
from tasks.contract.errors import InputError
from tasks.contract.photos import Photo
from tasks.contract.step import run_step
from tasks.contract.store import Store
from tasks.contract.training import Predictions
from tests.compare.world import World, pixels_of

Read = Callable[[str], Any]
KINDS = {kind.name: kind for kind in _KINDS}


def answered(name: str, transfer: tuple[float, float], scratch: tuple[float, float]):
    """A photo by the probabilities of each answer and of the true class; alike if it is right."""
    photo = Photo.model_construct(photo=name)
    answers = [
        Answer("elk" if sure == true else "bear", sure, true, sure == true)
        for sure, true in (scratch, transfer)
    ]
    return AnsweredPhoto(photo, *answers)


def names_of(kind: str, *answers: AnsweredPhoto) -> list[str]:
    return [one.photo.photo for one in _choose(KINDS[kind], answers)[1]]


def test_disputed_photos_come_by_how_far_the_networks_part() -> None:
    near = answered("near", (0.6, 0.6), (0.5, 0.4))
    far = answered("far", (0.9, 0.9), (0.8, 0.1))
    other = answered("other", (0.8, 0.1), (0.9, 0.9))
    wrong = answered("wrong", (0.8, 0.1), (0.8, 0.1))
    assert names_of("only-transfer", near, far, other, wrong) == ["far", "near"]
    assert names_of("only-scratch", near, far, other, wrong) == ["other"]


def test_photos_that_both_miss_come_by_how_improbable_their_label_is() -> None:
    likely = answered("likely", (0.5, 0.4), (0.5, 0.4))
    unlikely = answered("unlikely", (0.9, 0.0), (0.5, 0.3))
    assert names_of("both-wrong", likely, unlikely) == ["unlikely", "likely"]


def test_mistakes_come_by_how_sure_the_network_was_whatever_the_other_says() -> None:
    sure = answered("sure", (0.9, 0.0), (0.7, 0.7))
    surer = answered("surer", (0.99, 0.0), (0.8, 0.1))
    assert names_of("transfer-mistakes", sure, surer) == ["surer", "sure"]
    assert names_of("scratch-mistakes", sure, surer) == ["surer"]


def test_ties_go_by_the_photo_and_the_number_is_bounded() -> None:
    photos = [answered(f"{n:02}", (0.9, 0.9), (0.8, 0.1)) for n in range(30)]
    first = names_of("only-transfer", *photos)
    assert first == names_of("only-transfer", *reversed(photos))
    assert first == [f"{n:02}" for n in range(_MOST_PHOTOS)]
    assert _choose(KINDS["only-transfer"], photos)[0] == 30


@pytest.mark.store
def test_each_thumbnail_shows_its_own_photo_and_says_what_it_is(
    world: World, store: Store, cache: Cache, read_report: Read
) -> None:
    world.compare(store, cache)
    pixels = {photo.entry: pixels_of(photo.photo)[:3] for photo in world.photos()}
    shown = re.findall(
        r'<img src="data:image/jpeg;base64,([^"]+)" width="32" height="32" '
        r'title="([^"]+)" alt="Test photo ([^"]+)">',
        read_report("index.html"),
    )
    assert len(shown) > _MOST_PHOTOS
    for content, title, alt in shown:
        assert title == alt
        with Image.open(io.BytesIO(b64decode(content))) as image:
            seen = np.array(image)[16, 16].astype(int)
        assert np.abs(seen - list(pixels[title])).max() < 8


@pytest.mark.store
def test_the_record_files_are_not_downloaded(
    world: World, store: Store, cache: Cache, tmp_path: Path
) -> None:
    world.publish("run-1", store, cache, Config())
    elsewhere = Cache(tmp_path / "elsewhere")
    run_step(STEP, Config(), "run-1", store, elsewhere)
    # The cache holds what the step read and wrote, by digest; no file is a record file's size.
    sizes = {path.stat().st_size for path in (tmp_path / "elsewhere" / "sha256").rglob("*")}
    assert not sizes & {50 * 32 * 32 * 3, 10 * 32 * 32 * 3}


@pytest.mark.store
def test_a_damaged_record_is_refused(world: World, store: Store, cache: Cache) -> None:
    world.records = lambda _shard, made: bytes(len(made))
    with pytest.raises(InputError, match=r"record \d+ of photos-0000\d\.rgb .* is damaged: run pr"):
        world.compare(store, cache)
    assert not list(store.list("reports/"))


@pytest.mark.store
@pytest.mark.parametrize("content", [None, b"other pixels"])
def test_records_that_are_gone_name_the_step_that_makes_them_again(
    world: World, store: Store, cache: Cache, content: bytes | None
) -> None:
    world.publish("run-1", store, cache, Config())
    for head in list(store.list("artifacts/preprocess/")):
        if head.key.endswith(".rgb"):
            store.delete(head.key) if content is None else store.write(head.key, content)
    with pytest.raises(InputError, match=r"since preprocess left it: run preprocess again with f"):
        run_step(STEP, Config(), "run-1", store, cache)
    assert not list(store.list("reports/"))


@pytest.mark.store
def test_networks_that_are_always_right_have_no_photos_to_show(
    world: World, store: Store, cache: Cache, read_report: Read
) -> None:
    world.accuracy = {"scratch": 1.0, "transfer": 1.0}
    world.compare(store, cache)
    page = read_report("index.html")
    assert page.count("<small>0 photos</small>") == len(_KINDS)
    assert page.count("No test photo was taken for another class.") == 2


@pytest.mark.store
def test_every_answer_is_in_the_csv_file(
    world: World, store: Store, cache: Cache, read_report: Read
) -> None:
    made: dict[str, Predictions] = {}
    world.predictions = lambda arm, one: made.setdefault(arm, replace(one))
    world.photo = lambda photo: photo.model_copy(update={"entry": f"={photo.entry}"})
    world.compare(store, cache)
    rows = list(csv.DictReader(io.StringIO(read_report("test-photos.csv"), newline="")))
    assert len(rows) == 60
    assert sum("only transfer" in row["outcome"] or "both right" in row["outcome"] for row in rows)
    for row, photo, given in zip(rows, world.photos(), made["transfer"].given, strict=True):
        assert row["file"] == f"'{photo.entry}"
        assert float(row["transfer: probability of the class"]) == pytest.approx(given, abs=1e-6)
        right = row["transfer: answer"] == row["class"]
        assert right == (row["outcome"] in ("both right", "only transfer right"))
