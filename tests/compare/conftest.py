"""The comparison's tests share a fabricated world and a reader of its report."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tasks.contract.store import Store
from tests.compare.world import World


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def read_report(store: Store) -> Callable[[str], Any]:
    """Reads a published file of run-1: text, or parsed JSON, or bytes of a picture."""

    def read(name: str) -> Any:
        content = store.read(f"reports/run-1/{name}")
        assert content is not None, name
        if Path(name).suffix == ".json":
            return json.loads(content)
        return content if name.endswith((".png", ".jpg")) else content.decode()

    return read
