"""A site on one machine: every part a program of its own, the workers with folders of their own."""

import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from embedded.airflow import AirflowClient, airflow_environment
from embedded.bucket import choose_archive
from embedded.ports import free_ports
from embedded.process import Program
from embedded.settings import STORE_PORTS, Settings
from embedded.store import start_store, stop_store, store_environment
from tasks.contract.store import Store, StoreSettings
from tests.drill.servers import Postgres, Redis
from tests.drill.settings import NOT_FOR_WORKERS, SITE
from wildlife.identity import DAG_ID

AIRFLOW = str(Path(sys.executable).with_name("airflow"))
#: For so long a part that has ended stays away, as under an init system.
RESTART_SECONDS = 5.0
#: The workers by the queue that they serve, each with how many tasks it takes at once.
WORKERS = {"default": 2, "gpu": 1}


class SiteClient(AirflowClient):
    """Airflow's API, as the site's administrator."""

    def __init__(self, settings: Settings, password: str) -> None:
        super().__init__(settings)
        self._password = password

    def password(self) -> str:
        return self._password

    def health(self) -> dict[str, Any]:
        answer: dict[str, Any] = self._request("GET", "/api/v2/monitor/health").json()
        return answer

    def add_connection(self, connection: dict[str, Any]) -> None:
        made = self._request("POST", "/api/v2/connections", json=connection)
        assert made.status_code in (201, 409), made.text


class Part:
    """A program of Airflow's, with the host it runs on: a folder with all that is its own."""

    def __init__(self, name: str, host: Path, command: list[str], environment: dict[str, str]):
        self.program = Program(name, host)
        self.host = host
        self._command = command
        self._environment = environment

    def start(self) -> None:
        self.program.start([AIRFLOW, *self._command], self._environment)

    def family(self) -> list[psutil.Process]:
        """Its process and all below it, steps too."""
        process = self.program.find()
        return [] if process is None else [process, *process.children(recursive=True)]


class Site:
    """PostgreSQL, Redis, SeaweedFS, Airflow's four servers and two Celery workers.

    A part that ends is started again after ``RESTART_SECONDS``.

    Attributes:
        restarts: how often each part was.
        left_running: what of the site was still there when all parts had been stopped.
    """

    def __init__(self) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="wildlife-drill-"))
        self.home.chmod(0o755)  # PostgreSQL runs as another user
        first = free_ports(STORE_PORTS + 3)
        self.settings = Settings(
            _env_file=None, home=self.home, store_port=first, airflow_port=first + STORE_PORTS
        )
        self.postgres = Postgres(self.home, first + STORE_PORTS + 1)
        self.redis = Redis(self.home, first + STORE_PORTS + 2)
        self.client = SiteClient(self.settings, secrets.token_hex(12))
        self.store_environment = store_environment(self.settings)
        self.environment = self._airflow_environment()
        self.parts = self._parts()
        self.restarts: dict[str, int] = dict.fromkeys(self.parts, 0)
        self.left_running: list[list[str]] = []
        self._closing = threading.Event()
        self._keeper = threading.Thread(target=self._keep_running, daemon=True)

    @property
    def store(self) -> Store:
        return Store(StoreSettings.from_environment(self.store_environment), patient=False)

    def start(self) -> None:
        """Bring everything up as an operator does it the first time."""
        self.postgres.start()
        self.redis.start()
        start_store(self.settings)
        self._airflow("db", "migrate")
        person = ["--username", "admin", "--password", self.client.password(), "--role", "Admin"]
        person += ["--firstname", "A", "--lastname", "D", "--email", "admin@site.example"]
        self._airflow("users", "create", *person)
        for part in self.parts.values():
            part.start()
        self.parts["api-server"].program.wait_until(self.client.is_ready, seconds=300)
        self.client.ensure_pool("gpu", slots=1, description="One training at a time")
        self.client.add_connection(self._connection())
        choose_archive(self.store, None)
        self._keeper.start()

    def close(self) -> None:
        self._closing.set()
        if self._keeper.is_alive():
            self._keeper.join()
        for part in reversed(self.parts.values()):
            part.program.stop(seconds=15)
        self.redis.stop()
        self.postgres.stop()
        stop_store(self.settings)
        left = self.processes()
        self.left_running = [_command(process) for process in left]
        for process in left:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        shutil.rmtree(self.home, ignore_errors=True)

    def keep_logs(self, folder: Path) -> None:
        """Copy the logs of all parts and steps there, for whoever wants to know more."""
        for host in {self.home, *(part.host for part in self.parts.values())}:
            for logs in (host / "logs", host / "airflow" / "logs"):
                if logs.is_dir():
                    target = folder / host.name / logs.relative_to(host)
                    shutil.copytree(logs, target, symlinks=True)

    def kill(self, name: str) -> None:
        """SIGKILL a part and all its children, save the steps and their keepers."""
        family = self.parts[name].family()
        keepers = [process for process in family if _is_keeper(process)]
        spared = {child for keeper in keepers for child in keeper.children(recursive=True)}
        doomed = [process for process in family if process not in {*keepers, *spared}]
        for process in doomed:
            with suppress(psutil.NoSuchProcess):
                process.suspend()  # none of them sees the others go
        for process in doomed:
            with suppress(psutil.NoSuchProcess):
                process.kill()

    def steps(self) -> list[psutil.Process]:
        """The steps that run now, and their keepers."""
        return [
            process
            for process in self.processes()
            if _is_keeper(process) or _command(process)[1:3] == ["-m", "tasks"]
        ]

    def processes(self) -> list[psutil.Process]:
        """All that runs and has the site's folder in its command or its environment."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                texts = [*process.cmdline(), *process.environ().values()]
                if process.status() != psutil.STATUS_ZOMBIE and any(
                    str(self.home) in text for text in texts
                ):
                    found.append(process)
        return found

    def log(self, name: str) -> str:
        """What a part has written since it was first started."""
        return self.parts[name].program.log_file.read_text(errors="replace")

    def step_logs(self, run_id: str, step: str) -> dict[int, str]:
        """The log of each try of a step: on its worker's disk while it runs, then in the bucket."""
        place = f"dag_id={DAG_ID}/run_id={run_id}/task_id={step}/"
        texts: list[tuple[str, str]] = []
        for part in self.parts.values():
            folder = part.host / "airflow" / "logs" / place
            texts += [
                (file.name, file.read_text(errors="replace")) for file in folder.glob("*.log")
            ]
        for head in self.store.list(f"logs/{place}"):
            content = self.store.read(head.key) or b""
            texts.append((head.key.rpartition("/")[2], content.decode(errors="replace")))
        logs: dict[int, str] = {}
        for name, text in texts:
            number = int(name.partition("=")[2].partition(".")[0])
            logs[number] = logs.get(number, "") + "\n".join(_events(text))
        return logs

    def task(self, run_id: str, step: str) -> dict[str, Any]:
        tasks = self.client.task_instances(run_id)
        return next(task for task in tasks if task["task_id"] == step)

    def _airflow(self, *command: str) -> None:
        done = subprocess.run(
            [AIRFLOW, *command], env=self.environment, capture_output=True, text=True
        )
        assert done.returncode == 0, f"airflow {command[0]} {command[1]}: {done.stderr[-2000:]}"

    def _connection(self) -> dict[str, Any]:
        given = json.loads(airflow_environment(self.settings)["AIRFLOW_CONN_WILDLIFE_STORE"])
        extra = json.dumps(given.pop("extra"))
        return {"connection_id": "wildlife_store", **given, "extra": extra}

    def _airflow_environment(self) -> dict[str, str]:
        """Of the four servers: that of ``make up``, without what it sets for one machine."""
        ours = {name: v for name, v in os.environ.items() if not name.startswith("WILDLIFE_")}
        embedded = airflow_environment(self.settings, ours)
        del embedded["AIRFLOW_CONN_WILDLIFE_STORE"]  # it is in Airflow's database
        del embedded["WILDLIFE_CACHE"]  # only workers have one
        return embedded | {
            **SITE,
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": self.postgres.url,
            "AIRFLOW__CELERY__BROKER_URL": self.redis.url(0),
            "AIRFLOW__CELERY__RESULT_BACKEND": self.redis.url(1),
            "AIRFLOW__LOGGING__REMOTE_BASE_LOG_FOLDER": f"s3://{self.settings.bucket}/logs",
        }

    def _worker_environment(self, host: Path) -> dict[str, str]:
        """Of a worker: it reaches the API server, the store and Redis."""
        inherited = {n: v for n, v in self.environment.items() if n not in NOT_FOR_WORKERS}
        return inherited | {
            "AIRFLOW_HOME": str(host / "airflow"),
            "WILDLIFE_CACHE": str(host / "cache"),
        }

    def _parts(self) -> dict[str, Part]:
        servers = {
            "api-server": ["api-server"],
            "dag-processor": ["dag-processor"],
            "scheduler": ["scheduler", "--skip-serve-logs"],
            "triggerer": ["triggerer", "--skip-serve-logs"],
        }
        parts = {
            name: Part(name, self.home, command, self.environment)
            for name, command in servers.items()
        }
        for queue, tasks in WORKERS.items():
            host = self.home / f"host-{queue}"
            command = ["celery", "worker", "--queues", queue, "--concurrency", str(tasks)]
            # Its log server would listen on every network interface.
            command += ["--celery-hostname", f"{queue}@{host.name}", "--skip-serve-logs"]
            name = f"worker-{queue}"
            parts[name] = Part(name, host, command, self._worker_environment(host))
        return parts

    def _keep_running(self) -> None:
        """What an init system does with ``Restart=always``."""
        ended: dict[str, float] = {}
        while not self._closing.wait(0.5):
            for name, part in self.parts.items():
                if part.program.find() is not None:
                    ended.pop(name, None)
                elif time.monotonic() - ended.setdefault(name, time.monotonic()) > RESTART_SECONDS:
                    self.restarts[name] += 1
                    part.start()


def _events(log: str) -> Iterable[str]:
    """The messages of a task's log, which is one JSON object a line."""
    for line in log.splitlines():
        try:
            yield str(json.loads(line)["event"])
        except (ValueError, KeyError, TypeError):
            yield line


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _is_keeper(process: psutil.Process) -> bool:
    return any(part.endswith("/operators/keeper.py") for part in _command(process))
