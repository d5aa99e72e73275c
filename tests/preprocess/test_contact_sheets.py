"""Contact sheets: the photos that are in them, in bytes that depend on nothing else."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tasks.contract.photos import (
    REFUSED_SHEET,
    SHEET_PHOTOS,
    Photo,
    Pixels,
    Refusal,
    class_sheet,
    refused_sheet_photos,
)
from tasks.preprocess import contact_sheets
from tasks.preprocess.contact_sheets import write_contact_sheets
from tasks.preprocess.records import Place, Records
from tests.preprocess.archives import picture

TILE = 98
REASONS = ["damaged", "duplicate", "empty", "label conflict", "not an image", "too large",
           "too small", "truncated", "unreadable entry"]  # fmt: skip


SOME = Place("photos-00000.rgb", 0, 0)


def kept(number: int, label: int = 0) -> Photo:
    identity = hashlib.sha256(f"{label} {number}".encode()).hexdigest()
    return Photo(
        photo=identity, entry=f"{label}/{number}.jpg", class_name=str(label), label=label,
        split="train", group=identity, width=64, height=48, shard="", position=0, crc32=0,
    )  # fmt: skip


def refusal(number: int, reason: str, same_as: str = "") -> Refusal:
    return Refusal(
        entry=f"r/{number}.jpg", class_name="r", reason=reason, detail="", same_as=same_as
    )


def recorded(entries: list[str], folder: Path, size: int) -> tuple[dict[str, Place], Records]:
    """A record of a picture of its own for each entry."""
    records = Records(folder, size)
    return {
        entry: records.write(number, np.asarray(picture(number, size, size)))
        for number, entry in enumerate(entries)
    }, records


def draw(folder: Path, photos: list[Photo], refused: list[Refusal] | None = None) -> list[str]:
    """Draw the sheets of photos that all have records; returns the files' names."""
    refused = refused or []
    rows = [*photos, *(r for r in refused if r.reason in ("duplicate", "label conflict"))]
    folder.mkdir(parents=True, exist_ok=True)
    places, records = recorded([row.entry for row in rows], folder, 96)
    write_contact_sheets(folder, photos, refused, places, records)
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.jpg"))


def size_of(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


def tiles_of(path: Path, height: int = TILE) -> list[Pixels]:
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB"))
    return [
        pixels[top : top + 96, left : left + 96]
        for top in range(0, pixels.shape[0], height)
        for left in range(0, pixels.shape[1], TILE)
    ]


def test_a_class_with_one_photo_has_a_sheet_with_one_thumbnail(tmp_path: Path) -> None:
    assert draw(tmp_path, [kept(1)]) == ["contact/000.jpg"]
    assert size_of(tmp_path / class_sheet(0)) == (96, 96)
    (tile,) = tiles_of(tmp_path / class_sheet(0))
    assert np.abs(tile.astype(int) - np.asarray(picture(0, 96, 96))).mean() < 4  # JPEG


def test_a_sheet_is_bounded_however_large_the_class(tmp_path: Path) -> None:
    draw(tmp_path, [kept(number) for number in range(200)])
    assert size_of(tmp_path / class_sheet(0)) == (6 * TILE - 2, 4 * TILE - 2)
    assert (tmp_path / class_sheet(0)).stat().st_size < 60_000


def test_a_photo_that_is_added_displaces_at_most_one(tmp_path: Path) -> None:
    sample = contact_sheets._sample([kept(number) for number in range(200)])
    grown = contact_sheets._sample([kept(number) for number in range(201)])
    assert len(sample) == len(grown) == SHEET_PHOTOS
    assert len(set(sample) - set(grown)) <= 1


def test_only_records_that_are_shown_are_read(tmp_path: Path) -> None:
    class Counting(Records):
        reads = 0

        def read(self, place: Place) -> Pixels:
            self.reads += 1
            return super().read(place)

    photos = [kept(number, label) for label in range(3) for number in range(100)]
    records = Counting(tmp_path, 32)
    place = records.write(0, np.zeros((32, 32, 3), np.uint8))
    write_contact_sheets(tmp_path, photos, [], {photo.entry: place for photo in photos}, records)
    assert records.reads == 3 * SHEET_PHOTOS


def test_the_same_photos_give_the_same_bytes_in_any_order(tmp_path: Path) -> None:
    photos = [kept(number) for number in range(40)]
    refused = [refusal(number, REASONS[number % 9]) for number in range(90)]
    places, records = recorded([row.entry for row in [*photos, *refused]], tmp_path, 48)
    for folder, step in (("a", 1), ("b", -1)):
        (tmp_path / folder).mkdir()
        write_contact_sheets(tmp_path / folder, photos[::step], refused[::step], places, records)
    for name in (class_sheet(0), REFUSED_SHEET):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_an_entry_whose_name_a_used_one_has_is_not_shown_as_that_one(tmp_path: Path) -> None:
    photos = [kept(1)]
    twin = Refusal(entry=photos[0].entry, class_name="r", reason="repeated name", detail="")
    draw(tmp_path, photos, [twin])
    [tile] = tiles_of(tmp_path / REFUSED_SHEET, TILE + 18)
    assert np.abs(tile.astype(int) - 240).mean() < 12, "a crossed field, not the photo"


def test_nothing_refused_is_no_sheet_of_refused_photos(tmp_path: Path) -> None:
    assert REFUSED_SHEET not in draw(tmp_path, [kept(1)])


def test_every_reason_is_shown_though_one_has_thousands(tmp_path: Path) -> None:
    refused = [refusal(number, "duplicate") for number in range(500)]
    refused += [refusal(5000 + n, REASONS[n % 9]) for n in range(900)]
    shown = contact_sheets._of_each_reason(refused, {"r/1.jpg": SOME, "r/5003.jpg": SOME})
    assert len(shown) == 48
    assert {row.reason for row in shown} == set(REASONS)
    draw(tmp_path, [kept(1)], refused)
    assert size_of(tmp_path / REFUSED_SHEET) == (8 * TILE - 2, 6 * (TILE + 18) - 2)
    assert (tmp_path / REFUSED_SHEET).stat().st_size < 100_000


def test_fields_that_all_look_alike_take_no_room_from_pictures() -> None:
    refused = [refusal(number, "truncated") for number in range(40)]
    refused += [refusal(100 + number, "duplicate") for number in range(40)]
    shown = contact_sheets._of_each_reason(refused, {f"r/{n}.jpg": SOME for n in range(100, 140)})
    assert [row.reason for row in shown] == ["duplicate"] * 40 + ["truncated"] * 3


@pytest.mark.parametrize("counts", [(5, 2, 0), (5, 0, 4), (40, 3, 9), (90, 90, 90), (0, 0, 1)])
def test_how_many_refused_photos_are_shown_is_known_from_their_reasons(
    counts: tuple[int, int, int],
) -> None:
    reasons = dict(zip(("duplicate", "label conflict", "truncated"), counts, strict=True))
    refused = [
        refusal(number, reason)
        for reason, count in reasons.items()
        for number in range(1000 * len(reason), 1000 * len(reason) + count)
    ]
    places = {row.entry: SOME for row in refused if row.reason != "truncated"}
    assert refused_sheet_photos(reasons) == len(contact_sheets._of_each_reason(refused, places))


def test_two_photos_of_one_conflict_lie_side_by_side() -> None:
    pairs = [(2 * n, 2 * n + 1) for n in range(20)]
    refused = [
        refusal(one, "label conflict", same_as=f"r/{other}.jpg")
        for pair in pairs
        for one, other in (pair, pair[::-1])
    ]
    shown = contact_sheets._of_each_reason(refused, {row.entry: 0 for row in refused})
    entries = [row.entry for row in shown]
    for one, other in pairs:
        assert abs(entries.index(f"r/{one}.jpg") - entries.index(f"r/{other}.jpg")) == 1


def test_what_was_decoded_is_a_picture_and_the_rest_a_crossed_field(tmp_path: Path) -> None:
    draw(tmp_path, [], [refusal(1, "duplicate"), refusal(2, "empty")])
    picture_tile, field = tiles_of(tmp_path / REFUSED_SHEET, TILE + 18)
    assert picture_tile.std() > 30
    assert field.std() < 15


@pytest.mark.parametrize("reason", [*REASONS, "a reason of far too many words to fit", "\u202e\n"])
def test_a_caption_is_drawn_and_stays_in_its_tile(reason: str) -> None:
    tile = contact_sheets._refused_tile(reason, np.empty((0, 32, 32, 3), np.uint8), None)
    caption = np.asarray(tile.convert("L"))[97:]
    assert tile.size == (96, 114)
    if reason.isprintable():
        assert caption.min() < 100
    assert caption[-1].min() == 255, "cut off below"
