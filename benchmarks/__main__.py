"""``python -m benchmarks [--full] [names]``: measure, print one table, keep it as JSON."""

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from benchmarks import rehearsal
from benchmarks.figures import LATEST, Figure, save, table
from embedded.ports import free_ports
from embedded.settings import STORE_PORTS, Settings
from embedded.store import start_store, stop_store, store_environment
from tasks.contract.store import Store

PARTS = ("preprocess", "reading", "near-duplicates", "training", "compare", "pages")
#: Only if they are asked for.
LONG_PARTS = ("year",)


def main() -> int:
    """Run the command line; returns 0 whether targets were met or not: machines are noisy."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--full", action="store_true", help="the real archive's size, made up")
    parser.add_argument("parts", nargs="*", choices=[*PARTS, *LONG_PARTS, []], help="only these")
    given = parser.parse_args()
    with _bucket() as (store, folder):
        if given.full:
            figures = list(rehearsal.figures(store, folder))
        else:
            figures = [f for part in given.parts or PARTS for f in _measured(part, store, folder)]
    print(table(figures))
    if not given.full:
        save(figures)
        print(f"kept in {LATEST.relative_to(Path.cwd())}")
    return 0


def _measured(part: str, store: Store, folder: Path) -> Iterator[Figure]:
    # TensorFlow is imported by those parts alone that need it.
    if part == "preprocess":
        from benchmarks.preprocessing import figures

        yield from figures(store, folder)
    elif part == "reading":
        from benchmarks.reading import figures as of_reading

        yield from of_reading(folder)
    elif part == "training":
        from benchmarks.training import figures as of_training

        yield from of_training(store, folder)
    elif part == "compare":
        from benchmarks.comparing import figures as of_comparing

        yield from of_comparing(store, folder)
    elif part == "year":
        from benchmarks.year import figures as of_year

        yield from of_year(store, folder)
    elif part == "pages":
        from benchmarks.pages import figures as of_pages

        yield from of_pages(store)
    else:
        from benchmarks.near_duplicates import figures as of_near_duplicates

        yield from of_near_duplicates()


@contextmanager
def _bucket() -> Iterator[tuple[Store, Path]]:
    """A real store of the benchmark's own, on free ports, with a folder that goes away."""
    with tempfile.TemporaryDirectory(prefix="wildlife-bench-") as name:
        folder = Path(name)
        settings = Settings(
            _env_file=None, home=folder / "stack", store_port=free_ports(STORE_PORTS)
        )
        os.environ.update(store_environment(settings))
        start_store(settings)
        try:
            yield Store.from_environment(), folder
        finally:
            stop_store(settings)


if __name__ == "__main__":
    sys.exit(main())
