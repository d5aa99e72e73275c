"""Whether a part of a site is said to work: from the API's answer, or the broker's silence."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from celery.backends import database

from embedded.ports import free_ports
from wildlife.site.health import main

STATES = {
    "metadatabase": {"status": "healthy"},
    "scheduler": {"status": "healthy", "latest_scheduler_heartbeat": "2026-01-01T00:00:00Z"},
    "triggerer": {"status": "unhealthy", "latest_triggerer_heartbeat": None},
    "dag_processor": {"status": None, "latest_dag_processor_heartbeat": None},
}


class Api(BaseHTTPRequestHandler):
    """Airflow's answer to whoever asks for its health, in its own shape."""

    def do_GET(self) -> None:
        known = self.path == "/api/v2/monitor/health"
        self.send_response(200 if known else 404)
        self.end_headers()
        self.wfile.write(json.dumps(STATES).encode() if known else b"{}")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    server = HTTPServer(("127.0.0.1", 0), Api)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}/execution/"
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTION_API_SERVER_URL", url)
    yield
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.usefixtures("api")
@pytest.mark.parametrize(
    ("part", "status"),
    [("metadatabase", 0), ("scheduler", 0), ("triggerer", 1), ("dag_processor", 1)],
)
def test_a_part_is_what_the_api_says(
    part: str, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([part]) == status
    assert bool(capsys.readouterr().err) == bool(status)


def test_nothing_is_healthy_if_the_api_does_not_answer(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"http://127.0.0.1:{free_ports(1)}/execution/"
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTION_API_SERVER_URL", url)
    assert main(["scheduler"]) == 1
    assert "does not answer" in capsys.readouterr().err


def test_a_worker_without_its_broker_is_not_healthy(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"redis://:secret-word@127.0.0.1:{free_ports(1)}/0"
    monkeypatch.setenv("AIRFLOW__CELERY__BROKER_URL_CMD", f"sh -c 'echo {url}'")
    assert main(["worker"]) == 1
    said = capsys.readouterr().err
    assert "broker does not answer" in said
    assert "secret-word" not in said


def test_an_unknown_part_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["postgres"]) == 64
    assert "scheduler" in capsys.readouterr().err


def test_the_locked_celery_is_one_that_airflow_can_use() -> None:
    assert hasattr(database, "retry"), "no CeleryExecutor and no worker start without it"
