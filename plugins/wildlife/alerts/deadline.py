"""A run that takes too long, told by the triggerer: no worker need be alive for it."""

import asyncio
from datetime import timedelta
from typing import Any

from airflow.sdk.definitions.callback import AsyncCallback
from airflow.sdk.definitions.deadline import DeadlineAlert, DeadlineReference

from wildlife.alerts.alert import Alert, in_one_line
from wildlife.alerts.delivery import deliver


def deadline_alert(hours: float) -> DeadlineAlert:
    """Counted from when a run was queued, so that it holds for one that never begins, too.

    A run that somebody triggers has no logical date to count from.
    """
    return DeadlineAlert(
        reference=DeadlineReference.DAGRUN_QUEUED_AT,
        interval=timedelta(hours=hours),
        callback=AsyncCallback(tell_of_deadline, {"hours": hours}),
    )


async def tell_of_deadline(hours: float, context: dict[str, Any]) -> None:
    """What Airflow calls when the time is over and the run has not succeeded.

    Args:
        context: the run, as Airflow's API shows it.
    """
    run_id, state = context["dag_run"]["dag_run_id"], context["dag_run"]["state"]
    if state == "failed":  # that was told
        return
    late = "took longer" if state == "success" else f"is still {state}"
    said = f"Run {run_id} {late}, and had {hours:g} hours"
    await asyncio.to_thread(deliver, Alert("deadline missed", run_id, in_one_line(said)))
