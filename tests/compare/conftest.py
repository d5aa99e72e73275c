"""The comparison's tests share a fabricated world and a reader of its report."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure
from PIL import Image

from tasks.contract.store import Store
from tests.compare.world import World


@pytest.fixture
def world(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> World:
    """Its pictures are made up to the last step, and only sketched where nobody looks at them.

    Drawing them takes most of a comparison's time. A test that looks has the mark ``drawn``.
    """
    if request.node.get_closest_marker("drawn") is None:
        monkeypatch.setattr(Figure, "savefig", _sketch)
    return World()


def _sketch(figure: Figure, path: Path, dpi: float = 100, **_options: Any) -> None:
    if path.suffix == ".png":
        width, height = (round(side * dpi) for side in figure.get_size_inches())
        Image.new("RGB", (width, height)).save(path)
    else:
        path.write_text('<svg xmlns="http://www.w3.org/2000/svg"/>')


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
