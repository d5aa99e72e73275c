"""The list of reports and the reports themselves, in a real Airflow API server."""

import io
import re
import time
import zipfile
from datetime import timedelta
from html import unescape

import pytest
from fastapi.testclient import TestClient

from tasks.contract.champion import CHAMPION_KEY, read_champions, write_champions
from tasks.contract.config import RetentionOptions
from tasks.contract.manifest import now
from tasks.contract.store import Store
from tasks.retention import retain
from tests.plugins.pages.published import airflow_run, champion, publish
from wildlife.pages import runs, zipped

RUN = "manual__2026-11-24T02:44:00+00:00"
QUOTED = "manual__2026-11-24T02%3A44%3A00%2B00%3A00"


def rows(text: str) -> list[str]:
    """Each row's words, without its markup."""
    body = text.partition('<tbody role="rowgroup">')[2].partition("</tbody>")[0]
    return [
        unescape(" ".join(re.sub(r"<[^>]+>", " ", row).split()))
        for row in body.split("</tr>")
        if "<td" in row
    ]


def listed(client: TestClient, query: str = "") -> list[str]:
    """The run ids of a page of the list, in its order."""
    answer = client.get(f"/wildlife/reports{query}")
    assert answer.status_code == 200, answer.text
    return re.findall(r'<th scope="row" role="rowheader"><a href="[^"]*">([^<]+)</a>', answer.text)


def test_a_viewer_s_cookie_opens_the_list_and_the_report_behind_it(
    viewer: TestClient, connected: Store
) -> None:
    publish(connected, RUN)
    page = viewer.get("/wildlife/reports")
    link = page.text.partition('role="rowheader"><a href="')[2].partition('"')[0]
    assert link == f"/wildlife/reports/{QUOTED}"
    around = viewer.get(link)
    assert around.status_code == 200
    source = around.text.partition('<iframe title="')[2].partition('src="')[2].partition('"')[0]
    report = viewer.get(source)
    assert (report.status_code, report.text) == (200, f"<p>of {RUN}")
    assert f'href="/dags/oregon_wildlife/runs/{QUOTED}" target="_top"' in around.text
    assert "frame-src 'self'" in around.headers["content-security-policy"]


def test_the_list_shows_each_run_s_numbers_newest_first(
    viewer: TestClient, connected: Store
) -> None:
    publish(connected, "older", hours_ago=2)
    publish(connected, "newest")
    publish(connected, "between", hours_ago=1, computed_by="older")
    assert listed(viewer) == ["newest", "between", "older"]
    newest, between, _ = rows(viewer.get("/wildlife/reports").text)
    for words in (
        "Oregon Wildlife datasets/oregon-wildlife.zip 1,234 80 test",
        "61.3 % 50.0 % to 71.0 % 95.0 % 88.0 % to 98.0 %",
        "+33.8 +25.0 to +42.5 imagenet computed",
    ):
        assert words in newest
    assert between.endswith("unchanged since older")


def test_the_run_whose_network_is_the_champion_is_marked(
    viewer: TestClient, connected: Store
) -> None:
    for run_id in ("first", "second"):
        publish(connected, run_id)
    assert "champion" not in viewer.get("/wildlife/reports").text
    for run_id in ("first", "second"):
        before, etag = read_champions(connected)
        assert write_champions(connected, before.promoting(champion(run_id)), etag)
        marked = [row for row in rows(viewer.get("/wildlife/reports").text) if "champion" in row]
        assert [f"{run_id} champion" in row for row in marked] == [True]
    connected.write(CHAMPION_KEY, b"{")
    assert "champion" not in viewer.get("/wildlife/reports").text


def test_a_run_that_is_not_finished_shows_as_what_it_is(
    viewer: TestClient, connected: Store
) -> None:
    publish(connected, "good", hours_ago=1)
    publish(connected, "repeated", hours_ago=2)
    connected.write("runs/forgotten/fetch.json", b"{}")
    connected.write("runs/<b>/fetch.json", b"{}")
    connected.write("runs/lost/fetch.json", b"{}")
    started = now() - timedelta(minutes=5)
    with (
        airflow_run("at-work", "running", started),
        airflow_run("broke", "failed", started - timedelta(hours=3)),
        airflow_run("lost", "success", started - timedelta(hours=4)),
        airflow_run("removed", "success", started - timedelta(hours=5)),
        airflow_run("repeated", "running", started),
    ):
        assert listed(viewer) == ["forgotten", "at-work", "good", "repeated", "broke", "lost"]
        page = viewer.get("/wildlife/reports")
    forgotten, work, good, repeated, broke, lost = rows(page.text)
    assert work.endswith("– – – – – – running in Airflow")
    assert good.endswith("computed")
    assert repeated.endswith("computed running again")
    assert broke.endswith("failed in Airflow")
    assert lost.endswith("no report in Airflow")
    assert forgotten.endswith("UTC forgotten – – – – – – unfinished")
    assert '<meta http-equiv="refresh" content="60">' in page.text


def test_a_run_that_retention_removes_is_off_the_list_at_once(
    viewer: TestClient, connected: Store
) -> None:
    publish(connected, "old", hours_ago=2)
    publish(connected, "new", hours_ago=1)
    with airflow_run("old", "success"), airflow_run("new", "success"):
        assert listed(viewer) == ["new", "old"]
        done = retain(
            connected,
            RetentionOptions(keep_reports=0, keep_days=0, grace_days=1),
            lambda: ["new"],
            dry_run=False,
            moment=now() + timedelta(days=9),
        )
        assert [removal.name for removal in done.removed] == ["old"]
        assert listed(viewer) == ["new"]
        assert "older than what is kept" in viewer.get("/wildlife/reports/old").text
        assert viewer.get("/wildlife/reports/new").status_code == 200


def test_a_headline_that_cannot_be_read_is_said_and_the_report_still_opens(
    viewer: TestClient, connected: Store
) -> None:
    publish(connected, "broken")
    connected.write("headlines/broken.json", b'{"run_id": "broken"}')
    connected.write("headlines.json", b'{"broken": ["of a newer program"]}')
    page = viewer.get("/wildlife/reports")
    (row,) = rows(page.text)
    assert row.endswith("UTC broken – – – – – – no figures")
    assert "refresh" not in page.text
    assert viewer.get("/wildlife/reports/broken").status_code == 200


def test_a_report_of_before_there_were_headlines_is_said_to_be_one(
    viewer: TestClient, connected: Store
) -> None:
    """Airflow may know its run or not; a folder that is empty by now is no report."""
    for run_id in ("old", "forgotten"):
        connected.write(f"reports/{run_id}/index.html", b"<p>old", "text/html")
        connected.write(f"runs/{run_id}/compare.json", b"{}")
    connected.write("reports/gone/index.html", b"<p>gone", "text/html")
    connected.delete("reports/gone/index.html")
    with airflow_run("old", "success", now()), airflow_run("new", "success"):
        assert set(listed(viewer)) == {"old", "forgotten", "new"}
        page = viewer.get("/wildlife/reports").text
    told = {words.split()[3]: words for words in rows(page)}
    assert told["old"].endswith("no figures in Airflow")
    assert told["forgotten"].endswith("no figures")
    assert told["new"].endswith("no report in Airflow")
    assert "Clear the task <em>Compare</em>" in page


def test_a_thousand_old_reports_are_looked_into_bit_by_bit(
    viewer: TestClient, connected: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "_MOST_LOOKS", 2)
    for number in range(5):
        connected.write(f"reports/00-old-{number}/index.html", b"<p>old", "text/html")
    assert [len(listed(viewer)) for _ in range(4)] == [2, 4, 5, 5]


def test_what_the_file_of_all_headlines_lacks_is_found_and_what_it_has_too_much_goes(
    viewer: TestClient, connected: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two runs that end at once may write it one over the other."""
    monkeypatch.setattr(runs, "_UNCHECKED_SECONDS", 0.1)
    publish(connected, "gone", 1)
    publish(connected, "first", 2)
    one_s = connected.read("headlines.json")
    assert one_s is not None
    publish(connected, "second", 3)
    connected.write("headlines.json", one_s)
    for key in ("headlines/gone.json", "runs/gone/compare.json", "reports/gone/index.html"):
        connected.delete(key)
    until = time.monotonic() + 10
    while listed(viewer) != ["first", "second"]:
        assert time.monotonic() < until
        time.sleep(0.2)
    publish(connected, "third")
    assert listed(viewer) == ["third", "first", "second"]  # at once


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ("running", "This run is at work"),
        ("queued", "waits for its turn"),
        ("failed", "failed before it had a report"),
        ("success", "its report is not in the bucket"),
    ],
)
def test_a_run_without_a_report_says_why_and_what_is_done(
    viewer: TestClient, connected: Store, state: str, said: str
) -> None:
    for step in ("fetch", "preprocess", "train_scratch"):
        connected.write(f"runs/{RUN}/{step}.json", b"{}")
    connected.write(f"runs/{RUN}/train_transfer.progress.json", b"{}")
    with airflow_run(RUN, state, now()):
        answer = viewer.get(f"/wildlife/reports/{QUOTED}")
    assert answer.status_code == 200
    assert said in answer.text
    assert "Done so far: fetch, preprocess, train_scratch." in answer.text
    assert ("refresh" in answer.text) == (state in ("running", "queued"))
    assert f'href="/dags/oregon_wildlife/runs/{QUOTED}" target="_top"' in answer.text


def test_a_run_that_airflow_has_not_is_said_to_be_unfinished(
    viewer: TestClient, connected: Store
) -> None:
    connected.write("runs/by-hand/fetch.json", b"{}")
    assert "Airflow does not know it" in viewer.get("/wildlife/reports/by-hand").text
    answer = viewer.get("/wildlife/reports/nobody")
    assert answer.status_code == 404
    assert "There is no run nobody." in answer.text


def test_the_tab_on_another_dag_s_run_says_that_it_is_another(
    viewer: TestClient, connected: Store
) -> None:
    publish(connected, "run-1")
    answer = viewer.get("/wildlife/reports/run-1?dag_id=other")
    assert answer.status_code == 404
    assert "not of the DAG oregon_wildlife" in answer.text
    assert viewer.get("/wildlife/reports/run-1?dag_id=oregon_wildlife").status_code == 200


@pytest.mark.parametrize(
    ("sort", "ascending"),
    [
        ("when", ["c", "b", "a"]),
        ("run", ["a", "b", "c"]),
        ("archive", ["b", "c", "a"]),
        ("photos", ["c", "a", "b"]),
        ("scratch", ["b", "a", "c"]),
        ("transfer", ["c", "b", "a"]),
        ("difference", ["a", "c", "b"]),
        ("weights", ["a", "b", "c"]),
        ("result", ["c", "b", "a"]),
    ],
)
def test_the_list_is_sorted_by_any_column_and_what_has_no_value_is_last(
    viewer: TestClient, connected: Store, sort: str, ascending: list[str]
) -> None:
    publish(
        connected, "a", 1, archive="datasets/z.zip", photos=20, scratch_accuracy=0.3,
        transfer_accuracy=0.9, difference=-0.2, weights="Imagenet", computed_by="c",
    )  # fmt: skip
    publish(
        connected, "b", 2, archive="datasets/x.zip", photos=30, scratch_accuracy=0.2,
        transfer_accuracy=0.8, difference=0.5, weights="lite0", computed_by="c",
    )  # fmt: skip
    publish(
        connected, "c", 3, archive="datasets/y.zip", photos=10, scratch_accuracy=0.4,
        transfer_accuracy=0.7, difference=0, weights="weights/my.h5",
    )  # fmt: skip
    up = listed(viewer, f"?sort={sort}&order=ascending")
    down = listed(viewer, f"?sort={sort}&order=descending")
    if sort == "result":  # equal ones stay newest first
        assert (up, down) == (["c", "a", "b"], ["a", "b", "c"])
        return
    assert (up, down) == (ascending, ascending[::-1])
    if sort not in ("when", "run"):
        without = f"without-{sort}"
        connected.write(f"runs/{without}/fetch.json", b"{}")
        assert listed(viewer, f"?sort={sort}&order=ascending")[-1] == without
        assert listed(viewer, f"?sort={sort}&order=descending")[-1] == without


def test_each_heading_is_a_link_that_sorts_and_the_sorted_one_says_so(
    viewer: TestClient, connected: Store
) -> None:
    publish(connected, "run-1")
    text = viewer.get("/wildlife/reports?sort=transfer&order=ascending").text
    heading = r'role="columnheader"( aria-sort="\w+")?><a href="([^"]+)"'
    headings = re.findall(heading, text)
    assert len(headings) == 9
    assert [mark for mark, _ in headings if mark] == [' aria-sort="ascending"']
    for _, link in headings:
        assert viewer.get(unescape(link)).status_code == 200
    assert "sort=transfer&amp;order=descending" in text


def test_the_list_is_cut_into_pages(
    viewer: TestClient, connected: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "_MOST_LOOKS", 1000)
    with_all = [f"run-{number:03}" for number in range(120)]
    for run_id in with_all:
        connected.write(f"runs/{run_id}/fetch.json", b"{}")
    first = listed(viewer, "?sort=run&order=ascending")
    last = listed(viewer, "?sort=run&order=ascending&page=3")
    assert (first, last) == (with_all[:50], with_all[100:])
    assert listed(viewer, "?sort=run&order=ascending&page=99") == last
    text = viewer.get("/wildlife/reports?sort=run&order=ascending&page=2").text
    assert "120 runs" in text
    assert "Page 2 of 3" in text
    links = [unescape(link) for link in re.findall(r'rel="(?:prev|next)" href="([^"]+)"', text)]
    assert links == [
        f"/wildlife/reports?sort=run&order=ascending&page={number}" for number in (1, 3)
    ]


@pytest.mark.parametrize("query", ["page=0", "page=x", "sort=secret", "order=up"])
def test_a_made_up_question_is_refused(viewer: TestClient, connected: Store, query: str) -> None:
    answer = viewer.get(f"/wildlife/reports?{query}")
    assert answer.status_code == 404
    assert "There is nothing of this name" in answer.text


def test_synthetic_data_is_marked_in_the_list_too(viewer: TestClient, connected: Store) -> None:
    publish(connected, "drawn", synthetic=True)
    publish(connected, "real", hours_ago=1)
    drawn, real = rows(viewer.get("/wildlife/reports").text)
    assert "synthetic" in drawn
    assert "synthetic" not in real


def test_names_are_escaped(viewer: TestClient, connected: Store) -> None:
    hostile = "<script>alert(1)</script>"
    publish(connected, "run-1", title=hostile, weights=hostile, archive=hostile)
    publish(connected, "run-2", 1, title=hostile, weights=hostile, archive=hostile)
    text = viewer.get("/wildlife/reports").text
    assert "<svg" in text
    assert "<script>" not in text
    assert text.count("&lt;script&gt;") == 7  # three a row, and the archive under the chart


def test_an_empty_bucket_is_explained(viewer: TestClient, connected: Store) -> None:
    answer = viewer.get("/wildlife/reports")
    assert answer.status_code == 200
    assert "No run has finished yet" in answer.text


def test_the_trend_stands_above_the_list(viewer: TestClient, connected: Store) -> None:
    publish(connected, "run-1", 1)
    assert "<svg" not in viewer.get("/wildlife/reports").text
    publish(connected, "run-2")
    assert "over 2 trainings" in viewer.get("/wildlife/reports").text


@pytest.mark.parametrize(
    ("name", "content_type"),
    [
        ("index.html", "text/html; charset=utf-8"),
        ("report.md", "text/markdown; charset=utf-8"),
        ("summary.json", "application/json"),
        ("summary.schema.json", "application/json"),
        ("scratch.png", "image/png"),
        ("learning-curves.svg", "image/svg+xml"),
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
    assert "script" not in policy
    assert "; sandbox allow-same-origin " in policy
    assert "frame-ancestors 'self'" in policy
    assert "private" in headers["cache-control"]


def test_nothing_else_of_the_bucket_can_be_reached(viewer: TestClient, connected: Store) -> None:
    publish(connected, "run-1")
    for path in (
        "run-1/none.html",
        "run-1/model.weights.h5",
        "run-1/page.php",
        "run-1/.hidden.html",
        "run-1/..%2F..%2Fruns%2Frun-1%2Fcompare.json",
        "..%2Fruns/compare.json",
        "..%2Fruns%2Frun-1/report.zip",
        "%2e%2e/index.html",
        "%2e%2e",
        "none/report.zip",
        "run-1/nested/index.html",
        "run-1/index.html%00.png",
        "run-1/index.html%0a",
    ):
        answer = viewer.get(f"/wildlife/reports/{path}")
        assert answer.status_code == 404, path
        assert "<h1>Wildlife reports</h1>" in answer.text, path
        assert "accuracy" not in answer.text, path


def test_there_is_no_listing_of_a_folder(viewer: TestClient, connected: Store) -> None:
    publish(connected, "run-1")
    for path in ("reports/run-1/", "reports/", "static", "static/", "", "runs", "headlines"):
        answer = viewer.get(f"/wildlife/{path}")
        assert answer.status_code in (307, 404), path
        assert "summary" not in answer.text


def test_the_whole_report_comes_as_a_zip(viewer: TestClient, connected: Store) -> None:
    publish(connected, RUN)
    connected.write(f"reports/{RUN}/scratch.png", b"\x89PNG")
    connected.write(f"reports/{RUN}/nested/index.html", b"not of the report")
    connected.write(f"reports/{RUN}/model.weights.h5", b"nor this")
    connected.write(f"reports/{RUN}x/index.html", b"of another run")
    answer = viewer.get(f"/wildlife/reports/{QUOTED}/report.zip")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/zip"
    name = "report-manual__2026-11-24T02_44_00_00_00.zip"
    assert answer.headers["content-disposition"] == f'attachment; filename="{name}"'
    archive = zipfile.ZipFile(io.BytesIO(answer.content))
    assert archive.testzip() is None
    folder = "manual__2026-11-24T02_44_00+00_00"
    assert {name: archive.read(name) for name in archive.namelist()} == {
        f"{folder}/index.html": f"<p>of {RUN}".encode(),
        f"{folder}/summary.json": b"{}",
        f"{folder}/scratch.png": b"\x89PNG",
    }


def test_a_report_too_large_for_a_zip_is_refused(
    viewer: TestClient, connected: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(connected, "run-1")
    monkeypatch.setattr(zipped, "_MOST_BYTES", 10)
    answer = viewer.get("/wildlife/reports/run-1/report.zip")
    assert answer.status_code == 413
    assert "fetch it yourself" in answer.text
