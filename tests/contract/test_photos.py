"""The prepared data set: rows and records come back as written, and damage is named."""

import os
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.contract.errors import InputError
from tasks.contract.photos import (
    Photo,
    PhotoSet,
    Refusal,
    read_record,
    read_rows,
    write_rows,
)

TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
SIZE = 4


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.builds(Photo, entry=TEXT, class_name=TEXT, photo=TEXT, group=TEXT, shard=TEXT),
        max_size=5,
    )
)
def test_rows_survive_their_file_whatever_the_names(tmp_path: Path, rows: list[Photo]) -> None:
    write_rows(tmp_path / "rows", rows)
    assert read_rows(tmp_path / "rows", Photo) == rows


def test_a_name_with_line_breaks_stays_one_row(tmp_path: Path) -> None:
    rows = [Refusal(entry="a\n\u2028b\x85", class_name="c", reason="empty", detail="d\r")]
    write_rows(tmp_path / "rows", rows)
    assert (tmp_path / "rows").read_bytes().count(b"\n") == 1
    assert read_rows(tmp_path / "rows", Refusal) == rows


@pytest.fixture
def data(tmp_path: Path) -> tuple[list[Photo], np.ndarray]:
    """Five photos in two record files, the rows not in the order of the records."""
    pixels = np.random.default_rng(0).integers(0, 256, (5, SIZE, SIZE, 3), dtype=np.uint8)
    (tmp_path / "train-0").write_bytes(pixels[:3].tobytes())
    (tmp_path / "train-1").write_bytes(pixels[3:].tobytes())
    rows = [
        Photo(
            photo=str(number),
            entry=f"c/{number}.jpg",
            class_name="c",
            label=number % 2,
            split="train",
            group=str(number),
            width=9,
            height=9,
            shard=f"train-{number // 3}",
            position=number % 3,
            crc32=zlib.crc32(pixels[number].tobytes()),
        )
        for number in (4, 0, 3, 2, 1)
    ]
    return rows, pixels[[4, 0, 3, 2, 1]]


def test_any_photo_is_found_whatever_its_record_file(tmp_path: Path, data) -> None:
    rows, pixels = data
    photos = PhotoSet.open(rows, "train", SIZE, tmp_path.joinpath)
    photos.verify()
    assert len(photos) == 5
    assert photos.labels.tolist() == [0, 0, 1, 0, 1]
    assert np.array_equal(photos.pixels([2, 0, 2]), pixels[[2, 0, 2]])
    assert photos.pixels([]).shape == (0, SIZE, SIZE, 3)
    assert photos.pixels([1]).ctypes.data % 64 == 0


def test_one_record_is_read_alone_and_checked(tmp_path: Path, data) -> None:
    rows, pixels = data

    def read(name: str, start: int, stop: int) -> bytes:
        return (tmp_path / name).read_bytes()[start:stop]

    for row, expected in zip(rows, pixels, strict=True):
        assert np.array_equal(read_record(row, SIZE, read), expected)
    (tmp_path / "train-1").write_bytes(bytes(2 * SIZE * SIZE * 3))
    with pytest.raises(InputError, match=r"record 1 of train-1 \('c/4.jpg'\) is damaged"):
        read_record(rows[0], SIZE, read)


def test_a_split_without_photos_is_told(tmp_path: Path, data) -> None:
    with pytest.raises(InputError, match="the test split has no photos"):
        PhotoSet.open(data[0], "test", SIZE, tmp_path.joinpath)


def test_a_record_file_of_another_length_is_named(tmp_path: Path, data) -> None:
    with (tmp_path / "train-1").open("ab") as file:
        file.write(b"x")
    with pytest.raises(InputError, match="train-1 does not hold whole 4x4 photos"):
        PhotoSet.open(data[0], "train", SIZE, tmp_path.joinpath)


def test_a_record_file_that_is_cut_short_while_it_is_read_is_named(tmp_path: Path, data) -> None:
    photos = PhotoSet.open(data[0], "train", SIZE, tmp_path.joinpath)
    os.truncate(tmp_path / "train-1", SIZE * SIZE * 3 + 5)
    with pytest.raises(InputError, match=r"record 1 of train-1 \('c/4.jpg'\) is damaged"):
        photos.pixels([1, 0])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)
@given(st.integers(0, 2 * SIZE * SIZE * 3 - 1), st.integers(1, 255))
def test_any_altered_byte_is_traced_to_its_photo(
    tmp_path: Path, data, place: int, change: int
) -> None:
    rows, _ = data
    content = bytearray((tmp_path / "train-1").read_bytes())
    whole = bytes(content)
    content[place] ^= change
    (tmp_path / "train-1").write_bytes(content)
    photos = PhotoSet.open(rows, "train", SIZE, tmp_path.joinpath)
    position = place // (SIZE * SIZE * 3)
    with pytest.raises(InputError, match=rf"record {position} of train-1 \('c/{3 + position}.jpg'"):
        photos.verify()
    (tmp_path / "train-1").write_bytes(whole)
