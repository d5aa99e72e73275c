"""Airflow's API server warms the pages when it starts, and never waits for that."""

import time
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tasks.contract.store import Store
from tests.plugins.conftest import connection
from tests.plugins.pages.published import publish
from wildlife.pages import runs
from wildlife.pages.warming import warm_up

CONNECTION = "AIRFLOW_CONN_WILDLIFE_STORE"


def test_a_server_that_starts_reads_the_headlines_before_anybody_asks(
    airflow: Any, connected: Store
) -> None:
    publish(connected, "run-1")
    with TestClient(airflow):
        until = time.monotonic() + 20
        while runs._read_before(connected.settings)._etag == "":
            assert time.monotonic() < until
            time.sleep(0.05)


def test_a_server_starts_at_once_over_a_store_that_does_not_answer(
    airflow: Any, store_env: dict[str, str], mute: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CONNECTION, connection(store_env | {"AWS_ENDPOINT_URL": mute}))
    with TestClient(airflow):  # what a first start loads, it has
        pass
    began = time.monotonic()
    with TestClient(airflow) as client:
        assert client.get("/api/v2/version").status_code == 200
    assert time.monotonic() - began < 3


def test_warming_fails_never(
    store_env: dict[str, str], mute: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(CONNECTION, raising=False)
    warm_up()
    for changes in ({"AWS_ENDPOINT_URL": mute}, {"AWS_ENDPOINT_URL": "no address"}):
        monkeypatch.setenv(CONNECTION, connection(store_env | changes))
        warm_up()
