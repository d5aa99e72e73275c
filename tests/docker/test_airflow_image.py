"""The image of a site's Airflow: whole, of the same revision as the steps, and confined."""

import json
import subprocess
from pathlib import Path

import pytest

from tasks.contract.code import code_digest
from tests.engine import Engine

pytestmark = pytest.mark.docker
ROOT = Path(__file__).resolve().parents[2]
CONFINED = ["--network", "none", "--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL"]
CONFINED += ["--security-opt", "no-new-privileges"]


def run(engine: Engine, image: str, program: str, *arguments: str) -> str:
    command = ["run", "--rm", *CONFINED, "--entrypoint", program, image, *arguments]
    return engine.docker(*command)


def test_it_holds_the_steps_code_that_the_training_image_holds(
    engine: Engine, airflow_image: str
) -> None:
    labels = json.loads(
        engine.docker("inspect", "--format", "{{json .Config.Labels}}", airflow_image)
    )
    assert labels["wildlife.code"] == code_digest("tasks")
    inside = run(engine, airflow_image, "python", "-m", "tasks.contract.code")
    assert inside == code_digest("tasks")


def test_the_dag_and_its_plugin_load_with_what_is_in_it(engine: Engine, airflow_image: str) -> None:
    code = (
        "import sys, wildlife_plugin\n"
        "from airflow.dag_processing.dagbag import DagBag\n"
        "bag = DagBag('/opt/wildlife/dags')\n"
        "print(bag.import_errors, sorted(bag.dags), 'tensorflow' in sys.modules)"
    )
    said = run(engine, airflow_image, "python", "-c", code).splitlines()[-1]
    assert said == "{} ['oregon_wildlife', 'wildlife_maintenance'] False"


def test_it_runs_as_nobody_and_may_write_to_its_logs_alone(
    engine: Engine, airflow_image: str
) -> None:
    script = "id -u; find / -xdev -writable -not -type l -not -path '/proc/*' 2>/dev/null || true"
    user, *writable = run(engine, airflow_image, "sh", "-c", script).split()
    assert user == "10001"
    assert {path for path in writable if not path.startswith("/dev")} <= {"/logs", "/tmp"}


def test_it_holds_no_installer_and_no_address_of_an_index(
    engine: Engine, airflow_image: str
) -> None:
    names = "-name pip.conf -o -name .git -o -name .env -o -name .netrc -o -name secrets.json"
    names += " -o -path '/opt/*/bin/uv' -o -path '/opt/*/bin/pip'"
    search = f"find / -xdev \\( {names} \\) 2>/dev/null || true"  # some folders it may not read
    assert run(engine, airflow_image, "sh", "-c", search) == ""
    said = engine.docker("history", "--no-trunc", "--format", "{{.CreatedBy}}", airflow_image)
    said += engine.docker("inspect", "--format", "{{json .Config.Env}}", airflow_image)
    for word in ("INDEX_URL", "PASSWORD", "TOKEN", "://"):
        assert word not in said.upper()


def test_an_unknown_target_names_those_there_are(engine: Engine) -> None:
    answer = subprocess.run(
        [ROOT / "docker" / "make-image"],
        env={"PATH": "/usr/bin:/bin", "TARGET": "scheduler"},
        capture_output=True,
        text=True,
    )
    assert answer.returncode != 0
    assert "TARGET=airflow" in answer.stderr
