"""The embedded Airflow: a real scheduler, DAG processor, triggerer (if an archive is watched, or
runs have a deadline) and API server on SQLite, on 127.0.0.1.

The parts are started one by one rather than by ``airflow standalone``, because that also starts log
servers that listen on every network interface. On one machine nobody needs them: the page reads
the logs from the disk.
"""

import base64
import json
import os
import secrets
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from embedded.keys import keys_of
from embedded.process import Program, StackError, require_free_port
from embedded.settings import ROOT, Settings
from embedded.store import store_environment
from wildlife.settings import alert_settings
from wildlife.settings import settings as plugin_settings

#: In the order in which they are started; they are stopped in the reverse.
_PARTS = {
    "airflow-api": ("api-server",),
    "airflow-dag-processor": ("dag-processor",),
    "airflow-scheduler": ("scheduler", "--skip-serve-logs"),
    "airflow-triggerer": ("triggerer", "--skip-serve-logs"),
}
_READY_SECONDS = 180
#: By which Airflow sends mail unless it is told otherwise.
_MAIL_CONNECTION = "smtp_default"
_GPU_POOL = "One slot for each GPU that WILDLIFE_GPUS names; one for a machine without"


def airflow_environment(
    settings: Settings, environment: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """What every part of the embedded Airflow runs with.

    Airflow's settings of the user's own shell are left out, but for the connections by which alerts
    go: this Airflow is not theirs.
    """
    keys = keys_of(
        settings.home,
        "airflow",
        lambda: {
            "fernet": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
            "jwt": secrets.token_urlsafe(48),
            "session": secrets.token_urlsafe(48),
        },
    )
    store = store_environment(settings)
    # The store listens on this machine's loopback alone.
    inherited = {"WILDLIFE_DOCKER_NETWORK": "host"} | {
        name: value
        for name, value in environment.items()
        if not name.startswith(("AIRFLOW", "AWS_", "PYTHON"))
    }
    inherited |= _alert_connections(environment)
    return inherited | {
        "AIRFLOW_HOME": str(settings.home / "airflow"),
        "PYTHONPATH": str(ROOT),
        "PATH": f"{Path(sys.executable).parent}:{environment.get('PATH', os.defpath)}",
        "WILDLIFE_BUCKET": settings.bucket,
        "WILDLIFE_CACHE": str(settings.cache or settings.home / "cache"),
        "WILDLIFE_CACHE_GB": str(settings.cache_gb),
        "WILDLIFE_REVISION": _revision(),
        "WILDLIFE_RUNNER": settings.runner,
        "AIRFLOW_CONN_WILDLIFE_STORE": json.dumps(
            {
                "conn_type": "aws",
                "login": store["AWS_ACCESS_KEY_ID"],
                "password": store["AWS_SECRET_ACCESS_KEY"],
                "extra": {
                    "endpoint_url": store["AWS_ENDPOINT_URL"],
                    "region_name": store["AWS_DEFAULT_REGION"],
                },
            }
        ),
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": "4",
        "AIRFLOW__CORE__FERNET_KEY": keys["fernet"],
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{settings.airflow_url}/execution/",
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(settings.airflow_port),
        "AIRFLOW__API__BASE_URL": settings.airflow_url,
        "AIRFLOW__API__SECRET_KEY": keys["session"],
        "AIRFLOW__API_AUTH__JWT_SECRET": keys["jwt"],
        "AIRFLOW__SCHEDULER__ENABLE_HEALTH_CHECK": "False",
        # What died with a killed scheduler is tried again within a minute, not in five.
        "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "30",
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "60",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
    }


def start_airflow(settings: Settings) -> "AirflowClient":
    """Start what does not run yet, wait until it answers, and make the GPU pool.

    Raises:
        StackError: a port is taken, a part did not come up, or it runs with other settings.
    """
    needed = [name for name in _PARTS if name != "airflow-triggerer" or _needs_triggerer()]
    programs = {name: Program(name, settings.home) for name in needed}
    environment = airflow_environment(settings)
    is_running = airflow_is_running(settings)
    if not is_running:
        require_free_port(settings.airflow_port, "Airflow's page", "WILDLIFE_AIRFLOW_PORT")
        _migrate_database(settings, environment)
    _require_same_settings(settings, environment, is_running)
    client = AirflowClient(settings)
    for name, program in programs.items():
        if not program.find():
            # All at once: each part takes seconds to import, and none waits for another.
            program.start([_airflow(), *_PARTS[name]], environment)
    for program in programs.values():
        program.wait_until(client.is_ready, _READY_SECONDS)
    client.ensure_pool("gpu", slots=plugin_settings().gpu_slots, description=_GPU_POOL)
    return client


def _needs_triggerer() -> bool:
    return bool(plugin_settings().watch or alert_settings().deadline_hours)


def _alert_connections(environment: Mapping[str, str]) -> dict[str, str]:
    chosen = alert_settings()
    ids = [chosen.webhook, _MAIL_CONNECTION if chosen.mail else ""]
    names = [f"AIRFLOW_CONN_{connection.upper()}" for connection in ids if connection]
    return {name: environment[name] for name in names if name in environment}


def airflow_is_running(settings: Settings) -> bool:
    return any(Program(name, settings.home).find() for name in _PARTS)


def stop_airflow(settings: Settings) -> None:
    """Stop all parts."""
    for name in reversed(_PARTS):
        Program(name, settings.home).stop()


class AirflowClient:
    """Airflow's REST API, as the user it made for this machine."""

    dag_id = "oregon_wildlife"

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._http = httpx.Client(base_url=settings.airflow_url, timeout=30, trust_env=False)

    @property
    def password_file(self) -> Path:
        return self._settings.home / "airflow" / "simple_auth_manager_passwords.json.generated"

    def password(self) -> str:
        """The password of the user ``admin``, which Airflow made at its first start."""
        password: str = json.loads(self.password_file.read_text())["admin"]
        return password

    def is_ready(self) -> bool:
        """Whether the API answers, the scheduler is alive and the DAG has been parsed."""
        try:
            health = self._request("GET", "/api/v2/monitor/health").json()
            if health["scheduler"]["status"] != "healthy":
                return False
            return self._request("GET", f"/api/v2/dags/{self.dag_id}").status_code == 200
        except (StackError, KeyError, ValueError, OSError):
            return False

    def ensure_pool(self, name: str, slots: int, description: str) -> None:
        """Make a pool unless there is one; its number of slots is left as somebody set it."""
        if self._request("GET", f"/api/v2/pools/{name}").status_code == 200:
            return
        pool = {"name": name, "slots": slots, "description": description}
        made = self._request("POST", "/api/v2/pools", json=pool)
        if made.status_code not in (201, 409):
            raise StackError(f"Airflow did not make the pool {name!r}: {made.text[:200]}")

    def trigger(self, run_id: str, options: Mapping[str, Any]) -> None:
        """Ask the scheduler for one run of the DAG."""
        answer = self._request(
            "POST",
            f"/api/v2/dags/{self.dag_id}/dagRuns",
            json={"dag_run_id": run_id, "logical_date": None, "conf": dict(options)},
        )
        if answer.status_code != 200:
            raise StackError(f"Airflow refused the run: {_reason(answer)}")

    def run_state(self, run_id: str) -> str:
        return str(self._read(f"/api/v2/dags/{self.dag_id}/dagRuns/{run_id}")["state"])

    def active_runs(self, *states: str) -> list[str]:
        """Ids of the DAG's runs that have begun and not ended, or are in these states."""
        asked = "&".join(f"state={state}" for state in states or ("running",))
        found = self._read(f"/api/v2/dags/{self.dag_id}/dagRuns?limit=100&{asked}")["dag_runs"]
        return [str(run["dag_run_id"]) for run in found]

    def task_instances(self, run_id: str) -> list[dict[str, Any]]:
        """State, times and tries of the run's tasks."""
        path = f"/api/v2/dags/{self.dag_id}/dagRuns/{run_id}/taskInstances"
        instances: list[dict[str, Any]] = self._read(path)["task_instances"]
        return instances

    def question_page(self, run_id: str, task_id: str) -> str:
        """The address where a task's question is answered."""
        where = f"/dags/{self.dag_id}/runs/{run_id}/tasks/{task_id}/required_actions"
        return self._settings.airflow_url + where

    def log_lines(self, run_id: str, task_id: str, try_number: int) -> list[str]:
        """The log of one try of a task, oldest line first."""
        content = self._read(
            f"/api/v2/dags/{self.dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/logs/{try_number}"
        )["content"]
        return [line["event"] if isinstance(line, dict) else str(line) for line in content]

    def _read(self, path: str) -> Any:
        answer = self._request("GET", path, headers={"Accept": "application/json"})
        if answer.status_code != 200:
            raise StackError(f"Airflow answered {answer.status_code} to {path}: {_reason(answer)}")
        return answer.json()

    def _request(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        try:
            answer = self._http.request(method, path, **arguments)
            if answer.status_code == 401:
                self._http.headers["Authorization"] = f"Bearer {self.token()}"
                answer = self._http.request(method, path, **arguments)
        except httpx.HTTPError as error:
            raise StackError(
                f"Airflow at {self._settings.airflow_url} does not answer "
                f"({type(error).__name__}): start it with 'make up', or read "
                f"{self._settings.home / 'logs' / 'airflow-api.log'}"
            ) from error
        return answer

    def token(self) -> str:
        """An access token of this user, for another program.

        Raises:
            StackError: Airflow refuses the password.
        """
        login = {"username": "admin", "password": self.password()}
        answer = self._http.post("/auth/token", json=login)
        if answer.status_code != 201:
            raise StackError(
                f"Airflow refused the password in {self.password_file}: what listens at "
                f"{self._settings.airflow_url} is another Airflow, or the file is not its own"
            )
        return str(answer.json()["access_token"])


def _reason(answer: httpx.Response) -> str:
    try:
        detail = answer.json()["detail"]
        return str(detail.get("reason", detail) if isinstance(detail, dict) else detail)
    except (ValueError, KeyError, TypeError):
        return answer.text[:300]


def runner_of(settings: Settings) -> str:
    """What the steps of the last started Airflow run in."""
    return _started_with(settings).get("WILDLIFE_RUNNER", "process")


def _started_with(settings: Settings) -> dict[str, str]:
    """The settings of the last started Airflow."""
    try:
        known: dict[str, str] = json.loads(_noted_settings(settings).read_text())
        return known
    except (OSError, ValueError):
        return {}


def _noted_settings(settings: Settings) -> Path:
    return settings.home / "run" / "airflow.settings"


def _require_same_settings(
    settings: Settings, environment: Mapping[str, str], is_running: bool
) -> None:
    """A running Airflow keeps the settings that it was started with."""
    asked = {
        name: value
        for name, value in environment.items()
        if (name.startswith("WILDLIFE_") and name != "WILDLIFE_REVISION") or name == "DOCKER_HOST"
    }
    if not is_running:
        noted = _noted_settings(settings)
        noted.parent.mkdir(parents=True, exist_ok=True)
        noted.write_text(json.dumps(asked))
        return
    known = _started_with(settings)
    for name in sorted(asked.keys() | known.keys()):
        here, now = (_spelled(name, given.get(name)) for given in (known, asked))
        if here != now:
            raise StackError(
                f"Airflow runs with {here}, and {now} is asked for: stop it with 'make down' first"
            )


def _spelled(name: str, value: str | None) -> str:
    return f"no {name}" if value is None else f"{name}={value}"


def _migrate_database(settings: Settings, environment: Mapping[str, str]) -> None:
    log = settings.home / "logs" / "airflow-db.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as out:
        done = subprocess.run(
            [_airflow(), "db", "migrate"],
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    if done.returncode != 0:
        raise StackError(f"Airflow's database could not be made ready: read {log}")


def _airflow() -> str:
    program = Path(sys.executable).with_name("airflow")
    if not program.exists():
        raise StackError(f"{program} is missing: run 'make setup'")
    return str(program)


def _revision() -> str:
    """The project's git revision, marked if there are uncommitted changes."""
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12"],
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
    except OSError:
        return "unknown"
    return described.stdout.strip() or "unknown"
