"""The comparison at the real archive's size, on fabricated results of the steps before it."""

from collections.abc import Iterator
from pathlib import Path

from benchmarks.alone import run_alone
from benchmarks.figures import Figure, Target
from tasks.compare.publish import PAGE_FILE
from tasks.contract.cache import Cache
from tasks.contract.config import Config
from tasks.contract.store import Store
from tests.compare.world import World

CLASSES = 20
#: Of each class: 15 % of 14,013 photos, over 20 classes.
TEST_PHOTOS = 105
EPOCHS = 40
_RUN = "bench"


def figures(store: Store, folder: Path) -> Iterator[Figure]:
    """Seconds of the whole process, and the size of the page that it writes."""
    classes = [f"species_{number:02}" for number in range(CLASSES)]
    world = World(classes, TEST_PHOTOS, epochs=EPOCHS)
    world.publish(_RUN, store, Cache(folder / "made"), Config())
    seconds, peak, made = run_alone("compare", _RUN, {}, store, folder / "cache", quiet=True)
    photos = f"{CLASSES * TEST_PHOTOS:,} test photos of {CLASSES} classes"
    yield Figure.of_costs(f"compare, {photos}, s", None, seconds, Target("ours", "<=", 30))
    yield Figure.of_costs("its peak memory, GB", None, peak)
    yield Figure.of_costs("its page, MB", None, made.files[PAGE_FILE].size / 1e6)
