"""A webhook and a mailbox that alerts go to."""

from collections.abc import Iterator

import pytest

from tests.plugins.alerts.listeners import Mailbox, Webhook, listening_mailbox, listening_webhook


@pytest.fixture
def webhook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Webhook]:
    with listening_webhook() as (hook, port):
        monkeypatch.setenv("WILDLIFE_ALERT_WEBHOOK", "rangers_chat")
        monkeypatch.setenv("AIRFLOW_CONN_RANGERS_CHAT", hook.connection(port))
        yield hook


@pytest.fixture
def mailbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mailbox]:
    with listening_mailbox() as (box, port):
        monkeypatch.setenv("WILDLIFE_ALERT_MAIL", "rangers@example.org, wardens@example.org")
        monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", box.connection(port))
        yield box
