"""What is done to the site while it trains, and how each part is seen to be back."""

import re
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import psutil
from celery import Celery
from kombu.exceptions import OperationalError
from redis import RedisError

from embedded.process import StackError
from embedded.store import start_store, stop_store
from tasks.contract.errors import StepError
from tasks.contract.progress import TrainProgress, read_progress
from tests.drill.record import Row
from tests.drill.site_of_two_workers import WORKERS, Site
from tests.plugins.waiting import wait_for

STEP = "train_scratch"
#: For so long a server that is restarted is away, and the store.
AWAY_SECONDS = 10
STORE_AWAY_SECONDS = 30
#: A part has to be back in this time, or the drill fails.
PATIENCE = 240

NOTHING = "nothing"


class Drill:
    """One run that trains while parts of its site die, one after the other."""

    def __init__(self, site: Site, run_id: str) -> None:
        self.site = site
        self.run_id = run_id
        self.began = time.monotonic()

    def say(self, what: str) -> None:
        print(f"  {time.monotonic() - self.began:6.1f} s  {what}", flush=True)

    def progress(self) -> TrainProgress | None:
        try:
            return read_progress(self.site.store, self.run_id, STEP)
        except StepError:
            return None

    def trained(self) -> int:
        """Batches that the training has behind it."""
        now = self.progress()
        return 0 if now is None else now.epoch * now.batches + now.batch

    def require_training(self) -> int:
        """See that a fault would hit a training; returns its try."""
        task, now = self.site.task(self.run_id, STEP), self.progress()
        assert task["state"] == "running", f"{STEP} is {task['state']}: let it train longer"
        assert now is not None
        assert now.phase == "training", f"{STEP} is {now.phase}: let it train longer"
        return int(task["try_number"])

    def wait_for_training(self, attempt: int) -> None:
        """Until this try of the step has trained on."""
        until(lambda: self._is_running(attempt))
        self.wait_for_batches(datetime.now(UTC))

    def wait_for_batches(self, since: datetime) -> None:
        """Until the training tells of a batch that it has done after this moment."""

        def trains() -> bool:
            now = self.progress()
            return now is not None and now.phase == "training" and now.updated > since

        until(trains)

    def wait_for_beat(self, since: datetime) -> None:
        """Until Airflow's database has a sign of life of the step after this moment."""

        def beats() -> bool:
            last = last_heartbeat(self.site, self.run_id)
            return last is not None and last > since

        until(beats)

    def _is_running(self, attempt: int) -> bool:
        task = self._task()
        return task is not None and (task["try_number"], task["state"]) == (attempt, "running")

    def _task(self) -> dict[str, Any] | None:
        try:
            return self.site.task(self.run_id, STEP)
        except StackError:
            return None


def last_heartbeat(site: Site, run_id: str) -> datetime | None:
    with site.postgres.connect() as database:
        row = database.execute(
            "SELECT last_heartbeat_at FROM task_instance WHERE run_id = %s AND task_id = %s",
            (run_id, STEP),
        ).fetchone()
    return None if row is None else row[0]


def until(condition: Callable[[], object]) -> None:
    """As ``wait_for``, at a pace that leaves the processors to the site."""
    wait_for(condition, PATIENCE, every=0.5)


Fault = Callable[[Drill], Row]


def worker_is_killed(drill: Drill) -> Row:
    """The worker and all that Airflow runs in it, not the step: its keeper has to end that."""
    began, steps = time.monotonic(), drill.site.steps()
    attempt, before = drill.require_training(), drill.progress()
    assert before is not None
    assert steps, "no step runs on the worker"
    drill.site.kill("worker-gpu")
    psutil.wait_procs(steps, timeout=90)
    assert not drill.site.steps(), "a step has outlived its worker"
    ended = time.monotonic() - began
    until(lambda: _is_missed(drill.site, drill.run_id, attempt))
    missed = time.monotonic() - began
    drill.wait_for_training(attempt + 1)
    seconds = time.monotonic() - began
    return Row(
        "the GPU worker is killed (SIGKILL, with its children)",
        f"its keeper had the step save and end in {ended:.0f} s; the scheduler missed its "
        f"heartbeat after {missed:.0f} s; try {attempt + 1} went on from the checkpoint",
        seconds,
        batches_lost(before, drill.site.step_logs(drill.run_id, STEP)[attempt + 1]),
    )


def _is_missed(site: Site, run_id: str, attempt: int) -> bool:
    task = site.task(run_id, STEP)
    return task["state"] != "running" or task["try_number"] > attempt


def redis_is_restarted(drill: Drill) -> Row:
    site, attempt = drill.site, drill.require_training()
    watch = Restarts(site)
    began = time.monotonic()
    site.redis.stop()
    time.sleep(AWAY_SECONDS)
    site.redis.start()
    until(lambda: workers_that_answer(site) == len(WORKERS))
    watch.wait_until_over(datetime.now(UTC))
    seconds = time.monotonic() - began
    return Row(
        f"Redis is restarted ({AWAY_SECONDS} s away)",
        f"{watch.told()}; both workers found it again; the step did not notice",
        seconds,
        went_on(drill, attempt),
    )


def postgres_is_restarted(drill: Drill) -> Row:
    site, attempt = drill.site, drill.require_training()
    watch = Restarts(site)
    began = time.monotonic()
    site.postgres.stop()
    time.sleep(AWAY_SECONDS)
    site.postgres.start()
    back = datetime.now(UTC)
    drill.wait_for_beat(back)
    watch.wait_until_over(back)
    seconds = time.monotonic() - began
    return Row(
        f"PostgreSQL is restarted ({AWAY_SECONDS} s away)",
        f"{watch.told()}; the step's heartbeat was tried again until it was heard",
        seconds,
        went_on(drill, attempt),
    )


def store_is_away(drill: Drill) -> Row:
    site, attempt = drill.site, drill.require_training()
    done = drill.trained()
    began = time.monotonic()
    stop_store(site.settings)
    time.sleep(STORE_AWAY_SECONDS)
    start_store(site.settings)
    drill.wait_for_batches(datetime.now(UTC))
    seconds = time.monotonic() - began
    log = site.step_logs(drill.run_id, STEP)[attempt]
    warnings = log.count("training goes on")
    told = f"the step trained on (warnings in its log: {warnings})"
    return Row(
        f"the store is away for {STORE_AWAY_SECONDS} s",
        f"{told}, {drill.trained() - done} batches meanwhile",
        seconds,
        went_on(drill, attempt),
    )


def scheduler_is_killed(drill: Drill) -> Row:
    site, attempt = drill.site, drill.require_training()
    known = adoptions(site)
    began = time.monotonic()
    site.kill("scheduler")
    until(lambda: adoptions(site) > known)
    wait_for_servers(site, datetime.now(UTC), "scheduler")
    seconds = time.monotonic() - began
    return Row(
        "the scheduler is killed (SIGKILL)",
        "the new one adopted the running step; the step did not notice",
        seconds,
        went_on(drill, attempt),
    )


def api_server_is_killed(drill: Drill) -> Row:
    site, attempt = drill.site, drill.require_training()
    began = time.monotonic()
    site.kill("api-server")
    time.sleep(1)
    until(site.client.is_ready)
    drill.wait_for_beat(datetime.now(UTC))
    seconds = time.monotonic() - began
    log = site.log("worker-gpu")
    missed = len(re.findall("Failed to send heartbeat", log))
    return Row(
        "the API server is killed (SIGKILL)",
        f"the step's heartbeat was tried again until it was heard ({missed} given up on)",
        seconds,
        went_on(drill, attempt),
    )


def others_are_killed(drill: Drill) -> Row:
    site, attempt = drill.site, drill.require_training()
    began = time.monotonic()
    site.kill("dag-processor")
    site.kill("triggerer")
    wait_for_servers(site, datetime.now(UTC), "dag_processor", "triggerer")
    seconds = time.monotonic() - began
    return Row(
        "the DAG processor and the triggerer are killed (SIGKILL)",
        "nothing that runs needs them; new ones came up",
        seconds,
        went_on(drill, attempt),
    )


#: In the order in which they come. Only the last costs a try.
FAULTS: tuple[Fault, ...] = (
    redis_is_restarted,
    postgres_is_restarted,
    store_is_away,
    scheduler_is_killed,
    api_server_is_killed,
    others_are_killed,
    worker_is_killed,
)


def went_on(drill: Drill, attempt: int) -> str:
    """See that the same try trains on; that is, nothing was lost."""
    drill.wait_for_batches(datetime.now(UTC))
    assert drill.require_training() == attempt, "the fault cost a try"
    return NOTHING


def wait_for_servers(site: Site, since: datetime, *names: str) -> None:
    """Until Airflow tells of a heartbeat of each of them after this moment."""
    wanted = names or ("scheduler", "dag_processor", "triggerer")

    def alive() -> bool:
        try:
            health = site.client.health()
            beats = [health[name][f"latest_{name}_heartbeat"] for name in wanted]
        except (StackError, ValueError, KeyError):
            return False
        return all(beat and datetime.fromisoformat(beat) > since for beat in beats)

    until(alive)


class Restarts:
    """Which parts end by themselves because another is away."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._before = dict(site.restarts)
        self._adoptions = adoptions(site)

    def wait_until_over(self, since: datetime) -> None:
        """Until Airflow's servers are alive, and a new scheduler has its forerunner's tasks."""
        wait_for_servers(self._site, since)
        if "scheduler" in self._ended():
            until(lambda: adoptions(self._site) > self._adoptions)

    def told(self) -> str:
        ended = [f"the {name}" for name in self._ended()]
        return f"{' and '.join(ended)} ended and came up again" if ended else "no part ended"

    def _ended(self) -> list[str]:
        return [name for name, n in self._site.restarts.items() if n > self._before[name]]


def adoptions(site: Site) -> int:
    """How often a scheduler took over the tasks of one that had died."""
    return site.log("scheduler").count("Adopted the following")


def workers_that_answer(site: Site) -> int:
    """How many workers hear what the broker has for them."""
    with Celery(broker=site.redis.url(0)) as asking, suppress(OperationalError, RedisError):
        return len(asking.control.ping(timeout=2))
    return 0


def batches_lost(before: TrainProgress, log: str) -> str:
    """What a training has to do again, by what its next try says of the checkpoint it found.

    Args:
        before: how far it was.
        log: of the next try.
    """
    told = re.search(r"going on from the checkpoint of epoch (\d+) after (?:(\d+) of|its)", log)
    assert told is not None, f"the retry began anew:\n{log[-2000:]}"
    epochs, batches = int(told[1]), 0
    if told[2] is not None:  # in the midst of it; else after its validation
        epochs, batches = epochs - 1, int(told[2])
    lost = (before.epoch - epochs) * before.batches + before.batch - batches
    return f"{lost} batches, trained again" if lost > 0 else NOTHING
