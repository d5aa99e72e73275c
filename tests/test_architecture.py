"""The rules that keep the house pleasant (docs/architecture.md), checked on every import."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
STEPS = ("fetch", "preprocess", "train", "compare", "champion")


def modules(folder: str) -> list[Path]:
    found = sorted((ROOT / folder).rglob("*.py"))
    assert found, f"{folder} has no modules: the rule would guard nothing"
    return found


def imports(module: Path) -> Iterator[str]:
    """Every module that this one imports, anywhere in it, by absolute name."""
    package = module.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            name = ".".join(part for part in (base, node.module or "") if part)
            yield name
            yield from (f"{name}.{alias.name}" for alias in node.names)


def offenders(folder: str, *forbidden: str, but: tuple[str, ...] = ()) -> list[str]:
    return [
        f"{module.relative_to(ROOT)} imports {name}"
        for module in modules(folder)
        if not str(module.relative_to(ROOT)).startswith(but or ("\0",))
        for name in imports(module)
        if any(name == root or name.startswith(f"{root}.") for root in forbidden)
    ]


def test_steps_never_import_airflow_or_its_house() -> None:
    assert not offenders("tasks", "airflow", "wildlife", "dags", "plugins", "embedded")


@pytest.mark.parametrize("step", STEPS)
def test_no_step_imports_another(step: str) -> None:
    others = [f"tasks.{other}" for other in STEPS if other != step]
    assert not offenders(f"tasks/{step}", *others)


def test_nothing_of_a_run_imports_what_asks_its_networks() -> None:
    for folder in ("contract", *STEPS):
        assert not offenders(f"tasks/{folder}", "tasks.predict", "tasks.promotion")


def test_retention_imports_the_contract_alone_and_nothing_of_a_run_imports_it() -> None:
    assert not offenders("tasks/retention", "tasks.predict", "tasks.promotion", "tasks.registry")
    assert not offenders("tasks/retention", *(f"tasks.{step}" for step in STEPS))
    for folder in ("contract", *STEPS):
        assert not offenders(f"tasks/{folder}", "tasks.retention")


def test_the_contract_imports_no_step() -> None:
    assert not offenders("tasks/contract", *(f"tasks.{step}" for step in STEPS))


def test_tensorflow_is_imported_only_where_models_are_trained() -> None:
    assert not offenders("tasks", "tensorflow", "keras", but=("tasks/train/",))


@pytest.mark.parametrize("folder", ["dags", "plugins"])
def test_airflow_side_never_imports_tensorflow(folder: str) -> None:
    assert not offenders(folder, "tensorflow", "keras")


@pytest.mark.parametrize("folder", ["dags", "plugins"])
def test_airflow_side_imports_only_the_contract_of_the_steps(folder: str) -> None:
    steps = [f"tasks.{step}" for step in STEPS]
    assert not offenders(folder, "tasks.registry", "tasks.__main__", *steps)


def test_nothing_imports_the_dags_folder() -> None:
    for folder in ("tasks", "plugins", "embedded"):
        assert not offenders(folder, "dags")


def test_the_command_line_starts_without_tensorflow() -> None:
    """A cache hit must cost seconds, so naming and importing the steps must not load Keras."""
    code = (
        "import sys, tasks.__main__\n"
        "from tasks.registry import STEP_NAMES, step_named\n"
        "steps = [step_named(name) for name in STEP_NAMES]\n"
        "assert len(steps) == 7\n"
        "print([m for m in ('tensorflow', 'keras', 'matplotlib', 'airflow') if m in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert answer.stdout.strip() == "[]", answer.stderr


def test_no_lock_names_a_download_address() -> None:
    for lock in (ROOT / "requirements").glob("*.txt"):
        assert "://" not in lock.read_text(), lock.name


def test_every_locked_requirement_has_a_hash() -> None:
    for lock in (ROOT / "requirements").glob("*.txt"):
        blocks = lock.read_text().replace("\\\n", " ").splitlines()
        pins = [line for line in blocks if line and not line.lstrip().startswith("#")]
        assert pins
        assert all("==" in pin and "--hash=sha256:" in pin for pin in pins), lock.name


@pytest.mark.parametrize("name", ["airflow.txt", "tasks.txt", "tasks-gpu.txt"])
def test_an_image_has_the_versions_that_are_developed_with(name: str) -> None:
    def pins(lock: str) -> set[str]:
        text = (ROOT / "requirements" / lock).read_text()
        # tensorflow-cpu is TensorFlow without its GPU code.
        return set(
            re.findall(r"^([\w.-]+==[\w.+]+)", text.replace("tensorflow-cpu", "tensorflow"), re.M)
        )

    cuda = {pin for pin in pins(name) if pin.startswith("nvidia-")}
    assert pins(name) - cuda <= pins("lock.txt")
    assert bool(cuda) == (name == "tasks-gpu.txt")
