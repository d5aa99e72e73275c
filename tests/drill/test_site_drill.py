"""``make drill``: a site of two workers on this machine, and every part of it killed once.

PostgreSQL and Redis from Debian's packages, SeaweedFS, Airflow with CeleryExecutor and FAB's login,
two Celery workers with folders and caches of their own. First a run during which the parts
die one after the other, then one of the same options that nobody disturbs: they have to end alike.
"""

import os
import time
from collections.abc import Iterator

import numpy as np
import pytest

from tests.drill import checks
from tests.drill.faults import FAULTS, STEP, Drill, workers_that_answer
from tests.drill.record import Row, table
from tests.drill.servers import missing
from tests.drill.site_of_two_workers import WORKERS, Site
from tests.plugins.waiting import wait_for

pytestmark = [pytest.mark.drill, pytest.mark.airflow]

#: So many that the training outlasts the faults: some four minutes on two cores.
EPOCHS = int(os.environ.get("DRILL_EPOCHS", "100"))
OPTIONS = {
    "archive": "datasets/synthetic-sample.zip",
    "image_size": 64,
    "weights": "lite0",
    "scratch_epochs": EPOCHS,
    "transfer_epochs": 5,
    "deterministic": True,
    "force": True,
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    reason = missing()
    if reason is not None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(reason)
    site = Site()
    try:
        site.start()
        yield site
    finally:
        logs = tmp_path_factory.mktemp("drill")
        site.keep_logs(logs)
        site.close()
    print(f"\nall logs are in {logs}")
    assert site.left_running == []


def test_a_run_ends_the_same_whatever_part_of_its_site_dies(site: Site) -> None:
    print(f"\nthe site is in {site.home}")
    drill = Drill(site, "disturbed")
    site.client.trigger(drill.run_id, OPTIONS)
    wait_for(lambda: drill.trained() > 0, 400, every=0.5)
    rows: list[Row] = []
    try:
        for fault in FAULTS:
            rows.append(fault(drill))
            drill.say(f"{rows[-1].fault}: back after {rows[-1].seconds:.0f} s")
            time.sleep(5)
        wait_for_end(drill)
    finally:
        print(f"\n{table(rows)}\n", flush=True)
    # Now, for a second forced run publishes anew beside what the first one published.
    assert checks.faults_of_bucket(site.store) == []
    assert site.steps() == []
    undisturbed = follow(site, "undisturbed", OPTIONS)
    after(site, undisturbed, drill)


def test_a_broker_that_is_away_while_steps_are_queued_costs_no_try(site: Site) -> None:
    began = time.monotonic()
    site.client.trigger("queued", OPTIONS | {"force": False})
    site.redis.stop()
    time.sleep(20)
    site.redis.start()
    drill = Drill(site, "queued")
    wait_for_end(drill)
    assert {task["try_number"] for task in site.client.task_instances("queued")} == {1}
    assert checks.records(site, "queued")[STEP].cached
    assert workers_that_answer(site) == len(WORKERS)
    print(f"a run of cache hits, the first 20 s without Redis: {time.monotonic() - began:.0f} s")


def follow(site: Site, run_id: str, options: dict[str, object]) -> Drill:
    drill = Drill(site, run_id)
    site.client.trigger(run_id, options)
    wait_for_end(drill)
    return drill


def wait_for_end(drill: Drill) -> None:
    wait_for(lambda: state(drill) in ("success", "failed"), 900, every=1)
    assert state(drill) == "success", drill.site.client.task_instances(drill.run_id)
    drill.say(f"run {drill.run_id} has ended")


def state(drill: Drill) -> str:
    return drill.site.client.run_state(drill.run_id)


def after(site: Site, undisturbed: Drill, disturbed: Drill) -> None:
    """Correct, the same, whole, once, and nothing left."""
    runs = undisturbed.run_id, disturbed.run_id
    one, other = (checks.records(site, run) for run in runs)
    assert one.keys() == other.keys() >= {"fetch", "preprocess", STEP, "compare"}
    for run in runs:
        assert set(checks.completions(site, run).values()) == {1}, checks.completions(site, run)
    tries = {t["task_id"]: t["try_number"] for t in site.client.task_instances(disturbed.run_id)}
    print(f"tries: {tries}; parts started again: {site.restarts}")
    assert {name for name, number in tries.items() if number > 1} == {STEP}
    for step in one:
        if step.startswith("train_"):
            answers = [checks.predictions(site.store, record[step]) for record in (one, other)]
            print(f"{step}: predictions differ by {np.abs(answers[0] - answers[1]).max():.2g}")
            np.testing.assert_allclose(*answers, atol=1e-4)
    reports = [checks.accuracies(site.store, run) for run in runs]
    print(f"accuracies from scratch, by transfer: {reports[0]}, {reports[1]}")
    assert reports[0] == reports[1]
    assert site.steps() == []
