"""The training image: what it says of itself, what it may do, and what it must not hold."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from tasks.contract.code import code_digest
from tasks.contract.manifest import record_key
from tasks.contract.store import Store
from tests.engine import Engine
from tests.preprocess.archives import zip_of

pytestmark = pytest.mark.docker
ROOT = Path(__file__).resolve().parents[2]
CONFINED = ["--network", "host", "--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL"]
CONFINED += ["--security-opt", "no-new-privileges"]


def run(engine: Engine, image: str, *arguments: str, options: tuple[str, ...] = ()) -> str:
    return engine.docker("run", "--rm", *CONFINED, *options, image, *arguments)


def shell(engine: Engine, image: str, script: str) -> str:
    return run(engine, image, "-c", script, options=("--entrypoint", "/bin/sh"))


def make_image(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", "--silent", "-C", str(ROOT), "image"],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )


def test_the_labels_say_which_code_it_is(engine: Engine, image: str) -> None:
    labels = json.loads(engine.docker("inspect", "--format", "{{json .Config.Labels}}", image))
    git = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    revision = subprocess.run(git, cwd=ROOT, capture_output=True, text=True, check=True)
    version = f'version = "{labels["org.opencontainers.image.version"]}"\n'
    assert version in (ROOT / "pyproject.toml").read_text()
    assert labels["org.opencontainers.image.title"] == "wildlife-tasks"
    assert labels["org.opencontainers.image.revision"] == revision.stdout.strip()
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert labels["wildlife.code"] == code_digest("tasks")


def test_the_code_in_it_is_that_of_the_tree(engine: Engine, image: str) -> None:
    inside = run(engine, image, "-m", "tasks.contract.code", options=("--entrypoint", "python"))
    assert inside == code_digest("tasks")


def test_it_runs_confined_and_as_nobody_in_particular(engine: Engine, image: str) -> None:
    assert "train_transfer" in run(engine, image, "--help")
    assert shell(engine, image, "id -u; id -g").split() == ["10001", "10001"]
    writable = "find / -xdev -writable -not -type l -not -path '/proc/*' -not -path '/dev/*'"
    found = shell(engine, image, f"{writable} 2>/dev/null || true").split()
    # A read-only root counts as not writable; what is left are the places that are mounted.
    assert set(found) <= {"/cache", "/tmp"}


def test_a_step_runs_in_it(
    engine: Engine, image: str, store: Store, store_env: dict[str, str], tmp_path: Path
) -> None:
    archive = zip_of({"pets/cat/1.jpg": b"one", "pets/dog/1.jpg": b"two"}, tmp_path / "pets.zip")
    store.write("datasets/pets.zip", archive.read_bytes())
    settings = tuple(part for item in store_env.items() for part in ("-e", "=".join(item)))
    config = json.dumps({"archive": "datasets/pets.zip"})
    run(engine, image, "fetch", "--run-id", "r1", "--config", config, options=settings)
    record = json.loads(store.read(record_key("r1", "fetch")) or b"{}")
    assert record["manifest"]["facts"]["classes"] == {"cat": 1, "dog": 1}


def test_its_tensorflow_is_the_one_without_gpu_code(engine: Engine, image: str) -> None:
    command = "from tasks.contract.step import provenance; print(*provenance())"
    found = run(engine, image, "-c", command, options=("--entrypoint", "python")).split()
    assert ("tensorflow-cpu" in found) == (os.uname().machine == "x86_64")
    assert {"revision", "keras", "numpy"} <= set(found)


def test_it_holds_no_secret_no_installer_and_no_history(engine: Engine, image: str) -> None:
    names = "-name pip.conf -o -name .git -o -name .env -o -name .netrc -o -name uv"
    names += " -o -path '/opt/*' -name pip -o -path /etc/apt/sources.list"
    found = shell(engine, image, f"find / -xdev \\( {names} \\) 2>/dev/null || true")
    # A base from a registry has a package list of its own, which is public.
    assert set(found.split()) <= {"/etc/apt/sources.list"}
    said = engine.docker("history", "--no-trunc", "--format", "{{.CreatedBy}}", image)
    said += engine.docker("inspect", "--format", "{{json .Config.Env}}", image)
    for word in ("INDEX_URL", "SECRET", "PASSWORD", "TOKEN", "://"):
        assert word not in said.upper()


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"BASE": "localhost:1/no-such-base"}, ["localhost:1/no-such-base", "make base"]),
        ({"TARGET": "tpu"}, ["tpu", "TARGET=gpu"]),
        ({"DOCKER_HOST": "unix:///nowhere.sock"}, ["unix:///nowhere.sock", "DOCKER_HOST"]),
    ],
    ids=["base", "target", "engine"],
)
def test_what_is_missing_is_named_with_the_remedy(
    engine: Engine, setting: dict[str, str], words: list[str]
) -> None:
    answer = make_image({**engine.environment, **setting})
    lines = [line for line in answer.stderr.splitlines() if line.startswith("make image: ")]
    assert answer.returncode != 0
    assert len(lines) == 1, answer.stderr
    assert all(word in lines[0] for word in words)


def test_a_base_that_is_there_is_left_alone(engine: Engine, image: str) -> None:
    before = engine.docker("image", "inspect", "--format", "{{.Id}}", "wildlife-base:bookworm")
    answer = subprocess.run(
        ["make", "--silent", "-C", str(ROOT), "base"],
        env={**os.environ, **engine.environment},
        capture_output=True,
        text=True,
    )
    assert "is there already" in answer.stdout, answer.stderr
    after = engine.docker("image", "inspect", "--format", "{{.Id}}", "wildlife-base:bookworm")
    assert after == before
