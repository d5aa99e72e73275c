"""The pages inside Airflow with 1,000 runs in the bucket: milliseconds from request to answer."""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx

from benchmarks.figures import Figure, Target
from benchmarks.pages_server import RUNS, has_report, run_id
from embedded.ports import free_ports
from tasks.contract.headline import Headline, publish_headline
from tasks.contract.store import Store
from tasks.registry import STEP_NAMES
from tests.plugins.conftest import connection
from tests.plugins.pages.published import headline

ROOT = Path(__file__).resolve().parent.parent
_AIM = Target("ours", "<=", 200)
_TIMES = 20
_LIST = "/wildlife/reports"


def figures(store: Store) -> Iterator[Figure]:
    """Cold is the first list that a fresh server shows; warm is the median of twenty.

    At once is as soon as the server answers anything; cold is so two seconds later, in which it
    warms by itself.
    """
    _fill(store)
    with _server() as server:
        yield _figure("list, first page, at once", _milliseconds(server, _LIST), 200)
    with _server() as server:
        time.sleep(2)
        yield _figure("list, first page, cold", _milliseconds(server, _LIST), 200)
        for name, path in (
            ("list, first page", _LIST),
            ("list, page 19", f"{_LIST}?page=19"),
            ("list, by difference", f"{_LIST}?sort=difference"),
            ("a report's page", f"{_LIST}/{run_id(1)}"),
            ("a report's file", f"{_LIST}/{run_id(1)}/index.html"),
        ):
            yield _figure(f"{name}, warm", _median(server, path), 200)
        publish_headline(store, headline(run_id(1)))
        yield _figure("list after one run more", _milliseconds(server, _LIST), 200)
    store.delete("headlines.json")
    with _server() as server:
        at_once = _milliseconds(server, _LIST)
        yield _figure("list, at once, headlines.json lost", at_once, None)


def _figure(name: str, milliseconds: float, aim: float | None) -> Figure:
    return Figure.of_costs(f"{name}, ms", None, milliseconds, _AIM if aim else None)


def _fill(store: Store) -> None:
    def put(number: int) -> Headline | None:
        run = run_id(number)
        done = STEP_NAMES if has_report(number) else STEP_NAMES[:2]
        for step in done:
            store.write(f"runs/{run}/{step}.json", b"{}")
        if not has_report(number):
            return None
        store.write(f"reports/{run}/index.html", b"<p>a report" * 100_000, "text/html")
        made = headline(run, number)
        store.write(f"headlines/{run}.json", made.model_dump_json().encode())
        return made

    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(put, range(RUNS)))
    publish_headline(store, next(filter(None, made)))  # and the file of all, as compare does


@contextmanager
def _server() -> Iterator[httpx.Client]:
    """A fresh API server, as a viewer sees it; it has answered once, but never from the bucket."""
    port = free_ports(1)
    environment = os.environ | {
        "PYTHONPATH": f"{ROOT}:{ROOT / 'plugins'}",
        "WILDLIFE_TEST_CONNECTION": connection(dict(os.environ)),
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.pages_server", str(port)],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        lines = iter(process.stdout.readline, "")
        token = next((line for line in lines if line.count(".") == 2 and " " not in line), "")
        headers = {"Authorization": f"Bearer {token.strip()}"}
        with httpx.Client(
            base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=60
        ) as client:
            _wait_for(client)
            yield client
    finally:
        process.terminate()
        process.wait()


def _wait_for(client: httpx.Client) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        try:
            client.get("/wildlife/static/pages.css").raise_for_status()
        except httpx.TransportError:
            time.sleep(0.1)
        else:
            return
    raise SystemExit("the API server does not answer")


def _milliseconds(client: httpx.Client, path: str) -> float:
    began = time.perf_counter()
    client.get(path).raise_for_status()
    return 1000 * (time.perf_counter() - began)


def _median(client: httpx.Client, path: str) -> float:
    return statistics.median(_milliseconds(client, path) for _ in range(_TIMES))
