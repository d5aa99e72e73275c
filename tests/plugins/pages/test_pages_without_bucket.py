"""A store that fails: the pages say so and recover, the API server goes on, and no key gets out."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi.testclient import TestClient

from embedded.ports import free_ports
from embedded.settings import STORE_PORTS, Settings
from embedded.store import start_store, stop_store, store_environment
from tasks.contract.store import Store
from tests.plugins.conftest import connection
from tests.plugins.pages.access import example, routes
from tests.plugins.pages.published import publish

PATHS = [f"/wildlife{example(route.partition(' ')[2])}" for route in routes()]
CONNECTION = "AIRFLOW_CONN_WILDLIFE_STORE"


@pytest.fixture
def served(airflow: Any) -> Iterator[str]:
    """The address of Airflow's API server, with its event loop and its threads."""
    port = free_ports(1)
    server = uvicorn.Server(uvicorn.Config(airflow, port=port, lifespan="off", log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.05)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join()


def test_a_stopped_store_is_said_at_once_and_its_return_is_seen(
    viewer: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(_env_file=None, home=tmp_path, store_port=free_ports(STORE_PORTS))
    start_store(settings)
    try:
        monkeypatch.setenv(CONNECTION, connection(store_environment(settings)))
        assert viewer.get("/wildlife/reports").status_code == 200
        stop_store(settings)
        began = time.monotonic()
        answer = viewer.get("/wildlife/reports")
        assert time.monotonic() - began < 3
        assert answer.status_code == 503
        assert "does not answer" in answer.text
        assert answer.headers["retry-after"] == "10"
        assert '<meta http-equiv="refresh" content="10">' in answer.text
        start_store(settings)
        until = time.monotonic() + 10
        while viewer.get("/wildlife/reports").status_code != 200:
            assert time.monotonic() < until
            time.sleep(0.5)
    finally:
        stop_store(settings)


def test_a_missing_connection_is_said_in_plain_words(
    viewer: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(CONNECTION, raising=False)
    answer = viewer.get("/wildlife/reports")
    assert answer.status_code == 503
    assert "no Airflow connection" in answer.text


def test_a_store_that_did_not_answer_is_not_asked_again_at_once(
    viewer: TestClient,
    connected: Store,
    store_env: dict[str, str],
    mute: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv(CONNECTION, connection(store_env | {"AWS_ENDPOINT_URL": mute}))
        assert viewer.get("/wildlife/reports").status_code == 503
        began = time.monotonic()
        assert viewer.get("/wildlife/reports/run-1").status_code == 503
        assert time.monotonic() - began < 1
    assert viewer.get("/wildlife/reports").status_code == 200  # another store, asked at once


def test_airflow_answers_while_the_store_keeps_every_page_waiting(
    viewer: TestClient,
    served: str,
    store_env: dict[str, str],
    mute: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(CONNECTION, connection(store_env | {"AWS_ENDPOINT_URL": mute}))
    token = viewer.cookies["_token"]
    headers = {"Authorization": f"Bearer {token}"}
    with httpx.Client(base_url=served, headers=headers, timeout=60) as client:
        assert client.get("/api/v2/dags").status_code == 200  # what a first answer loads, it has
        with ThreadPoolExecutor(60) as pool:
            began = time.monotonic()
            pages = [pool.submit(client.get, "/wildlife/reports") for _ in range(60)]
            time.sleep(1.5)
            asked = time.monotonic()
            assert not any(page.done() for page in pages)  # they wait
            assert client.get("/api/v2/dags").status_code == 200
            assert time.monotonic() - asked < 3
            assert {page.result().status_code for page in pages} == {503}
            assert time.monotonic() - began < 15  # the first ones' timeout, not each one's


@pytest.mark.parametrize("path", PATHS)
def test_no_answer_holds_the_store_s_keys(
    viewer: TestClient,
    connected: Store,
    store_env: dict[str, str],
    path: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    publish(connected, "run-1")
    wrong = {"AWS_ACCESS_KEY_ID": "wrongaccesskey", "AWS_SECRET_ACCESS_KEY": "wrongsecretkey"}
    down = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{free_ports(1)}"}
    no_url = {"AWS_ENDPOINT_URL": "no address"}
    for changes in ({}, wrong, down, no_url, {"WILDLIFE_BUCKET": "another"}):
        environment = store_env | changes
        monkeypatch.setenv(CONNECTION, connection(environment))
        answer = viewer.get(path)
        told = answer.text + str(answer.headers)
        assert environment["AWS_ACCESS_KEY_ID"] not in told
        assert environment["AWS_SECRET_ACCESS_KEY"] not in told
