"""Runs that begin by themselves, in a real Airflow over a real store: another archive, late ticks,
and the DAGs that follow this one.

The tests are the life of one Airflow and follow one another. Steps are real, on a tiny archive.
"""

import json
import sqlite3
import zipfile
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

import embedded.airflow
from embedded.airflow import AirflowClient, airflow_environment, start_airflow, stop_airflow
from embedded.process import Program
from embedded.settings import ROOT, Settings
from embedded.store import start_store, stop_store, store_environment
from tasks.contract.manifest import RunRecord, record_key
from tasks.contract.store import Store, StoreSettings
from tasks.registry import STEP_NAMES
from tests.e2e.stack import stack_in
from tests.plugins.waiting import wait_for
from tests.preprocess.archives import class_folders
from wildlife.links import report_link
from wildlife.settings import settings as plugin_settings

pytestmark = pytest.mark.airflow

KEY = "datasets/pets.zip"
TINY = {
    "image_size": 32,
    "scratch_epochs": 1,
    "transfer_epochs": 1,
    "feature_views": 1,
    "weights": "lite0",
}
SETTLE_SECONDS = 3
BURST = ("of the burst", "of the burst, too", "the last of the burst")
#: Once a year, so that no tick comes while the tests run; they make a late one of it.
YEARLY = "0 0 1 1 *"
FOLLOWER = "tell_the_rangers"
BOTH_MODELS = """
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, Asset

arms = ("scratch", "transfer")
models = [Asset(f"wildlife_model_{arm}", f"wildlife://model/{arm}") for arm in arms]

with DAG("both_models", schedule=models):
    EmptyOperator(task_id="nothing")
"""


class Site:
    """A running stack, and the ways to look into it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.store = Store(StoreSettings.from_environment(store_environment(settings)))
        self.airflow = AirflowClient(settings)

    def start(self) -> None:
        start_airflow(self.settings)

    def upload(self, note: str) -> str:
        """Put the archive with another note in it under the watched key; returns its version."""
        content = BytesIO()
        with zipfile.ZipFile(content, "w") as archive:
            for name, photo in class_folders().items():
                archive.writestr(zipfile.ZipInfo(name), photo)
            archive.writestr(zipfile.ZipInfo("note.txt"), note)  # of no time: the same bytes again
        self.store.write(KEY, content.getvalue())
        head = self.store.head(KEY)
        assert head is not None
        return head.version

    def kill_triggerer(self) -> None:
        triggerer = Program("airflow-triggerer", self.settings.home).find()
        assert triggerer is not None
        triggerer.kill()
        triggerer.wait()

    def watched(self) -> int | None:
        """Airflow's number of the watched archive's asset."""
        assets = self.airflow._read("/api/v2/assets")["assets"]
        ids = [asset["id"] for asset in assets if asset["uri"].endswith(f"/{KEY}")]
        return ids[0] if ids else None

    def told(self) -> list[str]:
        """The versions of the archive that the triggerer told of, the first one first."""
        return [event["extra"]["payload"]["version"] for event in self._events(self.watched())]

    def told_at(self) -> datetime:
        """When it told last."""
        return datetime.fromisoformat(self._events(self.watched())[-1]["timestamp"])

    def watermark(self) -> str | None:
        asset = self.watched()
        if asset is None:
            return None
        answer = self.airflow._request("GET", f"/api/v2/assets/{asset}/state-store/version")
        return answer.json()["value"]["version"] if answer.status_code == 200 else None

    def published(self, run_id: str) -> dict[str, Any]:
        """What a run's nodes published: each asset's name and the event's ``extra``."""
        events = self._events(None, run_id)
        return {event["name"]: event["extra"] for event in events}

    def runs(self, kind: str, dag_id: str = AirflowClient.dag_id) -> list[dict[str, Any]]:
        """A DAG's runs of a kind, the first one first."""
        path = f"/api/v2/dags/{dag_id}/dagRuns?run_type={kind}&order_by=start_date"
        found: list[dict[str, Any]] = self.airflow._read(path)["dag_runs"]
        return found

    def begun_by(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """The events that a run was begun by."""
        path = f"/api/v2/dags/{dag_id}/dagRuns/{quote(run_id)}/upstreamAssetEvents"
        events: list[dict[str, Any]] = self.airflow._read(path)["asset_events"]
        return events

    def follows(self, dag_id: str, run_id: str) -> dict[str, Any] | None:
        """The run of another DAG that began by what a run published, if it has ended well."""
        for run in self.runs("asset_triggered", dag_id):
            sources = [event["source_run_id"] for event in self.begun_by(dag_id, run["dag_run_id"])]
            if run_id in sources and run["state"] == "success":
                return run
        return None

    def record(self, run_id: str, step: str) -> RunRecord:
        return RunRecord.model_validate_json(self.store.read(record_key(run_id, step)) or b"")

    def _events(self, asset: int | None, run_id: str = "") -> list[dict[str, Any]]:
        asked = f"source_run_id={quote(run_id)}" if asset is None else f"asset_id={asset}"
        found: list[dict[str, Any]] = self.airflow._read(f"/api/v2/assets/events?{asked}")[
            "asset_events"
        ]
        return found


def soon(condition: Any, seconds: float = 60) -> None:
    wait_for(condition, seconds, every=0.3)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A stack that watches an archive and has a schedule, and two DAGs that follow it."""
    dags = tmp_path_factory.mktemp("dags")
    (dags / "wildlife").symlink_to(ROOT / "dags")
    example = (ROOT / "docs" / "scheduling.md").read_text().partition("```python\n")[2]
    (dags / "rangers.py").write_text(example.partition("```")[0])
    (dags / "both_models.py").write_text(BOTH_MODELS)
    changes = {
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        # A killed triggerer is missed within seconds.
        "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "5",
        "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "1",
    }
    settings = stack_in(tmp_path_factory.mktemp("home"))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "SCHEDULE": YEARLY,
            "WATCH": KEY,
            "WATCH_SECONDS": "1",
            "WATCH_SETTLE_SECONDS": str(SETTLE_SECONDS),
            "SCHEDULED_OPTIONS": json.dumps(TINY),
        }.items():
            patch.setenv(f"WILDLIFE_{name}", value)
        plugin_settings.cache_clear()
        patch.setattr(
            embedded.airflow,
            "airflow_environment",
            lambda settings: airflow_environment(settings) | changes,
        )
        try:
            start_store(settings)
            site = Site(settings)
            version = site.upload("when watching begins")
            site.start()
            soon(lambda: site.watermark() == version)
            yield site
        finally:
            stop_airflow(settings)
            stop_store(settings)
            plugin_settings.cache_clear()


def test_a_burst_of_uploads_is_one_event_and_one_run_once_it_has_settled(site: Site) -> None:
    assert site.told() == []
    assert site.runs("asset_triggered") == site.runs("scheduled") == []
    for note in BURST:
        version = site.upload(note)
    soon(lambda: site.runs("asset_triggered"))
    soon(lambda: site.watermark() == version)
    assert site.told() == [version]
    (run,) = site.runs("asset_triggered")
    # Before anything else lies there: a run has what it finds under the key when it begins.
    soon(lambda: site.store.read(record_key(run["dag_run_id"], "fetch")), seconds=180)


def test_a_change_is_told_although_the_triggerer_is_killed(site: Site) -> None:
    """While the run of before still goes on: what is told meanwhile waits for its end."""
    before = site.told()

    # It is killed before the archive has settled, and another one comes while none runs.
    site.upload("seen, and replaced")
    site.kill_triggerer()
    unseen = site.upload("while no triggerer runs")
    site.start()
    soon(lambda: site.watermark() == unseen)
    assert site.told() == [*before, unseen]

    # It is killed as soon as it has told, before it could keep what it told of.
    # The archive is what the first run had, so that no other run has to train.
    last = site.upload(BURST[-1])
    soon(lambda: site.told()[-1] == last)
    site.kill_triggerer()
    site.start()
    soon(lambda: site.watermark() == last)
    again = site.told()[len(before) + 1 :]
    assert again in ([last], [last, last])
    told = site.told_at()

    def has_run() -> bool:
        """The last run began after the last change was told, so that it has seen it."""
        *_, run = site.runs("asset_triggered")
        began = run["start_date"] and datetime.fromisoformat(run["start_date"])
        return began and began > told and run["state"] == "success"

    soon(has_run, seconds=300)
    runs = [run["dag_run_id"] for run in site.runs("asset_triggered")]
    assert 2 <= len(runs) <= len(site.told())
    assert site.record(runs[-1], "fetch").cached


def test_dags_that_are_scheduled_on_the_result_begin_and_know_of_it(site: Site) -> None:
    """Also when the result was there already."""
    first, *_, last = (run["dag_run_id"] for run in site.runs("asset_triggered"))
    assert not site.record(first, "train_scratch").cached
    assert site.record(last, "train_scratch").cached
    nodes = {"report": "compare", "model_scratch": "train_scratch"}
    nodes |= {"model_transfer": "train_transfer"}
    for run_id in (first, last):
        published = site.published(run_id)
        published.pop("wildlife_champion", None)  # of a run that was promoted
        assert published == {
            f"wildlife_{name}": {
                "run_id": run_id,
                "manifest": site.store.uri(site.record(run_id, step).manifest.key),
                "link": report_link(run_id),
            }
            for name, step in nodes.items()
        }
        soon(lambda run_id=run_id: site.follows(FOLLOWER, run_id))  # type: ignore[misc]
        soon(lambda run_id=run_id: site.follows("both_models", run_id))  # type: ignore[misc]

    told = site.follows(FOLLOWER, last)
    assert told is not None
    rangers = AirflowClient(site.settings)
    rangers.dag_id = FOLLOWER
    assert f"{last} {report_link(last)}" in rangers.log_lines(told["dag_run_id"], "tell", 1)


def test_a_node_that_failed_publishes_nothing(site: Site) -> None:
    followed = [site.runs("asset_triggered", dag) for dag in (FOLLOWER, "both_models")]
    weights = {"weights": "weights/nowhere.h5", "weights_sha256": "0" * 64}
    site.airflow.trigger("no-weights", TINY | weights | {"archive": KEY})
    soon(lambda: site.airflow.run_state("no-weights") == "failed", seconds=180)
    assert set(site.published("no-weights")) == {"wildlife_model_scratch"}
    assert followed == [site.runs("asset_triggered", dag) for dag in (FOLLOWER, "both_models")]


def test_after_years_of_downtime_two_runs_make_up_for_all_ticks_one_after_the_other(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    """Over unchanged data, so each of them ends in seconds and says of which run it is the same."""
    assert site.runs("scheduled") == []
    this_year = datetime.now(UTC).year
    missed(site.settings.home, datetime(this_year - 5, 1, 1, tzinfo=UTC))
    ended = ("success", "failed")
    soon(lambda: [run["state"] in ended for run in site.runs("scheduled")] == [True] * 2, 180)

    runs = site.runs("scheduled")
    assert [run["state"] for run in runs] == ["success"] * 2
    ticks = [datetime.fromisoformat(run["logical_date"]).year for run in runs]
    assert ticks == [this_year - 5, this_year]
    assert runs[0]["end_date"] <= runs[1]["start_date"]
    for run in runs:
        for step in STEP_NAMES:
            assert site.record(run["dag_run_id"], step).cached
            (line,) = (
                line
                for line in site.airflow.log_lines(run["dag_run_id"], step, 1)
                if line.startswith(f"{step}: unchanged since run ")
            )
            assert any(known["dag_run_id"] in line for known in site.runs("asset_triggered")), line
        times = [datetime.fromisoformat(run[name]) for name in ("start_date", "end_date")]
        with capsys.disabled():
            seconds = (times[1] - times[0]).total_seconds()
            print(f"\n  a scheduled run over unchanged data took {seconds:.1f} s")
    following = site.airflow._read(f"/api/v2/dags/{site.airflow.dag_id}")
    assert datetime.fromisoformat(following["next_dagrun_run_after"]).year == this_year + 1


def missed(home: Path, tick: datetime) -> None:
    """Let Airflow's database be that of one that was stopped before a tick: that one is due."""
    due = tick.strftime("%Y-%m-%d %H:%M:%S.%f")
    with closing(sqlite3.connect(home / "airflow" / "airflow.db", timeout=30)) as database:
        changed = database.execute(
            "UPDATE dag SET next_dagrun = ?, next_dagrun_create_after = ?,"
            " next_dagrun_data_interval_start = ?, next_dagrun_data_interval_end = ?"
            " WHERE dag_id = ?",
            (due, due, due, due, AirflowClient.dag_id),
        )
        assert changed.rowcount == 1
        database.commit()
