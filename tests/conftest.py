"""What all tests share: a real object store, started once, and a bucket folder of one's own.

Also a real Docker engine and the training image, for the tests marked ``docker``.
"""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from embedded.ports import free_ports
from embedded.settings import STORE_PORTS, Settings
from embedded.store import start_store, stop_store, store_environment
from tasks.contract.cache import Cache
from tasks.contract.store import Store

if TYPE_CHECKING:
    from tests.engine import Engine

ROOT = Path(__file__).resolve().parent.parent
BASE = "wildlife-base:bookworm"
#: What takes longest is begun first, so that no worker is left with it alone at the end.
LONGEST_FIRST = ("docker", "airflow", "keras")


class Modules(LoadScopeScheduling):
    """Workers (``-n 2``) share out whole modules; all tests of the one Docker engine are one's."""

    def _split_scope(self, nodeid: str) -> str:
        module = nodeid.partition("::")[0]
        return "docker" if "mark.docker" in (ROOT / module).read_text() else module


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Modules:
    return Modules(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Only with workers; a single process keeps pytest's own order."""
    if hasattr(config, "workerinput"):
        items.sort(key=_place_in_the_queue)


def _place_in_the_queue(item: pytest.Item) -> int:
    marks = [item.get_closest_marker(name) is not None for name in LONGEST_FIRST]
    return marks.index(True) if True in marks else len(marks)


@pytest.fixture(scope="session")
def store_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A real SeaweedFS on ports of its own, for the whole test session."""
    settings = Settings(
        _env_file=None, home=tmp_path_factory.mktemp("stack"), store_port=free_ports(STORE_PORTS)
    )
    start_store(settings)
    yield settings
    stop_store(settings)


@pytest.fixture(scope="session")
def store_env(store_settings: Settings) -> dict[str, str]:
    """The environment in which ``python -m tasks`` reaches the test store."""
    return store_environment(store_settings)


@pytest.fixture
def store(store_env: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """The test store's bucket, emptied after each test."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        if name != "AWS_CA_BUNDLE":
            monkeypatch.delenv(name)
    for name, value in store_env.items():
        monkeypatch.setenv(name, value)
    store = Store.from_environment()
    yield store
    left = [{"Key": head.key} for head in store.list("")]
    for first in range(0, len(left), 1000):  # as many as one request may name
        store._client.delete_objects(
            Bucket=store.bucket, Delete={"Objects": left[first : first + 1000]}
        )


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


@pytest.fixture(scope="session")
def engine() -> Iterator["Engine"]:
    """A Docker engine of the tests' own; without what it needs, its tests are skipped."""
    from tests.engine import Engine, home_folder, missing  # only sessions that need it pay for it

    reason = missing()
    if reason is not None:
        # In continuous integration a skipped test would look like a passed one.
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(reason)
    with Engine(home_folder()) as engine:
        yield engine


@pytest.fixture(scope="session")
def image(engine: "Engine") -> str:
    """The training image's name in that engine, built from this tree the way a user builds it."""
    if not engine.docker("images", "--quiet", BASE):
        _make(engine, "base")
    _make(engine, "image")
    return "wildlife-tasks:cpu"


@pytest.fixture(scope="session")
def airflow_image(engine: "Engine", image: str) -> str:
    """The name of the image of a site's Airflow in that engine; made of the same base."""
    _make(engine, "image", "TARGET=airflow")
    return "wildlife-airflow:site"


def _make(engine: "Engine", *arguments: str) -> None:
    """Run ``make ARGUMENTS`` against the tests' engine; its last words are the failure's."""
    answer = subprocess.run(
        ["make", "--silent", "-C", str(ROOT), *arguments],
        env={**os.environ, **engine.environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if answer.returncode != 0:
        pytest.fail(f"make {' '.join(arguments)}:\n{answer.stdout[-3000:]}", pytrace=False)
