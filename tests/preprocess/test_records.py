"""Records: every photo's pixels arrive in the place that its row names."""

import zlib
from pathlib import Path

import numpy as np
import pytest

from tasks.preprocess.records import Place, Spool, write_shards

SIZE = 4
RECORD = SIZE * SIZE * 3


@pytest.fixture
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (7, SIZE, SIZE, 3), dtype=np.uint8)


def test_the_spool_gives_back_what_it_was_given(tmp_path: Path, pixels: np.ndarray) -> None:
    with Spool.open(tmp_path / "spool", SIZE) as spool:
        assert spool.records().shape == (0, SIZE, SIZE, 3)
        turned = np.asfortranarray(pixels[0])
        assert [spool.append(turned), *map(spool.append, pixels[1:])] == list(range(7))
        assert np.array_equal(spool.records(), pixels)
    assert not (tmp_path / "spool").exists()


def test_a_record_file_ends_at_its_split_or_when_it_is_full(
    tmp_path: Path, pixels: np.ndarray
) -> None:
    order = [("train", 6), ("train", 0), ("train", 3), ("test", 2), ("test", 5)]
    places = write_shards(tmp_path, pixels, order, shard_bytes=2 * RECORD + 1)
    assert [(place.shard, place.position) for place in places] == [
        ("train-00000.rgb", 0),
        ("train-00000.rgb", 1),
        ("train-00001.rgb", 0),
        ("test-00000.rgb", 0),
        ("test-00000.rgb", 1),
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "test-00000.rgb",
        "train-00000.rgb",
        "train-00001.rgb",
    ]
    assert write_shards(tmp_path, pixels, order, workers=3, shard_bytes=2 * RECORD + 1) == places
    for (_, number), place in zip(order, places, strict=True):
        start = place.position * RECORD
        content = (tmp_path / place.shard).read_bytes()[start : start + RECORD]
        assert content == pixels[number].tobytes()
        assert place.crc32 == zlib.crc32(content)


def test_a_record_larger_than_a_file_gets_one_of_its_own(
    tmp_path: Path, pixels: np.ndarray
) -> None:
    places = write_shards(tmp_path, pixels, [("train", 0), ("train", 1)], shard_bytes=1)
    assert places == [
        Place("train-00000.rgb", 0, zlib.crc32(pixels[0].tobytes())),
        Place("train-00001.rgb", 0, zlib.crc32(pixels[1].tobytes())),
    ]
