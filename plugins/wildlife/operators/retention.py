"""Retention as a node of a DAG.

It runs in the worker itself and not in a container: it needs nothing of what steps need, decodes
nothing that comes from outside, and can ask Airflow, between two of its own requests, which runs
are at work.
"""

from collections.abc import Collection, Sequence
from typing import Any

from airflow.sdk import BaseOperator, Context
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowRuntimeError

from tasks.contract.config import RetentionOptions
from tasks.contract.errors import StepError, UnavailableError
from tasks.contract.store import Store, StoreSettings
from tasks.retention import retain
from wildlife.connection import store_environment
from wildlife.form import chosen_options
from wildlife.identity import DAG_ID, ENDED
from wildlife.settings import settings

DRY_RUN = "dry_run"


class RetentionOperator(BaseOperator):
    """Removes what of the bucket is old and referred to by nothing that is kept.

    A run by hand does what the trigger form says, which is a dry run unless that is unticked; one
    that began by itself removes only if WILDLIFE_RETENTION_REMOVES says so.
    """

    template_fields: Sequence[str] = ()
    ui_color = "#e8f3ec"

    def execute(self, context: Context) -> None:
        try:
            asked = chosen_options(dict(context["params"]))
            dry_run = bool(asked.pop(DRY_RUN))
            if context["dag_run"].run_type == "scheduled":
                dry_run = not settings().retention_removes
            retain(
                Store(StoreSettings.from_environment(store_environment())),
                RetentionOptions.parse(asked),
                lambda: _at_work(context),
                dry_run=dry_run,
            )
        except StepError as error:
            self.log.error("%s failed: %s", self.task_id, error)
            failure = AirflowException if error.retryable else AirflowFailException
            raise failure(str(error)) from error


def _at_work(context: Context) -> Collection[str]:
    """Runs of the workflow with a task that has not ended.

    Raises:
        UnavailableError: Airflow did not say.
    """
    task: Any = context["ti"]
    try:
        states = task.get_task_states(dag_id=DAG_ID)
    except (AirflowRuntimeError, OSError) as error:
        raise UnavailableError(
            f"Airflow does not say which runs are at work ({error}): nothing is removed"
        ) from error
    return {
        run_id
        for run_id, tasks in states.items()
        if any(state not in ENDED for state in tasks.values())
    }
