"""The README's commands, for real: make run, make up, make down, with Airflow and the store."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from PIL import Image

from embedded.ports import free_ports
from embedded.settings import STORE_PORTS
from tasks.registry import STEP_NAMES

ROOT = Path(__file__).resolve().parent.parent.parent

pytestmark = pytest.mark.airflow

#: Small photos and one epoch: this test is about the workflow, not about the models.
QUICK = "image_size=64 scratch_epochs=1 transfer_epochs=2 weights=lite0"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of a stack of its own, brought down at the end."""
    first = free_ports(STORE_PORTS + 1)
    environment = {
        **os.environ,
        "WILDLIFE_HOME": str(tmp_path_factory.mktemp("home")),
        "WILDLIFE_STORE_PORT": str(first),
        "WILDLIFE_AIRFLOW_PORT": str(first + STORE_PORTS),
    }
    yield environment
    make("down", environment)


def make(
    target: str, environment: dict[str, str], *arguments: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", "-s", target, *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
    )


def test_the_workflow_runs_from_an_archive_to_a_report(
    stack: dict[str, str], tmp_path: Path
) -> None:
    first = make("run", stack, f"OPTIONS={QUICK}")
    assert first.returncode == 0, first.stdout + first.stderr
    for step in STEP_NAMES:
        assert f"{step:<14}  done in" in first.stdout
    page = Path(first.stdout.partition("report  ")[2].splitlines()[0])
    html = page.read_text()
    assert "synthetic" in html.lower()
    assert html.count("<img") >= 4
    assert (page.parent / "report.md").stat().st_size > 500

    photo = tmp_path / "a photo.png"
    Image.effect_noise((80, 60), 90).convert("RGB").save(photo)
    said = make("predict", stack, f"PHOTO='{photo}'")
    assert said.returncode == 0, said.stdout + said.stderr
    name, *answers = said.stdout.splitlines()
    assert name == str(photo)
    assert len(answers) >= 2
    assert all("%" in line for line in answers)
    nobody = make("predict", stack, f"PHOTO='{photo}'", "RUN=nope")
    assert nobody.returncode != 0
    assert "predict: no run 'nope' has a result of train_transfer" in nobody.stderr
    assert "the network of" not in nobody.stderr

    again = make("run", stack, f"OPTIONS={QUICK}")
    assert again.returncode == 0, again.stdout + again.stderr
    assert again.stdout.count("unchanged since run-") == len(STEP_NAMES)


def test_the_printed_report_address_answers_only_whom_airflow_knows(
    stack: dict[str, str],
) -> None:
    up = make("up", stack)
    password = up.stdout.rpartition("password ")[2].strip()
    base = f"http://127.0.0.1:{stack['WILDLIFE_AIRFLOW_PORT']}"
    reports = sorted(Path(stack["WILDLIFE_HOME"], "reports").iterdir())
    url = f"{base}/wildlife/reports/{reports[-1].name}/index.html"
    with httpx.Client(trust_env=False) as browser:
        stranger = browser.get(url)
        assert stranger.status_code in (302, 303, 307, 401)
        login = {"username": "admin", "password": password}
        token = browser.post(f"{base}/auth/token", json=login).json()["access_token"]
        known = browser.get(url, headers={"Authorization": f"Bearer {token}"})
    assert known.status_code == 200
    assert known.text == (reports[-1] / "index.html").read_text()


def test_a_failed_run_ends_with_the_step_s_own_line(stack: dict[str, str]) -> None:
    answer = make("run", stack, "OPTIONS=archive=datasets/nowhere.zip weights=lite0")
    assert answer.returncode != 0
    assert "fetch failed:" in answer.stderr
    assert "datasets/nowhere.zip" in answer.stderr
    assert "Traceback" not in answer.stdout + answer.stderr


def test_options_and_files_are_checked_before_anything_starts(stack: dict[str, str]) -> None:
    for arguments, complaint in [
        (["OPTIONS=scratch_epochs=0"], "option 'scratch_epochs' is 0"),
        (["OPTIONS=epoch=3"], "unknown option 'epoch'"),
        (["OPTIONS=epochs"], "has no value"),
        (["ARCHIVE=no-such-file.zip"], "there is no file no-such-file.zip"),
    ]:
        answer = make("run", stack, *arguments)
        assert answer.returncode != 0
        assert complaint in answer.stderr
        assert "triggered" not in answer.stdout


def test_a_taken_port_is_one_clear_line(stack: dict[str, str], tmp_path: Path) -> None:
    elsewhere = stack | {"WILDLIFE_HOME": str(tmp_path)}
    answer = make("up", elsewhere)
    assert answer.returncode != 0
    assert f"port {stack['WILDLIFE_STORE_PORT']}" in answer.stderr
    assert "WILDLIFE_STORE_PORT" in answer.stderr


def test_make_down_leaves_nothing_running_and_the_data_in_place(stack: dict[str, str]) -> None:
    down = make("down", stack)
    assert down.returncode == 0
    home = stack["WILDLIFE_HOME"]
    left = [
        process.info["cmdline"]
        for process in psutil.process_iter(["cmdline", "environ"])
        if home in str((process.info["environ"] or {}).get("AIRFLOW_HOME", ""))
        or any(home in part for part in process.info["cmdline"] or ())
    ]
    assert left == []
    assert any(Path(home, "store").iterdir())
    assert make("down", stack).stdout.strip() == "nothing was running"
