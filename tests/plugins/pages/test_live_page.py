"""The page of a run's progress in a real API server, over the real store and Airflow's database."""

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import update

from embedded.ports import free_ports
from tasks.contract.manifest import progress_key, record_key
from tasks.contract.progress import publish_progress
from tasks.contract.store import Store
from tests.plugins.airflow_home import ROOT
from tests.plugins.conftest import connection
from tests.plugins.pages.test_progress import progress, record
from wildlife.links import VIEWS
from wildlife.pages.progress import STEPS

RUN = "manual__2026-11-24T02:44:00+00:00"
PAGE = "/wildlife/live/manual__2026-11-24T02%3A44%3A00%2B00%3A00"
DATA = f"{PAGE}/progress.json"


def put_record(store: Store, step: str) -> None:
    content = record(step).model_copy(update={"run_id": RUN}).model_dump_json()
    store.write(record_key(RUN, step), content.encode())


class Bound(HTMLParser):
    """The places in the data that elements of the page name, with what they show at first."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.shown: dict[str, str] = {}
        self._place: str | None = None
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        for name, shown in (("line", "d"), ("value", "value"), ("state", "class")):
            if f"data-{name}" in given:
                self.shown[given[f"data-{name}"]] = given[shown]
        self._place = given.get("data-text")
        if self._place is not None:
            self.shown[self._place] = ""

    def handle_data(self, data: str) -> None:
        if self._place is not None:
            self.shown[self._place] += data

    def handle_endtag(self, tag: str) -> None:
        self._place = None


def at(data: Any, place: str) -> Any:
    for name in place.split("."):
        data = data[name]
    return data


def test_the_page_shows_what_its_data_says_so_that_the_script_changes_nothing_at_first(
    viewer: TestClient, connected: Store
) -> None:
    put_record(connected, "fetch")
    publish_progress(connected, RUN, progress())
    shown = Bound(viewer.get(PAGE).text).shown
    data = viewer.get(DATA).json()
    assert len(shown) > 30
    for place, text in shown.items():
        if place != "asked":
            assert text == str(at(data, place)), place
    assert data["steps"]["fetch"]["said"] == "done in 12 s"
    assert data["trainings"]["train_scratch"]["accuracy"]["training"].startswith("M0.0 ")


def test_the_page_asks_for_its_own_data_and_may_ask_nobody_else(
    viewer: TestClient, connected: Store
) -> None:
    put_record(connected, "fetch")
    page = viewer.get(PAGE)
    assert f'data-source="{DATA}"' in page.text
    policy = page.headers["content-security-policy"]
    for part in ("default-src 'none'", "script-src 'self'", "connect-src 'self'"):
        assert part in policy
    assert "unsafe" not in policy
    assert not re.search(r"\sstyle=|\son\w+=|<script>|<style>", page.text), "the policy forbids it"
    data = viewer.get(DATA)
    assert data.headers["content-type"] == "application/json"
    assert data.headers["x-content-type-options"] == "nosniff"
    assert "no-cache" in data.headers["cache-control"]


def test_a_run_that_has_put_nothing_into_the_bucket_is_told_from_airflow_s_states(
    viewer: TestClient, connected: Store, run_in_airflow: str
) -> None:
    data = viewer.get(f"/wildlife/live/{run_in_airflow}/progress.json").json()
    said = {name: step["said"] for name, step in data["steps"].items()}
    assert said["fetch"] == "failed: the last line of its log says why"
    assert said["compare"] == "waits for the steps before it"
    assert data["headline"] == "The run failed in Fetch."


@pytest.fixture
def run_in_airflow(airflow: Any, stranger: TestClient) -> Iterator[str]:
    """A run that Airflow has begun and whose first step failed."""
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session

    DagBundlesManager().sync_bundles_to_db()
    sync_bag_to_db(DagBag(ROOT / "dags"), "dags-folder", None)
    login = {"username": "admin", "password": "admin"}
    token = stranger.post("/auth/token", json=login).json()["access_token"]
    runs = "/api/v2/dags/oregon_wildlife/dagRuns"
    headers = {"Authorization": f"Bearer {token}"}
    run = {"dag_run_id": "failed-at-once", "logical_date": None, "conf": {}}
    made = stranger.post(runs, json=run, headers=headers)
    assert made.status_code == 200, made.text
    with create_session() as session:
        session.execute(
            update(TaskInstance)
            .where(TaskInstance.run_id == "failed-at-once", TaskInstance.task_id == "fetch")
            .values(state="failed", try_number=1)
        )
    yield "failed-at-once"
    stranger.delete(f"{runs}/failed-at-once", headers=headers)


def test_the_link_to_the_report_appears_once_there_is_one(
    viewer: TestClient, connected: Store
) -> None:
    put_record(connected, "train_scratch")
    assert '<p id="report" hidden>' in viewer.get(PAGE).text
    put_record(connected, "compare")
    page = viewer.get(PAGE).text
    link = page.partition('<p id="report"><a href="')[2].partition('"')[0]
    assert link == "/wildlife/reports/manual__2026-11-24T02%3A44%3A00%2B00%3A00"


def test_what_cannot_be_read_counts_as_not_there(viewer: TestClient, connected: Store) -> None:
    put_record(connected, "fetch")
    connected.write(record_key(RUN, "preprocess"), b'{"format": 99}')
    connected.write(progress_key(RUN, "train_scratch"), b"half an obj")
    data = viewer.get(DATA).json()
    assert data["steps"]["fetch"]["state"] == "done"
    assert data["steps"]["preprocess"]["state"] == "waiting"
    assert data["steps"]["train_scratch"]["state"] == "waiting"


def test_numbers_that_json_cannot_hold_do_not_reach_it(
    viewer: TestClient, connected: Store
) -> None:
    told = json.loads(progress().model_dump_json())
    told |= {"seconds_left": float("inf"), "seconds": float("nan")}
    told["curves"] |= {"loss": [float("nan"), float("inf")]}
    connected.write(progress_key(RUN, "train_scratch"), json.dumps(told).encode())
    answer = viewer.get(DATA)
    assert answer.status_code == 200
    data = json.loads(answer.text, parse_constant=pytest.fail)
    assert data["trainings"]["train_scratch"]["accuracy"]["training"]


def test_a_run_of_which_nobody_knows_is_not_found(viewer: TestClient, connected: Store) -> None:
    for address in (PAGE, DATA, "/wildlife/live/..%2Freports", "/wildlife/live/.hidden"):
        assert viewer.get(address).status_code == 404


def test_a_store_that_is_down_is_said_and_forgotten_when_it_is_up(
    viewer: TestClient,
    connected: Store,
    store_env: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    put_record(connected, "fetch")
    down = store_env | {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{free_ports(1)}"}
    with monkeypatch.context() as patch:
        patch.setenv("AIRFLOW_CONN_WILDLIFE_STORE", connection(down))
        for address in (PAGE, DATA):
            answer = viewer.get(address)
            assert answer.status_code == 503
            assert "does not answer" in answer.text
            assert answer.headers["retry-after"]
    assert viewer.get(DATA).json()["steps"]["fetch"]["state"] == "done"


def test_airflow_s_page_of_a_run_has_the_progress_as_a_tab() -> None:
    (view,) = (view for view in VIEWS if view["name"] == "Progress")
    assert view["destination"] == "dag_run"
    assert view["href"] == "wildlife/live/{RUN_ID}?dag_id={DAG_ID}"


def test_a_run_of_another_dag_is_told_that_it_has_no_such_page(
    viewer: TestClient, connected: Store
) -> None:
    put_record(connected, "fetch")
    assert viewer.get(PAGE, params={"dag_id": "oregon_wildlife"}).status_code == 200
    other = viewer.get(PAGE, params={"dag_id": "tutorial"})
    assert other.status_code == 404
    assert "Only runs of oregon_wildlife" in other.text


def test_the_steps_lead_to_airflow_s_own_pages_of_them(
    viewer: TestClient, connected: Store
) -> None:
    put_record(connected, "fetch")
    page = viewer.get(PAGE).text
    quoted = PAGE.rpartition("/")[2]
    for name in STEPS:
        link = f'href="/dags/oregon_wildlife/runs/{quoted}/tasks/{name}" target="_top"'
        assert link in page
