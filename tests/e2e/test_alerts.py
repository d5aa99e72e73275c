"""What people are told of runs, over a real Airflow, store, web server and mail server.

The tests are a few weeks in the life of an archive, and follow one another.
"""

import json
import re
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from embedded.airflow import AirflowClient, start_airflow, stop_airflow
from embedded.sample import write_sample
from embedded.settings import Settings
from embedded.store import start_store, stop_store, store_environment
from tasks.contract.store import Store, StoreSettings
from tests.e2e.stack import stack_in
from tests.plugins.alerts.listeners import (
    TOKEN,
    Mailbox,
    Webhook,
    listening_mailbox,
    listening_webhook,
)
from wildlife.settings import alert_settings
from wildlife.settings import settings as plugin_settings

pytestmark = pytest.mark.airflow

ARCHIVE = "datasets/watched.zip"
#: Small photos and few epochs: these tests are about the alerts, not about the models.
QUICK = {
    "archive": ARCHIVE,
    "image_size": 64,
    "weights": "lite0",
    "scratch_epochs": 1,
    "transfer_epochs": 10,
}
#: A network that has learned nothing.
USELESS = {"transfer_epochs": 1, "transfer_learning_rate": 1e-9, "scratch_learning_rate": 1e-9}
#: Any run that trains takes longer.
DEADLINE_SECONDS = 20


class Listeners:
    """The servers that alerts go to."""

    def __init__(self, webhook: Webhook, mailbox: Mailbox) -> None:
        self.webhook, self.mailbox = webhook, mailbox

    def told(self, run_id: str) -> list[str]:
        """The kinds of all that the webhook heard of a run."""
        return sorted(told["kind"] for told in self.webhook.heard if told["run_id"] == run_id)

    def text(self, run_id: str, kind: str) -> str:
        (found,) = (
            told["text"]
            for told in self.webhook.heard
            if (told["run_id"], told["kind"]) == (run_id, kind)
        )
        return str(found)


@pytest.fixture(scope="module")
def ears() -> Iterator[Listeners]:
    """Both servers, and Airflow's settings that lead to them."""
    with (
        pytest.MonkeyPatch.context() as environment,
        listening_webhook() as (webhook, web_port),
        listening_mailbox() as (mailbox, mail_port),
    ):
        environment.setenv("WILDLIFE_ALERT_WEBHOOK", "rangers_chat")
        environment.setenv("AIRFLOW_CONN_RANGERS_CHAT", webhook.connection(web_port))
        environment.setenv("WILDLIFE_ALERT_MAIL", "rangers@example.org")
        environment.setenv("AIRFLOW_CONN_SMTP_DEFAULT", mailbox.connection(mail_port))
        environment.setenv("WILDLIFE_ALERT_DEADLINE_HOURS", str(DEADLINE_SECONDS / 3600))
        environment.setenv("WILDLIFE_RETRIES", "1")
        environment.setenv("WILDLIFE_RETRY_SECONDS", "1")
        for read in (plugin_settings, alert_settings):
            read.cache_clear()
        yield Listeners(webhook, mailbox)
        for read in (plugin_settings, alert_settings):
            read.cache_clear()


@pytest.fixture(scope="module")
def stack(ears: Listeners, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A store and an Airflow of the tests' own."""
    settings = stack_in(tmp_path_factory.mktemp("home"))
    start_store(settings)
    try:
        start_airflow(settings)
        yield settings
    finally:
        stop_airflow(settings)
        stop_store(settings)


def ran(stack: Settings, run_id: str, **options: Any) -> str:
    """Trigger a run and wait for its end; returns its state."""
    client = AirflowClient(stack)
    client.trigger(run_id, QUICK | options)
    deadline = time.monotonic() + 400
    while (state := client.run_state(run_id)) not in ("success", "failed"):
        assert time.monotonic() < deadline, f"{run_id} is {state}"
        time.sleep(1)
    return state


def settled(ears: Listeners, run_id: str, *kinds: str) -> list[str]:
    """What was told of a run once these kinds were, and a while after, in which more might come."""
    deadline = time.monotonic() + 60
    while not set(kinds) <= set(ears.told(run_id)) and time.monotonic() < deadline:
        time.sleep(0.5)
    time.sleep(8)
    return ears.told(run_id)


def put_archive(stack: Settings, folder: Path, without: str = "nothing") -> None:
    """The synthetic sample under the key, perhaps without a class."""
    whole, made = folder / "whole.zip", folder / "made.zip"
    write_sample(whole)
    with zipfile.ZipFile(whole) as given, zipfile.ZipFile(made, "w") as taken:
        for entry in given.infolist():
            if f"/{without}/" not in entry.filename:
                taken.writestr(entry, given.read(entry))
    store = Store(StoreSettings.from_environment(store_environment(stack)))
    store.write(ARCHIVE, made.read_bytes())


def test_a_run_that_takes_too_long_is_told_of_once_while_it_goes_on(
    stack: Settings, ears: Listeners, tmp_path: Path
) -> None:
    put_archive(stack, tmp_path)
    assert ran(stack, "week-1") == "success"
    assert settled(ears, "week-1", "deadline missed") == ["deadline missed"]
    said = ears.text("week-1", "deadline missed")
    assert said.startswith("Run week-1 is still running, and had 0.00555556 hours ")
    assert said.endswith(f" {stack.airflow_url}/dags/oregon_wildlife/runs/week-1")


def test_lost_photos_and_a_network_behind_the_champion_are_told_of_by_hook_and_mail(
    stack: Settings, ears: Listeners, tmp_path: Path
) -> None:
    put_archive(stack, tmp_path, without="synthetic_fox")
    assert ran(stack, "week-2", **USELESS) == "success"
    drops = ["data drop", "quality drop"]
    assert settled(ears, "week-2", *drops) == ["data drop", "deadline missed", "quality drop"]
    assert re.search(
        r"^Run week-2 has less than run week-1: \d+ photos fewer are used, 1\d\.\d% of \d+; "
        r"classes lost most of their photos, or are gone: synthetic_fox 0 of \d+ http",
        ears.text("week-2", "data drop"),
    )
    assert re.search(r"test photos, .* week-1 on", ears.text("week-2", drops[1]))
    for kind in drops:
        assert ears.text("week-2", kind).endswith("/runs/week-2/plugin/wildlife-report")
    subjects = [subject for _, subject, _ in ears.mailbox.letters if "week-2" in subject]
    assert sorted(subjects) == [
        "Data drop: week-2",
        "Deadline missed: week-2",
        "Quality drop: week-2",
    ]


def test_the_same_again_is_no_news(stack: Settings, ears: Listeners) -> None:
    assert ran(stack, "week-3", **USELESS) == "success"
    assert set(settled(ears, "week-3")) <= {"deadline missed"}


def test_a_failed_run_is_told_of_once_although_it_was_tried_again(
    stack: Settings, ears: Listeners
) -> None:
    stop_store(stack)
    try:
        assert ran(stack, "week-4") == "failed"
    finally:
        start_store(stack)
    told = settled(ears, "week-4", "failure")
    assert told.count("failure") == 1
    tries = {
        node["task_id"]: node["try_number"]
        for node in AirflowClient(stack).task_instances("week-4")
    }
    assert tries["fetch"] == 2
    said = ears.text("week-4", "failure")
    assert said.startswith("Run week-4 failed: Fetch: the object store at ")
    assert said.endswith(f" {stack.airflow_url}/dags/oregon_wildlife/runs/week-4")


def test_a_webhook_that_is_away_costs_a_line_that_does_not_tell_its_token(
    stack: Settings, ears: Listeners
) -> None:
    ears.webhook.close()
    assert ran(stack, "week-5", archive="datasets/nowhere.zip") == "failed"
    deadline = time.monotonic() + 60
    while not (lines := logged(stack, "could not be delivered by the webhook")):
        assert time.monotonic() < deadline
        time.sleep(1)
    assert "the alert of a failure" in lines[0]
    assert any("Failure: week-5" in subject for _, subject, _ in ears.mailbox.letters)
    assert logged(stack, TOKEN) == []


def logged(stack: Settings, text: str) -> list[str]:
    """Lines of any log of Airflow's that hold a text."""
    folders = (stack.home / "logs", stack.home / "airflow" / "logs")
    files = [file for folder in folders for file in folder.rglob("*") if file.is_file()]
    assert files
    return [
        line
        for file in files
        for line in file.read_text(errors="replace").splitlines()
        if text in line
    ]


def test_a_deadline_makes_no_new_version_of_the_dag_at_each_parse(stack: Settings) -> None:
    found = AirflowClient(stack)._read("/api/v2/dags/oregon_wildlife/dagVersions")
    assert found["total_entries"] == 1


def test_no_page_of_airflow_shows_the_token(stack: Settings) -> None:
    client = AirflowClient(stack)
    for page in ("dags/oregon_wildlife/details", "dagSources/oregon_wildlife", "eventLogs"):
        answer = client._request("GET", f"/api/v2/{page}", headers={"Accept": "application/json"})
        assert answer.status_code in (200, 404), page
        assert TOKEN not in json.dumps(answer.text)
