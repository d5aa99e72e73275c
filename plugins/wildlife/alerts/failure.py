"""A run that failed: one alert, with the reason that each failed node gave."""

import logging
from contextlib import suppress

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowRuntimeError

from wildlife.alerts.alert import Alert, in_one_line
from wildlife.alerts.delivery import deliver
from wildlife.identity import DAG_ID

log = logging.getLogger(__name__)

#: Under this key of Airflow's XCom a node leaves why its last try failed.
_REASON = "failure"


def keep_reason(context: Context, reason: str) -> None:
    """Leave it for the alert: Airflow tells the DAG's callback which node failed, and not why."""
    task = context.get("ti")
    if task is not None:
        with suppress(AirflowRuntimeError, OSError):  # the failure itself is more important
            task.xcom_push(key=_REASON, value=in_one_line(reason))


def tell_of_failure(context: Context) -> None:
    """What the DAG calls, in Airflow's DAG processor, when a run has failed."""
    run_id = str(context["run_id"])
    try:
        reasons = "; ".join(_reasons(context, run_id))
    except (AirflowRuntimeError, OSError) as error:
        log.warning("why run %s failed is not known: %s", run_id, error)
        reasons = ""
    reasons = reasons or str(context.get("reason", "")).replace("_", " ")
    deliver(Alert("failure", run_id, in_one_line(f"Run {run_id} failed: {reasons}")))


def _reasons(context: Context, run_id: str) -> list[str]:
    task = context.get("ti")
    if task is None:
        return []
    states = task.get_task_states(dag_id=DAG_ID, run_ids=[run_id]).get(run_id, {})
    found = []
    for task_id in (task_id for task_id, state in states.items() if state == "failed"):
        reason = task.xcom_pull(task_ids=task_id, key=_REASON, map_indexes=-1)
        name = context["dag"].get_task(task_id).task_display_name
        found.append(f"{name}: {reason or 'it gave no reason; read the end of its log'}")
    return found
