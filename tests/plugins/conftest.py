"""Airflow's settings for the tests of the plugin, and steps of the tests' own making."""

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tasks.contract.store import Store
from tests.plugins.airflow_home import ROOT
from wildlife.operators import process
from wildlife.settings import alert_settings, docker_settings, settings


@pytest.fixture(autouse=True)
def fresh_settings() -> Iterator[None]:
    """A test's environment holds for this test alone."""
    kinds = (settings, docker_settings, alert_settings)
    for read in kinds:
        read.cache_clear()
    yield
    for read in kinds:
        read.cache_clear()


def connection(environment: dict[str, str]) -> str:
    """The Airflow connection to a store, as the JSON that AIRFLOW_CONN_… may hold."""
    return json.dumps(
        {
            "conn_type": "aws",
            "login": environment["AWS_ACCESS_KEY_ID"],
            "password": environment["AWS_SECRET_ACCESS_KEY"],
            "extra": {
                "endpoint_url": environment["AWS_ENDPOINT_URL"],
                "region_name": environment["AWS_DEFAULT_REGION"],
            },
        }
    )


@pytest.fixture
def connected(
    store: Store, store_env: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Store:
    """The test store, known to Airflow by its connection alone."""
    for name in store_env:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AIRFLOW_CONN_WILDLIFE_STORE", connection(store_env))
    monkeypatch.setenv("WILDLIFE_CACHE", str(tmp_path / "cache"))
    return store


@pytest.fixture(scope="session")
def airflow() -> Any:
    """Airflow's API server with its database, its login and the plugins folder."""
    from airflow.api_fastapi.app import create_app
    from airflow.utils.db import initdb

    initdb()
    return create_app(apps="core")


@pytest.fixture
def stranger(airflow: Any) -> TestClient:
    return TestClient(airflow, base_url="http://localhost:8080", follow_redirects=False)


@pytest.fixture
def viewer(stranger: TestClient) -> TestClient:
    """Somebody who logged in as a browser does: by a cookie, with the least role there is."""
    token = stranger.post("/auth/token", json={"username": "viewer", "password": "viewer"})
    stranger.cookies.set("_token", token.json()["access_token"])
    return stranger


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Put a program of the test's own in the place of ``python -m tasks``.

    Returns the folder that it runs in.
    """

    def write(code: str) -> Path:
        folder = tmp_path / "project"
        (folder / "tasks").mkdir(parents=True, exist_ok=True)
        (folder / "tasks" / "__main__.py").write_text(textwrap.dedent(code))
        monkeypatch.setattr(process, "_PROJECT", folder)
        return folder

    return write


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Callable[[str], "subprocess.Popen[bytes]"]]:
    """Start a process that may be killed as Airflow's worker may; it is gone after the test."""
    started: list[subprocess.Popen[bytes]] = []

    def start(code: str) -> "subprocess.Popen[bytes]":
        environment = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'plugins'}"}
        started.append(
            subprocess.Popen(
                [sys.executable, "-c", textwrap.dedent(code)], cwd=tmp_path, env=environment
            )
        )
        return started[-1]

    yield start
    for process_ in started:
        process_.kill()
        process_.wait()
