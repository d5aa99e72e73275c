"""A run that takes too long is told of, once, and not if it has failed already."""

import asyncio
from datetime import timedelta

import pytest
from airflow.models.deadline import ReferenceModels
from airflow.serialization.decoders import decode_deadline_alert
from airflow.serialization.encoders import encode_deadline_alert
from airflow.serialization.enums import DagAttributeTypes, Encoding

from tests.plugins.alerts.listeners import Webhook
from wildlife.alerts import when_run_is_late
from wildlife.alerts.deadline import tell_of_deadline
from wildlife.settings import alert_settings


def run_in(state: str) -> dict[str, dict[str, str]]:
    return {"dag_run": {"dag_run_id": "run-1", "state": state}}


def test_the_scheduler_knows_when_a_run_is_late_and_whom_to_call(
    webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert when_run_is_late() is None
    monkeypatch.setenv("WILDLIFE_ALERT_DEADLINE_HOURS", "36")
    alert_settings.cache_clear()
    made = when_run_is_late()
    assert made is not None
    kept = decode_deadline_alert(
        {Encoding.TYPE: DagAttributeTypes.DEADLINE_ALERT, Encoding.VAR: encode_deadline_alert(made)}
    )
    assert kept.interval == timedelta(hours=36)
    assert kept.reference.reference_name == ReferenceModels.DagRunQueuedAtDeadline.__name__
    assert kept.callback.path == "wildlife.alerts.deadline.tell_of_deadline"
    assert kept.callback.kwargs == {"hours": 36}


@pytest.mark.parametrize(
    ("state", "late"),
    [("queued", "is still queued"), ("running", "is still running"), ("success", "took longer")],
)
def test_a_run_that_waits_or_goes_on_or_came_late_is_told_of(
    webhook: Webhook, state: str, late: str
) -> None:
    asyncio.run(tell_of_deadline(hours=1.5, context=run_in(state)))
    (document,) = webhook.heard
    assert document["kind"] == "deadline missed"
    assert document["text"].startswith(f"Run run-1 {late}, and had 1.5 hours ")


def test_a_run_that_failed_was_told_of_already(webhook: Webhook) -> None:
    asyncio.run(tell_of_deadline(hours=1.5, context=run_in("failed")))
    assert webhook.requests == 0
