"""The search for near duplicates as archives grow, against comparing each with each."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure as Drawing
from numpy.typing import NDArray

from benchmarks.figures import Figure, Target, best_seconds
from tasks.preprocess.near_duplicates import near_duplicate_components

BITS = 4
#: Photos of the real archive, and sizes around it. Comparing all of more would take minutes.
SIZES = (1_000, 10_000, 14_013, 30_000, 100_000)
_PLAIN_AT_MOST = 30_000
PLOT = Path(__file__).with_name("near-duplicates.png")


def figures() -> Iterator[Figure]:
    """Seconds for so many hashes, of which one in fifty has a near duplicate; also as a plot."""
    found = []
    for size in SIZES:
        hashes = _hashes(size)
        listed = hashes.tolist()
        ways: list[Callable[[], object]] = [partial(near_duplicate_components, listed, BITS)]
        if size <= _PLAIN_AT_MOST:
            ways.append(partial(_all_pairs, hashes))
        seconds = best_seconds(ways, rounds=2)
        found.append(seconds)
        yield Figure.of_costs(
            f"near duplicates among {size:,} photos, s",
            seconds[1] if len(seconds) > 1 else None,
            seconds[0],
            Target("ours", "<=", 5) if size == 14_013 else None,
        )
    _plot(found)


def _plot(found: Sequence[Sequence[float]]) -> None:
    """Cost against size: a line of slope one doubles with the archive, of slope two squares."""
    drawing = Drawing(figsize=(6.4, 4), layout="constrained")
    axes = drawing.subplots()
    for place, label in enumerate(("alike in a band of bits (ours)", "each with each")):
        costs = [seconds[place] for seconds in found if len(seconds) > place]
        axes.loglog(SIZES[: len(costs)], costs, "o-", label=label)
    axes.set_xlabel("Photos")
    axes.set_ylabel("Seconds")
    axes.set_title("Search for near duplicates")
    axes.grid(color="#e3e6e4")
    axes.legend(frameon=False)
    drawing.savefig(PLOT, dpi=150)


def _hashes(size: int) -> NDArray[np.uint64]:
    random = np.random.default_rng(0)
    hashes = random.integers(0, 2**64, size, dtype=np.uint64)
    copies = size // 50
    flips = np.left_shift(np.uint64(1), random.integers(0, 64, copies, dtype=np.uint64))
    hashes[:copies] = hashes[copies : 2 * copies] ^ flips
    return hashes


def _all_pairs(hashes: NDArray[np.uint64]) -> int:
    """Row by row in NumPy; in Python itself 14,013 photos would take half a minute."""
    near = 0
    for row in range(len(hashes)):
        distances = np.bitwise_count(hashes[row] ^ hashes[row + 1 :])
        near += int(np.count_nonzero(distances <= BITS))
    return near
