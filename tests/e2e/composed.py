"""A site brought up by Compose from ``docker/compose.yaml``, and the ways to look into it."""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from embedded.ports import free_ports
from tasks.contract.store import Store, StoreSettings
from tests.engine import Engine

DOCKER = Path(__file__).resolve().parents[2] / "docker"
#: How long a service may take to be healthy: two cores start ten of them at once.
HEALTHY_SECONDS = 420


def wait_slowly(condition: Callable[[], object], seconds: float) -> None:
    """As ``wait_for``, asking once a second: each question starts programs."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(1)


class Site:
    """A site of its own: project, network, ports, volumes and secrets.

    Args:
        images: variables of ``docker/.env`` that name images which the engine has.
    """

    def __init__(
        self, folder: Path, engine: Engine, compose: list[str], images: dict[str, str]
    ) -> None:
        self.folder = folder
        self.engine = engine
        self._program = compose
        self.store_port, self.airflow_port, redis_port = (free_ports(1) for _ in range(3))
        for name in ("compose.yaml", "compose.worker.yaml"):
            shutil.copy(DOCKER / name, folder)
        socket = engine.url.removeprefix("unix://")
        subprocess.run(
            [DOCKER / "make-site", folder],
            env=os.environ | {"WILDLIFE_DOCKER_SOCKET": socket},
            check=True,
            capture_output=True,
        )
        own = {
            "COMPOSE_PROJECT_NAME": "wildlife-test",
            "WILDLIFE_NETWORK": "wildlife-test-steps",
            "WILDLIFE_DOCKER_CACHE": "wildlife-test-cache",
            "WILDLIFE_AIRFLOW_PORT": str(self.airflow_port),
            "WILDLIFE_STORE_PORT": str(self.store_port),
            "WILDLIFE_REDIS_PORT": str(redis_port),
            "WILDLIFE_RETRY_SECONDS": "2",
        }
        with (folder / ".env").open("a") as out:
            out.writelines(f"{name}={value}\n" for name, value in (own | images).items())
        self._http = httpx.Client(
            base_url=f"http://127.0.0.1:{self.airflow_port}", timeout=30, trust_env=False
        )

    def compose(self, *arguments: str, stdin: bytes = b"") -> str:
        """What Compose prints."""
        return self._composed(*arguments, stdin=stdin).decode()

    def up(self) -> None:
        """Bring it up, and wait until all of it works; what ``init`` says is the reason if not."""
        try:
            self.compose("up", "--detach")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.compose('logs', 'init')}") from None
        self.wait_until_healthy()

    def dump(self) -> bytes:
        """The database, as docs/operating.md saves it."""
        dump = ("pg_dump", "--username", "airflow", "--format", "custom", "airflow")
        return self._composed("exec", "-T", "postgres", *dump)

    def _composed(self, *arguments: str, stdin: bytes = b"") -> bytes:
        """Run Compose; its last words are the failure's."""
        answer = subprocess.run(
            [*self._program, "--project-directory", str(self.folder), *arguments],
            cwd=self.folder,
            env=os.environ | self.engine.environment,
            input=stdin,
            capture_output=True,
        )
        assert answer.returncode == 0, (answer.stdout + answer.stderr)[-3000:].decode()
        return answer.stdout

    def secret(self, name: str) -> str:
        return (self.folder / "secrets" / name).read_text().strip()

    @property
    def store(self) -> Store:
        return Store(
            StoreSettings(
                "wildlife",
                f"http://127.0.0.1:{self.store_port}",
                access_key=self.secret("store_access_key"),
                secret_key=self.secret("store_secret_key"),
            )
        )

    # Containers

    def container(self, service: str) -> str:
        return self.compose("ps", "--quiet", service).strip()

    def inspect(self, container: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.engine.docker("inspect", container))[0]
        return found

    def health(self) -> dict[str, str]:
        """By service; those without a health check are left out."""
        label = "com.docker.compose.project=wildlife-test"
        ids = self.engine.docker("ps", "--all", "--quiet", "--filter", f"label={label}").split()
        found = json.loads(self.engine.docker("inspect", *ids)) if ids else []
        return {
            one["Config"]["Labels"]["com.docker.compose.service"]: one["State"]["Health"]["Status"]
            for one in found
            if "Health" in one["State"]
        }

    def wait_until_healthy(self) -> None:
        wait_slowly(
            lambda: len(self.health()) == 9 and set(self.health().values()) == {"healthy"},
            seconds=HEALTHY_SECONDS,
        )

    def kill(self, service: str) -> None:
        """As a crash does: the engine would not start again what ``docker kill`` ended."""
        os.kill(self.inspect(self.container(service))["State"]["Pid"], signal.SIGKILL)

    def restarts(self, service: str) -> int:
        return int(self.inspect(self.container(service))["RestartCount"])

    # Airflow

    def log_in(self) -> None:
        [admin] = json.loads(self.secret("users.json"))
        login = {"username": admin["username"], "password": admin["password"]}
        answer = self._http.post("/auth/token", json=login)
        assert answer.status_code == 201, answer.text
        self._http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    def ask(self, path: str, **arguments: Any) -> httpx.Response:
        method = "POST" if "json" in arguments else "GET"
        return self._http.request(method, path, **arguments)

    def begin(self, run_id: str, **options: Any) -> None:
        answer = self.ask(
            "/api/v2/dags/oregon_wildlife/dagRuns",
            json={"dag_run_id": run_id, "logical_date": None, "conf": options},
        )
        assert answer.status_code == 200, answer.text

    def run(self, run_id: str) -> str:
        """The state of a run; empty while Airflow does not answer."""
        try:
            answer = self.ask(f"/api/v2/dags/oregon_wildlife/dagRuns/{run_id}")
        except httpx.HTTPError:
            return ""
        return str(answer.json()["state"]) if answer.status_code == 200 else ""

    def task(self, run_id: str, name: str) -> dict[str, Any]:
        path = f"/api/v2/dags/oregon_wildlife/dagRuns/{run_id}/taskInstances/{name}"
        found: dict[str, Any] = self.ask(path).json()
        return found

    def log(self, run_id: str, name: str, number: int) -> str:
        path = f"/api/v2/dags/oregon_wildlife/dagRuns/{run_id}/taskInstances/{name}/logs/{number}"
        answer = self.ask(path, headers={"Accept": "application/json"})
        assert answer.status_code == 200, answer.text
        return "\n".join(str(line.get("event", "")) for line in answer.json()["content"])
