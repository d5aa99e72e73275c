"""What all tests share: a real object store, started once, and a bucket folder of one's own."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from embedded.settings import STORE_PORTS, Settings
from embedded.store import start_store, stop_store, store_environment
from tasks.contract.cache import Cache
from tasks.contract.store import Store
from tests.ports import free_ports


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
    for head in list(store.list("")):
        store.delete(head.key)


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")
