"""The reaper by hand: only Airflow's own word makes a container's task dead."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from tasks.contract.errors import ConfigurationError, UnavailableError
from wildlife.containers.labels import Owner
from wildlife.containers.reaper import (
    Found,
    NoSuchTaskError,
    _airflow,
    _state,
    dead_containers,
)

OWNER = Owner("oregon_wildlife", "manual__2026-11-24T00:00:00+00:00", "train_scratch")


class Server(BaseHTTPRequestHandler):
    """Answers everything alike, and remembers what it was asked."""

    status, content = 200, b"{}"
    asked = ""

    def do_GET(self) -> None:
        type(self).asked = self.path
        self.send_response(self.status)
        self.end_headers()
        self.wfile.write(self.content)

    def log_message(self, *_: object) -> None:
        """Nothing on the screen."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Server]]:
    http = HTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=http.serve_forever, daemon=True).start()
    monkeypatch.setenv("WILDLIFE_AIRFLOW_URL", f"http://127.0.0.1:{http.server_port}")
    monkeypatch.setenv("WILDLIFE_AIRFLOW_TOKEN", "token\n")
    yield Server
    http.shutdown()
    http.server_close()


def state() -> str | None:
    with _airflow() as airflow:
        return _state(airflow, OWNER)


def test_the_state_is_airflow_s_and_odd_run_ids_arrive_whole(server: type[Server]) -> None:
    server.status, server.content = 200, b'{"state": "failed"}'
    assert state() == "failed"
    assert "manual__2026-11-24T00%3A00%3A00%2B00%3A00" in server.asked


def test_a_task_is_gone_only_if_airflow_says_so(server: type[Server]) -> None:
    server.status = 404
    server.content = b'{"detail": "The Task Instance with dag_id: `x` was not found"}'
    with pytest.raises(NoSuchTaskError):
        state()


@pytest.mark.parametrize(
    ("status", "content"),
    [
        (404, b"<h1>not found</h1>"),
        (404, b'{"detail": "Not Found"}'),
        (404, b'{"detail": "Task instance is mapped, add the map_index value to the URL"}'),
        (401, b'{"detail": "Invalid JWT token"}'),
        (200, b"<html>"),
        (200, b"[]"),
        (500, b"{}"),
    ],
)
def test_whatever_else_answers_makes_nothing_dead(
    server: type[Server], status: int, content: bytes
) -> None:
    server.status, server.content = status, content
    with pytest.raises(UnavailableError, match="WILDLIFE_AIRFLOW_URL"):
        state()


@pytest.mark.parametrize("token", ["", "\n", "two\nlines", "d\u00e9j\u00e0"])
def test_a_token_that_cannot_be_sent_is_named_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    monkeypatch.setenv("WILDLIFE_AIRFLOW_TOKEN", token)
    with pytest.raises(ConfigurationError, match=r"^WILDLIFE_AIRFLOW_TOKEN is no"):
        _airflow()


def test_only_containers_whose_task_has_ended_are_dead() -> None:
    states = {"success": True, "failed": True, "running": False, "up_for_retry": False}
    found = [Found(state, f"name-{state}", Owner("dag", state, "fetch")) for state in states]
    dead = dead_containers(found, lambda owner: owner.run_id)
    assert {one.id for one in dead} == {state for state, is_dead in states.items() if is_dead}
