"""The workflow in containers: make run with a real Airflow, store and Docker engine, and what
becomes of a training when its worker, its scheduler or its engine dies, or Airflow stops it."""

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from docker import APIClient

from embedded.airflow import AirflowClient
from embedded.ports import free_ports
from embedded.process import Program
from embedded.settings import STORE_PORTS, Settings
from embedded.store import store_environment
from tasks.contract.manifest import RunRecord, record_key
from tasks.contract.progress import read_progress
from tasks.contract.store import Store, StoreSettings
from tasks.contract.training import HISTORY_FILE
from tasks.registry import STEP_NAMES
from tests.e2e.test_make_run import QUICK, make
from tests.engine import Engine
from tests.plugins.waiting import wait_for
from wildlife.containers.labels import BUCKET

pytestmark = [pytest.mark.airflow, pytest.mark.docker]

#: So many that a training on any machine outlasts what is done to it.
EPOCHS = 400
LONG = {"image_size": 64, "scratch_epochs": EPOCHS, "transfer_epochs": 2, "weights": "lite0"}


@dataclass
class Stack:
    """A running stack and the ways to look into it."""

    environment: dict[str, str]
    settings: Settings
    engine: APIClient

    @property
    def airflow(self) -> AirflowClient:
        return AirflowClient(self.settings)

    @property
    def store(self) -> Store:
        return Store(StoreSettings.from_environment(store_environment(self.settings)))

    def containers(self) -> list[dict[str, Any]]:
        return list(self.engine.containers(all=True, filters={"label": BUCKET}))

    def container(self) -> str:
        """The id of the one running container."""
        (running,) = (found for found in self.containers() if found["State"] == "running")
        return str(running["Id"])

    def task(self, run_id: str, name: str = "train_scratch") -> dict[str, Any]:
        tasks = self.airflow.task_instances(run_id)
        return next(task for task in tasks if task["task_id"] == name)

    def is_try(self, run_id: str, number: int) -> bool:
        task = self.task(run_id)
        return (task["try_number"], task["state"]) == (number, "running")

    def log(self, run_id: str, number: int) -> str:
        return "\n".join(self.airflow.log_lines(run_id, "train_scratch", number))

    def epoch(self, run_id: str) -> int:
        """How many epochs the training from scratch has behind it."""
        progress = read_progress(self.store, run_id, "train_scratch")
        return 0 if progress is None else progress.epoch

    def begin(self, run_id: str, **options: Any) -> str:
        """Start a run and wait until it trains; returns the container."""
        self.airflow.trigger(run_id, LONG | {"archive": "datasets/synthetic-sample.zip"} | options)
        wait_for(lambda: self.epoch(run_id) >= 2, seconds=240)
        return self.container()

    def set_state(self, run_id: str, state: str) -> None:
        path = f"/api/v2/dags/oregon_wildlife/dagRuns/{run_id}/taskInstances/train_scratch"
        answer = self.airflow._request("PATCH", path, json={"new_state": state})
        assert answer.status_code == 200, answer.text

    def clear(self, run_id: str) -> None:
        body = {"dag_run_id": run_id, "task_ids": ["train_scratch"], "dry_run": False}
        path = "/api/v2/dags/oregon_wildlife/clearTaskInstances"
        answer = self.airflow._request("POST", path, json=body | {"only_failed": False})
        assert answer.status_code == 200, answer.text

    def scheduler(self) -> psutil.Process:
        found = Program("airflow-scheduler", self.settings.home).find()
        assert found is not None
        return found

    def kill_scheduler(self) -> None:
        """With all its workers, as a machine that loses its power does."""
        scheduler = self.scheduler()
        for process in [scheduler, *scheduler.children(recursive=True)]:
            process.kill()

    def task_process(self) -> psutil.Process:
        """The process in which Airflow runs the one running task."""
        (task,) = (task for worker in self.scheduler().children() for task in worker.children())
        return task


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, engine: Engine, image: str) -> Iterator[Stack]:
    """A stack of its own whose steps run in containers of the test engine."""
    first = free_ports(STORE_PORTS + 1)
    home = tmp_path_factory.mktemp("home")
    environment = {
        **os.environ,
        "WILDLIFE_HOME": str(home),
        "WILDLIFE_STORE_PORT": str(first),
        "WILDLIFE_AIRFLOW_PORT": str(first + STORE_PORTS),
        "WILDLIFE_RUNNER": "docker",
        "WILDLIFE_RETRIES": "9",
        "WILDLIFE_RETRY_SECONDS": "1",
        "WILDLIFE_DOCKER_URL": engine.url,
        "WILDLIFE_DOCKER_IMAGE": image,
    }
    settings = Settings(
        _env_file=None,
        home=home,
        store_port=first,
        airflow_port=first + STORE_PORTS,
        runner="docker",
    )
    client = APIClient(base_url=engine.url)
    yield Stack(environment, settings, client)
    make("down", environment)
    for container in client.containers(all=True):
        client.remove_container(container["Id"], force=True, v=True)


def test_the_workflow_runs_in_containers_and_leaves_none(stack: Stack) -> None:
    first = make("run", stack.environment, f"OPTIONS={QUICK}")
    assert first.returncode == 0, first.stdout + first.stderr
    assert stack.containers() == []
    run_id = first.stdout.partition("run run-")[2].split()[0]
    for step in STEP_NAMES:
        assert f"{step:<14}  done in" in first.stdout
        content = stack.store.read(record_key(f"run-{run_id}", step)) or b""
        produced_by = RunRecord.model_validate_json(content).manifest.produced_by
        assert produced_by["image"].startswith("sha256:")
    again = make("run", stack.environment, f"OPTIONS={QUICK}")
    assert again.returncode == 0, again.stdout + again.stderr
    assert again.stdout.count("unchanged since run-") == len(STEP_NAMES)
    assert stack.containers() == []


def test_a_training_outlives_its_worker_its_scheduler_and_its_engine(
    stack: Stack, engine: Engine
) -> None:
    make("up", stack.environment)
    run = "faults"
    container = stack.begin(run)

    # The task's process is killed: the retry follows the same container.
    stack.task_process().kill()
    wait_for(lambda: stack.is_try(run, 2), seconds=60)
    wait_for(lambda: "Reconnecting to existing job" in stack.log(run, 2), seconds=60)
    assert stack.container() == container

    # The scheduler is killed with all its workers: so does the next one's.
    before = stack.epoch(run)
    stack.kill_scheduler()
    make("up", stack.environment)
    wait_for(lambda: stack.is_try(run, 3), seconds=180)
    wait_for(lambda: "Reconnecting to existing job" in stack.log(run, 3), seconds=60)
    assert stack.container() == container
    assert stack.epoch(run) > before, "the training went on meanwhile"

    # The engine restarts and ends its containers: a new one goes on from the checkpoint.
    before = stack.epoch(run)
    engine.restart()
    wait_for(lambda: stack.is_try(run, 4), seconds=120)
    wait_for(lambda: "going on from the checkpoint of epoch" in stack.log(run, 4), seconds=120)
    assert "checkpoint saved, a retry goes on from there" in stack.log(run, 3)
    assert stack.container() != container
    wait_for(lambda: stack.epoch(run) > before, seconds=120)
    progress = read_progress(stack.store, run, "train_scratch")
    assert progress is not None
    assert len(progress.curves["loss"]) == progress.epoch, "an epoch was lost"

    # Airflow clears the task: the container saves, and the next try goes on.
    container, before = stack.container(), stack.epoch(run)
    stack.clear(run)
    wait_for(lambda: stack.task(run)["try_number"] >= 5, seconds=60)
    tries = stack.task(run)["try_number"]
    wait_for(lambda: "going on from the checkpoint" in stack.log(run, tries), seconds=120)
    assert container not in [found["Id"] for found in stack.containers()]
    wait_for(lambda: stack.epoch(run) > before, seconds=120)

    # Somebody marks it failed: it is stopped, and nothing is left.
    stack.set_state(run, "failed")
    wait_for(lambda: stack.containers() == [], seconds=90)
    wait_for(lambda: stack.airflow.run_state(run) == "failed", seconds=60)


def test_make_reap_removes_the_container_of_a_dead_run(stack: Stack) -> None:
    make("up", stack.environment)
    stack.begin("orphaned", scratch_learning_rate=0.0005)
    stack.kill_scheduler()
    stack.set_state("orphaned", "failed")
    assert len(stack.containers()) == 1
    listed = make("reap", stack.environment, "DRY_RUN=1")
    assert "train_scratch of orphaned" in listed.stdout
    assert "1 container of dead runs would be removed" in listed.stdout
    assert len(stack.containers()) == 1
    reaped = make("reap", stack.environment)
    assert reaped.returncode == 0, reaped.stderr
    assert stack.containers() == []


def test_a_training_that_was_interrupted_ends_as_if_it_had_not_been(
    stack: Stack, engine: Engine
) -> None:
    make("up", stack.environment)
    run = "to-the-end"
    options = {"scratch_epochs": 8, "scratch_learning_rate": 0.0003}
    stack.begin(run, **options)
    engine.restart()
    wait_for(lambda: stack.airflow.run_state(run) == "success", seconds=420)
    content = stack.store.read(record_key(run, "train_scratch")) or b""
    manifest = RunRecord.model_validate_json(content).manifest
    assert manifest.facts["epochs"] == 8
    assert manifest.measurements["resumed"] == 1
    assert HISTORY_FILE in manifest.files
    assert stack.containers() == []


def test_an_airflow_that_runs_with_another_runner_is_told(stack: Stack) -> None:
    make("up", stack.environment)
    answer = make("up", stack.environment | {"WILDLIFE_RUNNER": "process"})
    assert answer.returncode != 0
    assert "WILDLIFE_RUNNER=docker, and WILDLIFE_RUNNER=process is asked for" in answer.stderr


def test_a_missing_image_ends_make_run_with_the_command_that_builds_it(
    stack: Stack, tmp_path: Path
) -> None:
    make("down", stack.environment)
    environment = stack.environment | {"WILDLIFE_DOCKER_IMAGE": "wildlife-tasks:nowhere"}
    answer: subprocess.CompletedProcess[str] = make("run", environment, f"OPTIONS={QUICK}")
    assert answer.returncode != 0
    assert "no image 'wildlife-tasks:nowhere'" in answer.stderr
    assert "build it there with 'make image'" in answer.stderr
