"""Near duplicates are found, different photos are kept apart."""

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tasks.preprocess.decode import decode
from tasks.preprocess.near_duplicates import near_duplicate_components, perceptual_hashes
from tests.preprocess.archives import encoded, picture

BITS = 4


def hash_of(image: Image.Image, kind: str = "PNG", **options: int) -> int:
    return perceptual_hashes([decode(encoded(image, kind, **options), 32).thumbnail])[0]


def distance(one: int, other: int) -> int:
    return (one ^ other).bit_count()


@pytest.mark.parametrize("seed", range(10))
def test_a_smaller_worse_copy_is_near(seed: int) -> None:
    original = picture(seed, 448, 298)
    copy = original.resize((336, 224), Image.Resampling.LANCZOS)
    assert distance(hash_of(original), hash_of(copy, "JPEG", quality=60)) <= BITS


def test_a_hash_does_not_depend_on_what_else_is_hashed() -> None:
    thumbnails = [decode(encoded(picture(seed)), 32).thumbnail for seed in range(20)]
    together = perceptual_hashes(thumbnails)
    assert together == [perceptual_hashes([thumbnail])[0] for thumbnail in thumbnails]
    assert perceptual_hashes([]) == []


def test_different_pictures_are_far() -> None:
    hashes = [hash_of(picture(seed)) for seed in range(60)]
    nearest = min(distance(a, b) for i, a in enumerate(hashes) for b in hashes[:i])
    assert nearest > 2 * BITS


def test_a_mirrored_picture_is_another() -> None:
    mirrored = picture(1).transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    assert distance(hash_of(picture(1)), hash_of(mirrored)) > 2 * BITS


def components_by_definition(hashes: list[int], bits: int) -> list[set[int]]:
    """The plain way: grow each group until nothing near is left outside."""
    left, groups = set(range(len(hashes))), []
    while left:
        group, frontier = set(), {left.pop()}
        while frontier:
            group |= frontier
            near = {j for j in left for i in frontier if distance(hashes[i], hashes[j]) <= bits}
            left -= near
            frontier = near
        groups.append(group)
    return groups


HASHES = st.integers(0, 2**64 - 1) | st.integers(0, 255) | st.integers(2**64 - 64, 2**64 - 1)


@given(st.lists(HASHES, max_size=40), st.integers(0, 16))
def test_groups_are_connected_by_small_steps(hashes: list[int], bits: int) -> None:
    components = near_duplicate_components(hashes, bits)
    found = [set(np.flatnonzero(components == number)) for number in set(components.tolist())]
    assert sorted(map(sorted, found)) == sorted(map(sorted, components_by_definition(hashes, bits)))


@pytest.mark.parametrize("bits", [1, 4, 7, 8])
def test_whatever_bits_differ_the_pair_is_found(bits: int) -> None:
    rng = np.random.default_rng(bits)
    hashes = rng.integers(0, 2**64, 400, dtype=np.uint64)
    flips = [sum(1 << int(bit) for bit in rng.choice(64, bits, replace=False)) for _ in range(200)]
    hashes[200:] = hashes[:200] ^ np.array(flips, dtype=np.uint64)
    components = near_duplicate_components(hashes.tolist(), bits)
    assert np.array_equal(components[200:], components[:200])


def test_pairs_are_found_among_thousands() -> None:
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 2**64, 3000, dtype=np.uint64)
    hashes[2000:] = hashes[:1000] ^ np.uint64(1 << 63 | 1 << 50 | 1)
    components = near_duplicate_components(hashes.tolist(), BITS)
    assert np.array_equal(components[2000:], components[:1000])
    assert len(set(components.tolist())) == 2000


@pytest.mark.parametrize("alike", [False, True])
def test_the_real_archive_takes_seconds(alike: bool) -> None:
    """14,013 photos, all different or all the same: about 0.7 s or less on two cores."""
    hashes = np.random.default_rng(0).integers(0, 2**64, 14_013, dtype=np.uint64)
    started = time.monotonic()
    near_duplicate_components([7] * 14_013 if alike else hashes.tolist(), BITS)
    assert time.monotonic() - started < 5
