"""Whatever lies in the bucket and whatever is asked for, a page says it; nothing is a fault."""

import http.server
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tasks.contract.headline import headline_key
from tasks.contract.manifest import progress_key, record_key
from tasks.contract.store import Store
from tests.plugins.conftest import connection
from tests.plugins.pages.access import example, routes
from tests.plugins.pages.published import airflow_run, headline, publish
from tests.plugins.pages.test_progress import progress, record
from wildlife.pages import live, reports, runs

HOSTILE = "<script>alert(1)</script>"
LIST = "/wildlife/reports"
#: Values that a number, a text or a time may have in what a writer of the bucket put there.
ODD: list[Any] = [
    *(None, True, "", [], {}, -1, 1e308, 10**30, HOSTILE, "x" * 5000, "NaN", "\u202e\u0000"),
    *("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-11-24T02:44:00"),
    *(float("nan"), float("inf")),
]


def odd_documents(whole: dict[str, Any]) -> Iterator[bytes]:
    """The document with each of its values replaced by each odd one, and what is no document."""
    for name in whole:
        for value in ODD:
            yield json.dumps(whole | {name: value}).encode()
        yield json.dumps({key: value for key, value in whole.items() if key != name}).encode()
    yield json.dumps(whole).encode()[:-5]
    # Integers of more digits than Python prints, and nesting beyond its stack.
    yield json.dumps(whole).replace("1234", "9" * 5000).encode()
    yield b"[" * 100_000
    yield from (b"", b"null", b"[]", b"\xff\xfe", b'"\\ud800"', b"<html>")


def test_no_headline_breaks_the_list(viewer: TestClient, connected: Store) -> None:
    whole = json.loads(headline("run-1").model_dump_json())
    contents = list(odd_documents(whole))

    def put(number: int) -> None:
        run_id = f"run-{number}"
        content = contents[number].replace(b'"run_id": "run-1"', f'"run_id": "{run_id}"'.encode())
        connected.write(headline_key(run_id), content)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(put, range(len(contents))))
    for column in runs.COLUMNS:
        answer = viewer.get(f"{LIST}?sort={column}")
        assert answer.status_code == 200
    for number in range(1, len(contents) // 50 + 2):
        answer = viewer.get(f"{LIST}?page={number}")
        assert answer.status_code == 200
        assert HOSTILE not in answer.text
        assert len(answer.text) < 200_000


def test_no_file_of_all_headlines_breaks_the_list(viewer: TestClient, connected: Store) -> None:
    publish(connected, "run-1")
    entries = json.loads(connected.read("headlines.json") or b"")
    version, line = entries["run-1"]
    files = [
        *odd_documents(entries),
        *(json.dumps({"run-1": [odd, line]}).encode() for odd in ODD),
        *(json.dumps({"run-1": [version, line | {"finished": odd}]}).encode() for odd in ODD),
    ]
    for content in files:
        connected.write("headlines.json", content)
        runs._read_before.cache_clear()
        answer = viewer.get(LIST)
        assert answer.status_code == 200, content[:300]
        assert HOSTILE not in answer.text
        assert len(answer.text) < 40_000, content[:300]


@pytest.mark.parametrize("name", ["../../api/v2/x", "a/b", "", "run-2", "x" * 300])
def test_the_file_of_all_headlines_names_no_run_that_is_none(
    viewer: TestClient, connected: Store, name: str
) -> None:
    """An entry may not lead elsewhere, nor speak for another run."""
    line = json.loads(headline("run-1").model_dump_json())
    connected.write("headlines.json", json.dumps({name: ["v-1", line]}).encode())
    text = viewer.get(LIST).text
    assert "No run has finished yet" in text


def test_a_file_of_all_headlines_that_is_too_large_is_not_read(
    viewer: TestClient, connected: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(connected, "run-1")
    content = connected.read("headlines.json") or b""
    connected.write("headlines.json", content + b" " * 1_000_000)
    monkeypatch.setattr("tasks.contract.headline._MOST_BYTES_OF_ALL", 500_000)
    assert "run-1" in viewer.get(LIST).text, "its own headline is read"


def test_no_progress_breaks_the_live_page(viewer: TestClient, connected: Store) -> None:
    whole = json.loads(progress().model_dump_json())
    key = progress_key("run-1", "train_scratch")
    connected.write(record_key("run-1", "fetch"), b"{}")
    curves = [{"accuracy": odd} for odd in ([None], ["x"], {}, 5, [1e308, -1e308], [0.1] * 9999)]
    documents = [
        *odd_documents(whole),
        *(json.dumps(whole | {"curves": changed}).encode() for changed in curves),
    ]
    for content in documents:
        connected.write(key, content)
        answer = viewer.get("/wildlife/live/run-1/progress.json")
        assert answer.status_code == 200, content[:300]
        json.loads(answer.text, parse_constant=pytest.fail)
        assert len(answer.text) < 30_000


def test_no_record_breaks_the_live_page(viewer: TestClient, connected: Store) -> None:
    whole = json.loads(record("fetch", cached=True).model_dump_json())
    for content in odd_documents(whole):
        connected.write(record_key("run-1", "fetch"), content)
        assert viewer.get("/wildlife/live/run-1").status_code == 200, content[:300]


def test_a_progress_that_is_too_large_is_not_read(
    viewer: TestClient, connected: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = progress().model_dump_json().encode()
    connected.write(progress_key("run-1", "train_scratch"), content)
    monkeypatch.setattr(live, "_MOST_BYTES", len(content) - 1)
    data = viewer.get("/wildlife/live/run-1/progress.json").json()
    assert data["steps"]["train_scratch"]["state"] == "waiting"


def test_a_file_of_a_report_that_is_too_large_is_refused(
    viewer: TestClient, connected: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(connected, "run-1")
    monkeypatch.setattr(reports, "_MOST_BYTES", 3)
    answer = viewer.get(f"{LIST}/run-1/index.html")
    assert answer.status_code == 413
    assert "larger than" in answer.text


def test_a_run_whose_id_cannot_name_a_folder_is_listed_without_a_link(
    viewer: TestClient, connected: Store
) -> None:
    """Airflow takes more ids than the bucket's folders do."""
    for run_id in ("_hidden", "a~b", "x" * 220):
        with airflow_run(run_id, "failed"):
            text = viewer.get(LIST).text
            assert f'role="rowheader">{run_id}</th>' in text
            assert f'href="/dags/oregon_wildlife/runs/{run_id}" target="_top"' in text
            for page in (f"{LIST}/{run_id}", f"/wildlife/live/{run_id}"):
                answer = viewer.get(page)
                assert answer.status_code == 404
                assert "cannot name a folder of the bucket" in answer.text


@pytest.fixture
def web_server() -> Iterator[str]:
    """The address of a server that answers everything with a page, and is no object store."""

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", "13")
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(b"<html></html>")

        do_HEAD = do_GET  # noqa: N815 (the name that the module asks for)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("route", [route for route in routes() if "static" not in route])
def test_an_endpoint_that_is_no_object_store_is_said(
    viewer: TestClient,
    connected: Store,
    store_env: dict[str, str],
    web_server: str,
    monkeypatch: pytest.MonkeyPatch,
    route: str,
) -> None:
    environment = store_env | {"AWS_ENDPOINT_URL": web_server}
    monkeypatch.setenv("AIRFLOW_CONN_WILDLIFE_STORE", connection(environment))
    answer = viewer.get(f"/wildlife{example(route.partition(' ')[2])}")
    assert answer.status_code == 503
    assert "AWS_ENDPOINT_URL" in answer.text


@pytest.mark.parametrize(
    "path",
    [
        "reports?page=-1",
        "reports?page=99999999999999999999",
        "reports?page=1&page=x",
        "reports?sort=when%00",
        "reports?order=",
        "reports/" + "x" * 5000,
        "reports/run-1/" + "x" * 5000 + ".html",
        "reports/run%001",
        "reports/%252e%252e/index.html",
        "reports/run-1%2F..%2F..%2Fheadlines.json",
        "reports/run-1/%2e%2e%2f%2e%2e%2fheadlines.json",
        "reports/run-1/..%5Cheadlines.json",
        "reports/run-1/index.html;a.png/x",
        "reports//index.html",
        "live/run-1/../../headlines.json/progress.json",
        "live/%0d%0aSet-Cookie:x=y",
        "static/..%2Fapp.py",
        "static/%2e%2e/app.py",
        "archives/datasets",
    ],
)
def test_made_up_addresses_are_not_found(viewer: TestClient, connected: Store, path: str) -> None:
    publish(connected, "run-1")
    answer = viewer.get(f"/wildlife/{path}")
    assert answer.status_code == 404
    assert "set-cookie" not in answer.headers
    assert len(answer.text) < 5000
