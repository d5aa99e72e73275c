"""The code digest: changed by any change of the source, and by nothing else."""

import importlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.contract.code import code_digest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An importable package of two files, and no memory of its digest."""
    root = tmp_path / "fingerprinted"
    (root / "inner").mkdir(parents=True)
    (root / "__init__.py").write_text("x = 1\n")
    (root / "inner" / "page.html").write_text("<p>")
    monkeypatch.syspath_prepend(tmp_path)
    yield root
    sys.modules.pop("fingerprinted", None)


def digest_now() -> str:
    importlib.invalidate_caches()
    code_digest.cache_clear()
    return code_digest("fingerprinted")


@pytest.mark.parametrize(
    "change",
    [
        lambda root: (root / "__init__.py").write_text("x = 2\n"),
        lambda root: (root / "inner" / "page.html").write_text("<b>"),
        lambda root: (root / "inner" / "page.html").rename(root / "page.html"),
        lambda root: (root / "new.py").touch(),
        lambda root: (root / "inner" / "page.html").unlink(),
    ],
    ids=["edited", "template edited", "moved", "added", "removed"],
)
def test_the_code_digest_changes_with_any_file(package: Path, change) -> None:
    before = digest_now()
    change(package)
    assert digest_now() != before


def test_the_code_digest_ignores_time_and_compiled_files(package: Path) -> None:
    before = digest_now()
    os.utime(package / "__init__.py", (1, 1))
    (package / "__pycache__").mkdir()
    (package / "__pycache__" / "x.pyc").write_bytes(b"compiled")
    assert digest_now() == before


def test_a_modules_digest_is_of_its_file(package: Path) -> None:
    (package / "module.py").write_text("y = 1\n")
    importlib.invalidate_caches()
    code_digest.cache_clear()
    before = code_digest("fingerprinted.module")
    (package / "__init__.py").write_text("x = 3\n")
    code_digest.cache_clear()
    assert code_digest("fingerprinted.module") == before
    (package / "module.py").write_text("y = 2\n")
    code_digest.cache_clear()
    assert code_digest("fingerprinted.module") != before


def test_the_command_prints_the_digest_of_the_steps_with_the_standard_library_alone() -> None:
    answer = subprocess.run(
        [sys.executable, "-S", "-m", "tasks.contract.code"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert answer.stdout.strip() == code_digest("tasks"), answer.stderr
