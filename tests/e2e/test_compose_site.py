"""A site of many containers, from `compose up` to a report, and back after its parts have died."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from embedded.sample import write_sample
from tasks.contract.manifest import RunRecord, record_key, report_prefix
from tasks.contract.progress import read_progress
from tasks.train.weight_files import mirror_weights
from tests.compose import compose_program
from tests.e2e.composed import Site, wait_slowly
from tests.engine import Engine, what_cuts_bridges_off
from wildlife.containers.labels import BUCKET

pytestmark = [pytest.mark.airflow, pytest.mark.docker]

ROOT = Path(__file__).resolve().parents[2]
SERVICES = "wildlife-services:bookworm"
ARCHIVE = "datasets/sample.zip"
QUICK = {"archive": ARCHIVE, "weights": "lite0", "image_size": 64, "transfer_epochs": 2}
#: So many that a training outlasts what is done to it.
EPOCHS = 400


@pytest.fixture(scope="module")
def site(
    engine: Engine, airflow_image: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    compose = compose_program()
    reason = what_cuts_bridges_off()
    if reason is not None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(reason)
    made = subprocess.run(
        [ROOT / "docker" / "make-services", SERVICES],
        env=os.environ | engine.environment,
        capture_output=True,
        text=True,
    )
    assert made.returncode == 0, made.stderr[-3000:]
    images = dict(line.split("=") for line in made.stdout.splitlines()[-3:])
    site = Site(tmp_path_factory.mktemp("site"), engine, compose, images)
    try:
        site.up()
        site.log_in()
        put_inputs(site, tmp_path_factory.mktemp("sample"))
        yield site
    finally:
        steps = engine.docker("ps", "--all", "--quiet", "--filter", f"label={BUCKET}").split()
        if steps:
            engine.docker("rm", "--force", *steps)
        site.compose("down", "--volumes", "--timeout", "5")
        engine.docker("volume", "rm", "--force", "wildlife-test-cache")


def put_inputs(site: Site, folder: Path) -> None:
    write_sample(folder / "sample.zip", photos_per_species=20)
    site.store.write(ARCHIVE, (folder / "sample.zip").read_bytes())
    mirror_weights(site.store, "lite0")


def test_init_may_run_again(site: Site) -> None:
    again = site.compose("run", "--rm", "init")
    for said in ("bucket: s3://wildlife at http://store:8333 is there", "user admin: is there"):
        assert said in again


def test_a_run_ends_with_a_report_that_a_viewer_reads(site: Site) -> None:
    site.begin("first", scratch_epochs=1, **QUICK)
    wait_slowly(lambda: site.run("first") in ("success", "failed"), seconds=480)
    assert site.run("first") == "success"
    names = {head.key.removeprefix(report_prefix("first")) for head in site.store.list("reports/")}
    assert {"index.html", "summary.json"} <= names
    page = site.ask("/wildlife/reports/first/index.html")
    assert page.status_code == 200, page.text
    # Each queue's worker did its own, and the log of both outlives it in the bucket.
    hosts = {name: site.task("first", name)["hostname"] for name in ("fetch", "train_scratch")}
    assert hosts == {"fetch": "worker-cpu", "train_scratch": "worker-gpu"}
    assert "the result is complete" in site.log("first", "train_scratch", 1)
    assert any(head.key.endswith(".log") for head in site.store.list("logs/"))


def test_nobody_without_a_login_sees_anything(site: Site) -> None:
    for path in ("/wildlife/reports/first/index.html", "/api/v2/dags"):
        answer = site.ask(path, headers={"Authorization": ""})
        assert answer.status_code in (401, 403), path


def test_no_secret_stands_where_docker_inspect_shows_it(site: Site, engine: Engine) -> None:
    containers = engine.docker("ps", "--all", "--quiet").split()
    shown = engine.docker("inspect", *containers)
    for file in (site.folder / "secrets").iterdir():
        if file.name != "users.json":
            assert file.read_text().strip() not in shown, file.name


def test_a_training_outlives_its_worker_and_every_other_part(site: Site, engine: Engine) -> None:
    site.begin("faults", scratch_epochs=EPOCHS, scratch_learning_rate=0.0003, **QUICK)
    wait_slowly(lambda: epoch(site) >= 2, seconds=300)
    [container] = engine.docker("ps", "--quiet", "--filter", f"label={BUCKET}").split()

    for service in ("worker-gpu", "redis", "postgres", "scheduler"):
        before = site.restarts(service)
        site.kill(service)
        wait_slowly(lambda: site.restarts(service) == before + 1, seconds=60)  # noqa: B023
    site.wait_until_healthy()

    def is_tried_again() -> bool:
        task = site.task("faults", "train_scratch")
        return bool(task["try_number"] >= 2 and task["state"] == "running")

    wait_slowly(is_tried_again, seconds=300)
    number = site.task("faults", "train_scratch")["try_number"]
    wait_slowly(
        lambda: (
            "Reconnecting to existing job" in site.log("faults", "train_scratch", number)
            or "found the container" in site.log("faults", "train_scratch", number)
        ),
        seconds=60,
    )
    assert engine.docker("ps", "--quiet", "--filter", f"label={BUCKET}").split() == [container]


def test_what_was_dumped_can_be_restored(site: Site) -> None:
    dump = site.dump()
    psql = ["exec", "-T", "postgres", "psql", "--username", "airflow", "--tuples-only"]
    count = "SELECT count(*) FROM dag_run"
    before = site.compose(*psql, "--command", count).strip()
    site.compose("stop", "api", "scheduler", "dag-processor", "triggerer")
    site.compose(*psql, "--command", "TRUNCATE dag_run CASCADE")
    assert site.compose(*psql, "--command", count).strip() == "0"
    restore = ["exec", "-T", "postgres", "pg_restore", "--username", "airflow"]
    site.compose(*restore, "--dbname", "airflow", "--clean", "--if-exists", stdin=dump)
    assert site.compose(*psql, "--command", count).strip() == before
    site.up()
    assert site.run("first") == "success"
    content = site.store.read(record_key("first", "compare")) or b""
    assert RunRecord.model_validate_json(content).run_id == "first"


def epoch(site: Site) -> int:
    progress = read_progress(site.store, "faults", "train_scratch")
    return 0 if progress is None else progress.epoch


def test_the_statement_of_the_report_is_the_one_in_the_bucket(site: Site) -> None:
    summary = json.loads(site.store.read(f"{report_prefix('first')}summary.json") or b"{}")
    assert summary["statement"] in site.ask("/wildlife/reports/first/index.html").text
