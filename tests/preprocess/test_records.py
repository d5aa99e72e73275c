"""Records: every photo's pixels arrive in the place that its row names."""

import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from tasks.preprocess.records import Place, Records

SIZE = 4
RECORD = SIZE * SIZE * 3


@pytest.fixture
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (70, SIZE, SIZE, 3), dtype=np.uint8)


def test_a_record_is_where_its_number_puts_it(tmp_path: Path, pixels: np.ndarray) -> None:
    records = Records(tmp_path, SIZE, shard_bytes=2 * RECORD + 1)
    places = [records.write(number, pixels[number]) for number in (4, 0, 1)]
    assert places == [
        Place("photos-00002.rgb", 0, zlib.crc32(pixels[4].tobytes())),
        Place("photos-00000.rgb", 0, zlib.crc32(pixels[0].tobytes())),
        Place("photos-00000.rgb", 1, zlib.crc32(pixels[1].tobytes())),
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "photos-00000.rgb",
        "photos-00002.rgb",
    ]
    assert (tmp_path / "photos-00000.rgb").read_bytes() == pixels[:2].tobytes()


def test_many_threads_may_write_in_any_order(tmp_path: Path, pixels: np.ndarray) -> None:
    records = Records(tmp_path, SIZE, shard_bytes=7 * RECORD)
    numbers = np.random.default_rng(1).permutation(70).tolist()
    with ThreadPoolExecutor(8) as pool:
        places = list(pool.map(lambda n: records.write(n, pixels[n]), numbers))
    for number, place in zip(numbers, places, strict=True):
        assert np.array_equal(records.read(place), pixels[number])
    whole = b"".join(path.read_bytes() for path in sorted(tmp_path.iterdir()))
    assert whole == pixels.tobytes()


def test_what_is_left_out_between_is_a_hole_of_whole_records(
    tmp_path: Path, pixels: np.ndarray
) -> None:
    records = Records(tmp_path, SIZE)
    place = records.write(5, np.asfortranarray(pixels[5]))
    assert (tmp_path / place.shard).stat().st_size == 6 * RECORD
    assert np.array_equal(records.read(place), pixels[5])


def test_a_record_larger_than_a_file_gets_one_of_its_own(
    tmp_path: Path, pixels: np.ndarray
) -> None:
    records = Records(tmp_path, SIZE, shard_bytes=1)
    shards = [records.write(number, pixels[number]).shard for number in (0, 1)]
    assert shards == ["photos-00000.rgb", "photos-00001.rgb"]
