"""Tells people, by webhook or mail, of what went wrong with a run (docs/alerts.md).

Each function here gives what an argument of the DAG or of a node takes; None while alerts are off.
"""

from collections.abc import Callable

from airflow.sdk import Context
from airflow.sdk.definitions.deadline import DeadlineAlert

from wildlife.alerts.deadline import deadline_alert
from wildlife.alerts.drops import tell_of_drops
from wildlife.alerts.failure import tell_of_failure
from wildlife.settings import alert_settings

Callback = Callable[[Context], None]


def when_run_fails() -> Callback | None:
    """For the DAG, because a run fails once, whatever becomes of its nodes and their tries."""
    return tell_of_failure if alert_settings().are_on else None


def when_report_is_there() -> Callback | None:
    """For the node ``compare``, because the alert of a drop leads to the report."""
    return tell_of_drops if alert_settings().are_on else None


def when_run_is_late() -> DeadlineAlert | None:
    """For the DAG: by WILDLIFE_ALERT_DEADLINE_HOURS."""
    hours = alert_settings().deadline_hours
    return deadline_alert(hours) if hours else None
