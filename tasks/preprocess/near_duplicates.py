"""Near duplicates: photos that look the same though their pixels differ (another size or quality).

The perceptual hash is pHash (Zauner 2010, "Implementation and benchmarking of perceptual image
hash functions"): the signs, about their median, of 64 low frequencies of a small grey picture. The
first row and column of frequencies are left out, because they mostly say how bright the edges of
the picture are. On 1,144 photos of six species all 24 pairs within 10 bits were true duplicates,
the first false one came at 12, and copies at 3/4 size and JPEG quality 60 lay within 2; dHash had
false groups from 8 bits on.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from tasks.contract.photos import Pixels
from tasks.preprocess.resize import resized

_SIDE = 32
_FREQUENCIES = np.arange(1, 9)
#: The rows of a discrete cosine transform (type II, unscaled) for those frequencies.
_COSINES = np.cos(np.pi / _SIDE * np.outer(_FREQUENCIES, np.arange(_SIDE) + 0.5))
#: Luma of ITU-R BT.601, as Pillow's and JPEG's own.
_GREY = np.array([0.299, 0.587, 0.114])
_HASH_BITS = 64
#: About so many pairs are kept before they are joined, for memory is bounded.
_KEPT_PAIRS = 1 << 22


def thumbnail(pixels: Pixels) -> Pixels:
    """What a perceptual hash is taken of: an RGB picture of any size as uint8 (32, 32, 3)."""
    return resized(pixels, _SIDE)


def perceptual_hashes(thumbnails: Sequence[Pixels]) -> list[int]:
    """64 bits for each thumbnail; all at once, for one by one NumPy takes longer to call."""
    if not thumbnails:
        return []
    grey = np.stack(thumbnails) @ _GREY
    # Rounded, for the last digits of a product of matrices differ from processor to processor.
    frequencies = (_COSINES @ grey @ _COSINES.T).reshape(-1, _HASH_BITS).round(3)
    middle = np.sort(frequencies)[:, _HASH_BITS // 2 - 1 : _HASH_BITS // 2 + 1]
    bits = frequencies > middle.mean(axis=1, keepdims=True)
    return [int.from_bytes(row.tobytes()) for row in np.packbits(bits, axis=1)]


def near_duplicate_components(hashes: Sequence[int], bits: int) -> NDArray[np.int32]:
    """Number the groups of photos that are connected by steps of at most ``bits`` differing bits.

    Hashes are cut into ``bits`` + 1 bands: two that differ in no more than ``bits`` bits have at
    least one whole band in common, so that only photos alike in a band are compared (multi-index
    hashing; Norouzi, Punjani and Fleet 2012, "Fast search in Hamming space with multi-index
    hashing").

    Returns:
        int32, shape (len(hashes),): the number of each photo's group.
    """
    values, places = np.unique(np.array(hashes, dtype=np.uint64), return_inverse=True)
    components = np.arange(len(values), dtype=np.int32)
    found: list[NDArray[np.int64]] = []
    kept = 0
    for pairs in _near_pairs(values, bits):
        found.append(pairs)
        kept += len(pairs)
        if kept > _KEPT_PAIRS:
            components, found, kept = _joined(components, found), [], 0
    return _joined(components, found)[places]


def _near_pairs(values: NDArray[np.uint64], bits: int) -> Iterator[NDArray[np.int64]]:
    """Pairs (n, 2) of places of different hashes that differ in at most ``bits`` bits."""
    edges = [_HASH_BITS * number // (bits + 1) for number in range(bits + 2)]
    for low, high in pairwise(edges):
        band = (values >> np.uint64(low)) & np.uint64((1 << (high - low)) - 1)
        order = np.argsort(band, kind="stable")
        ordered, band = values[order], band[order]
        # Each with the next one, then with the one after that, as long as the band is the same.
        first, step = np.arange(len(values)), 1
        while first.size:
            first = first[: np.searchsorted(first, len(values) - step)]
            first = first[band[first] == band[first + step]]
            distances = np.bitwise_count(ordered[first] ^ ordered[first + step])
            near = first[distances <= bits]
            if near.size:
                yield np.column_stack((order[near], order[near + step]))
            step += 1


def _joined(components: NDArray[np.int32], found: list[NDArray[np.int64]]) -> NDArray[np.int32]:
    """Renumber components so that the photos of each pair (n, 2) are in the same one."""
    if not found:
        return components
    pairs = components[np.concatenate(found)]
    count = int(components.max()) + 1
    edges = coo_array((np.ones(len(pairs), bool), pairs.T), shape=(count, count))
    _, merged = connected_components(edges, directed=False)
    return np.asarray(merged[components], dtype=np.int32)
