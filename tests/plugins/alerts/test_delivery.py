"""An alert arrives, or is a line in the log within seconds; nothing else comes of it."""

import logging
import time

import pytest
from airflow.sdk._shared.secrets_masker import redact

from embedded.ports import free_ports
from tests.plugins.alerts.listeners import TOKEN, Mailbox, Webhook
from wildlife.alerts import delivery
from wildlife.alerts.alert import Alert, in_one_line
from wildlife.alerts.delivery import deliver

ALERT = Alert("failure", "run-1", "Run run-1 failed: Fetch: no <archive> {{ 6 * 7 }}")
RUN = "http://localhost:8080/dags/oregon_wildlife/runs/run-1"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(delivery, "_PAUSES", (0.0, 0.0))
    caplog.set_level(logging.INFO, "wildlife.alerts")


def test_a_webhook_hears_what_happened_to_which_run_and_where_to_read_on(webhook: Webhook) -> None:
    deliver(ALERT)
    assert webhook.heard == [
        {
            "kind": "failure",
            "text": f"Run run-1 failed: Fetch: no <archive> {{{{ 6 * 7 }}}} {RUN}",
            "dag_id": "oregon_wildlife",
            "run_id": "run-1",
            "link": RUN,
        }
    ]
    assert webhook.paths == [f"/hook/{TOKEN}"]


def test_mail_goes_to_every_address_and_shows_names_as_they_are(mailbox: Mailbox) -> None:
    deliver(ALERT)
    ((addressees, subject, body),) = mailbox.letters
    assert addressees == ["rangers@example.org", "wardens@example.org"]
    assert subject == "Failure: run-1"
    assert "Run run-1 failed: Fetch: no &lt;archive&gt; {{ 6 * 7 }}" in body
    assert f'<a href="{RUN}">' in body


def test_the_link_leads_to_airflow_as_people_reach_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://airflow.example.org/wild/")
    drop = Alert("data drop", "manual__2026-11-23T03:00:00+00:00", "")
    assert drop.link == (
        "https://airflow.example.org/wild/dags/oregon_wildlife/runs/"
        "manual__2026-11-23T03%3A00%3A00%2B00%3A00/plugin/wildlife-report"
    )


def test_nobody_is_told_unless_that_is_set(caplog: pytest.LogCaptureFixture) -> None:
    deliver(ALERT)
    assert caplog.text == ""


def test_a_webhook_that_fails_twice_is_told_once(
    webhook: Webhook, caplog: pytest.LogCaptureFixture
) -> None:
    webhook.answers = [500, 429]
    deliver(ALERT)
    assert (webhook.requests, len(webhook.heard)) == (3, 1)
    assert "was delivered by the webhook of connection 'rangers_chat'" in caplog.text


def test_a_webhook_that_refuses_is_a_line_in_the_log(
    webhook: Webhook, caplog: pytest.LogCaptureFixture
) -> None:
    webhook.answers = [404] * 9
    deliver(ALERT)
    assert webhook.requests == 3
    (line,) = [row.getMessage() for row in caplog.records if row.name == delivery.__name__]
    assert line.startswith(
        "the alert of a failure could not be delivered by the webhook of connection 'rangers_chat'"
    )
    assert "404" in line


def test_servers_that_are_mute_cost_seconds_and_one_of_them_does_not_keep_the_other(
    webhook: Webhook,
    mailbox: Mailbox,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(delivery, "_PATIENCE_SECONDS", 2.0)
    webhook.mute = True
    began = time.monotonic()
    deliver(ALERT)
    assert 1.9 < time.monotonic() - began < 5
    assert len(mailbox.letters) == 1
    mailbox.mute = True
    began = time.monotonic()
    deliver(ALERT)
    assert time.monotonic() - began < 5
    assert "delivered by mail: no answer within 2 seconds" in caplog.text


def test_a_connection_that_is_missing_is_a_line_in_the_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("WILDLIFE_ALERT_WEBHOOK", "nobody_made_it")
    deliver(ALERT)
    assert "by the webhook of connection 'nobody_made_it': AirflowNotFound" in caplog.text


def test_the_token_of_a_webhook_that_is_away_is_hidden_from_the_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("WILDLIFE_ALERT_WEBHOOK", "rangers_chat")
    address = Webhook().connection(free_ports(1))
    monkeypatch.setenv("AIRFLOW_CONN_RANGERS_CHAT", address)
    deliver(ALERT)
    assert "could not be delivered" in caplog.text
    assert TOKEN in caplog.text, "then nothing need hide it, and this test guards nothing"
    assert TOKEN not in redact(caplog.text)


def test_whatever_is_said_stays_one_line() -> None:
    assert in_one_line("a\nb\r\n\tc") == "a b c"
    assert len(in_one_line("x" * 10_000)) == 500
