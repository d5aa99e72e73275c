"""Keep the bucket from growing for ever: what is old goes, unless something kept refers to it."""

from pathlib import Path

from airflow.sdk import DAG, CronTriggerTimetable, Param

from tasks.contract.config import RetentionOptions
from wildlife.form import trigger_form
from wildlife.identity import MAINTENANCE_DAG_ID
from wildlife.operators.retention import DRY_RUN, RetentionOperator
from wildlife.settings import settings


def documentation(name: str) -> str:
    """What Airflow's page says of the DAG or of its node, in Markdown."""
    return Path(__file__).with_name("doc").joinpath(f"{name}.md").read_text(encoding="utf-8")


chosen = settings()
cron = chosen.retention_schedule

with DAG(
    MAINTENANCE_DAG_ID,
    dag_display_name="Wildlife maintenance",
    description="Remove old reports, artifacts, checkpoints and interrupted uploads",
    doc_md=documentation("maintenance"),
    schedule=CronTriggerTimetable(cron, timezone="UTC") if cron else None,
    catchup=False,
    max_active_runs=1,
    params={
        DRY_RUN: Param(
            True,
            type="boolean",
            title="Dry run",
            description_md="Only tell, in the task's log, what would go and why.",
        ),
        **trigger_form(RetentionOptions, chosen.retention_options),
    },
    tags=["wildlife", "maintenance"],
    default_args={"owner": chosen.owner},
    owner_links=chosen.owner_links,
):
    RetentionOperator(
        task_id="retention",
        task_display_name="Retention",
        doc_md=documentation("retention"),
        retries=chosen.retries,
        retry_delay=chosen.retry_delay,
        execution_timeout=chosen.step_timeout,
    )
