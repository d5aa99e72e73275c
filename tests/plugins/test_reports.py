"""The report pages in a real Airflow API server: who may read them, and what they serve."""

import json
from datetime import timedelta
from typing import Any

import pytest
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient
from starlette.routing import Mount

from embedded.ports import free_ports
from tasks.contract.manifest import Manifest, RunRecord, now, record_key
from tasks.contract.store import Store
from tests.plugins.conftest import connection
from wildlife.pages.app import app

BASE = "http://localhost:8080"
ROUTES = [route for route in app.routes if isinstance(route, APIRoute)]
RUN = "manual__2026-11-24T02:44:00+00:00"
PAGE = "/wildlife/reports/manual__2026-11-24T02%3A44%3A00%2B00%3A00/index.html"
SUMMARY = {
    "title": "Oregon Wildlife",
    "synthetic": False,
    "scratch_accuracy": 0.6125,
    "transfer_accuracy": 0.95,
    "difference": 0.3375,
    "difference_low": 0.25,
    "difference_high": 0.425,
    "test_photos": 80,
}


@pytest.fixture(scope="session")
def airflow() -> Any:
    """Airflow's API server with its database, its login and the plugins folder."""
    from airflow.api_fastapi.app import create_app
    from airflow.utils.db import initdb

    initdb()
    return create_app(apps="core")


@pytest.fixture
def stranger(airflow: Any) -> TestClient:
    return TestClient(airflow, base_url=BASE, follow_redirects=False)


@pytest.fixture
def viewer(stranger: TestClient) -> TestClient:
    """Somebody who logged in as a browser does: by a cookie, with the least role there is."""
    token = stranger.post("/auth/token", json={"username": "viewer", "password": "viewer"})
    stranger.cookies.set("_token", token.json()["access_token"])
    return stranger


def outsider_s_token() -> str:
    """A valid token of somebody whom Airflow gives no role."""
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

    return get_auth_manager().generate_jwt(SimpleAuthManagerUser(username="outsider", role=None))


def publish(store: Store, run_id: str, summary: dict[str, Any], hours_ago: float = 0) -> None:
    """A run's report and record, as ``compare`` leaves them."""
    finished = now() - timedelta(hours=hours_ago)
    manifest = Manifest(
        step="compare", fingerprint="f", options={}, inputs={}, files={}, facts={},
        created=finished,
    )  # fmt: skip
    record = RunRecord(
        run_id=run_id, step="compare", cached=False, started=finished, finished=finished,
        manifest=manifest,
    )  # fmt: skip
    store.write(f"reports/{run_id}/index.html", f"<p>of {run_id}".encode(), "text/html")
    store.write(f"reports/{run_id}/summary.json", json.dumps(summary).encode())
    store.write(record_key(run_id, "compare"), record.model_dump_json().encode())


def test_the_plugin_is_mounted_where_its_links_lead(airflow: Any) -> None:
    mounts = {route.path: route.app for route in airflow.routes if isinstance(route, Mount)}
    routes = {route.path for route in mounts["/wildlife"].routes}
    assert routes == {route.path for route in ROUTES}


@pytest.mark.parametrize("route", [route.path for route in ROUTES])
def test_no_route_answers_a_stranger(stranger: TestClient, route: str) -> None:
    url = "/wildlife" + route.format(run_id="run-1", name="index.html")
    assert stranger.get(url).status_code == 401
    assert stranger.get(url, headers={"Authorization": "Bearer made.up.token"}).status_code in (
        401,
        403,
    )


@pytest.mark.parametrize("route", [route.path for route in ROUTES])
def test_no_route_answers_who_may_not_read_the_dag_s_runs(stranger: TestClient, route: str) -> None:
    url = "/wildlife" + route.format(run_id="run-1", name="index.html")
    answer = stranger.get(url, headers={"Authorization": f"Bearer {outsider_s_token()}"})
    assert answer.status_code == 403


def test_a_browser_without_login_is_sent_there_and_back(stranger: TestClient) -> None:
    answer = stranger.get(PAGE, headers={"Accept": "text/html,*/*"})
    assert answer.status_code == 303
    login = stranger.get(answer.headers["location"])
    assert login.status_code == 307
    assert "/auth/login?next=" in login.headers["location"]
    assert "wildlife%2Freports" in login.headers["location"]


def test_a_viewer_s_cookie_opens_the_list_and_the_report_behind_it(
    viewer: TestClient, connected: Store
) -> None:
    publish(connected, RUN, SUMMARY)
    listed = viewer.get("/wildlife/reports")
    assert listed.status_code == 200
    link = listed.text.partition('<a href="')[2].partition('"')[0]
    assert link == PAGE
    report = viewer.get(link)
    assert (report.status_code, report.text) == (200, f"<p>of {RUN}")


def test_the_list_shows_each_run_s_numbers_newest_first(
    viewer: TestClient, connected: Store
) -> None:
    publish(connected, "older", SUMMARY, hours_ago=2)
    publish(connected, "newest", SUMMARY)
    publish(connected, "between", {}, hours_ago=1)
    text = viewer.get("/wildlife/reports").text
    assert text.index(">newest<") < text.index(">between<") < text.index(">older<")
    for cell in ("61.3 %", "95.0 %", "+33.8 (+25.0 to +42.5)", "<td>80</td>"):
        assert cell in text.partition(">newest<")[2].partition("</tr>")[0]
    assert "%" not in text.partition(">between<")[2].partition("</tr>")[0]


def test_the_list_passes_over_what_is_no_finished_report(
    viewer: TestClient, connected: Store
) -> None:
    publish(connected, "good", SUMMARY)
    connected.write("reports/half/index.html", b"its compare runs again now")
    connected.write("reports/broken/index.html", b"x")
    connected.write(record_key("broken", "compare"), b'{"format": 99}')
    connected.write("reports/<b>/index.html", b"put there by somebody else")
    connected.write("reports/good/nested/index.html", b"x")
    text = viewer.get("/wildlife/reports").text
    assert text.count("<tr>") == 2  # the headings, and the one
    assert ">good<" in text


def test_synthetic_data_is_marked_in_the_list_too(viewer: TestClient, connected: Store) -> None:
    publish(connected, "drawn", SUMMARY | {"synthetic": True})
    publish(connected, "real", SUMMARY)
    text = viewer.get("/wildlife/reports").text
    assert ">synthetic<" in text.partition(">drawn<")[2].partition("</tr>")[0]
    assert ">synthetic<" not in text.partition(">real<")[2].partition("</tr>")[0]


def test_names_are_escaped(viewer: TestClient, connected: Store) -> None:
    publish(connected, "run-1", SUMMARY | {"title": "<script>alert(1)</script>"})
    text = viewer.get("/wildlife/reports").text
    assert "<script>" not in text
    assert "&lt;script&gt;" in text


def test_an_empty_bucket_is_explained(viewer: TestClient, connected: Store) -> None:
    answer = viewer.get("/wildlife/reports")
    assert answer.status_code == 200
    assert "No run has finished yet" in answer.text


@pytest.mark.parametrize(
    ("name", "content_type"),
    [
        ("index.html", "text/html; charset=utf-8"),
        ("report.md", "text/markdown; charset=utf-8"),
        ("summary.json", "application/json"),
        ("scratch.png", "image/png"),
        ("contact-000.jpg", "image/jpeg"),
        ("across-classes.csv", "text/csv; charset=utf-8"),
    ],
)
def test_a_file_has_the_type_of_its_name_and_may_run_nothing(
    viewer: TestClient, connected: Store, name: str, content_type: str
) -> None:
    connected.write(f"reports/run-1/{name}", b"<script>alert(1)</script>", "text/html")
    headers = viewer.get(f"/wildlife/reports/run-1/{name}").headers
    assert headers["content-type"] == content_type
    assert headers["x-content-type-options"] == "nosniff"
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; ")
    assert "script-src" not in policy
    assert "frame-ancestors 'self'" in policy
    assert "private" in headers["cache-control"]


def test_nothing_else_of_the_bucket_can_be_reached(viewer: TestClient, connected: Store) -> None:
    publish(connected, "run-1", SUMMARY)
    for path in (
        "run-1/none.html",
        "run-1/model.weights.h5",
        "run-1/page.php",
        "run-1/.hidden.html",
        "run-1/..%2F..%2Fruns%2Frun-1%2Fcompare.json",
        "..%2Fruns/compare.json",
        "%2e%2e/index.html",
        "run-1/nested/index.html",
        "run-1/index.html%00.png",
        "run-1/index.html%0a",
    ):
        answer = viewer.get(f"/wildlife/reports/{path}")
        assert answer.status_code == 404, path
        assert "<h1>Wildlife reports</h1>" in answer.text, path
        assert "accuracy" not in answer.text, path


def test_a_store_that_is_down_is_said_at_once_and_forgotten_when_it_is_up(
    viewer: TestClient,
    connected: Store,
    store_env: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    down = store_env | {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{free_ports(1)}"}
    with monkeypatch.context() as patch:
        patch.setenv("AIRFLOW_CONN_WILDLIFE_STORE", connection(down))
        answer = viewer.get("/wildlife/reports")
    assert answer.status_code == 503
    assert "does not answer" in answer.text
    assert answer.headers["retry-after"]
    assert viewer.get("/wildlife/reports").status_code == 200


def test_a_missing_connection_is_said_in_plain_words(
    viewer: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AIRFLOW_CONN_WILDLIFE_STORE", raising=False)
    answer = viewer.get("/wildlife/reports")
    assert answer.status_code == 503
    assert "no Airflow connection" in answer.text
