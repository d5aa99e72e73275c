"""When runs begin by themselves."""

from airflow.sdk import CronTriggerTimetable

from wildlife.settings import settings


def schedule() -> CronTriggerTimetable | None:
    """The DAG's schedule, by the setting WILDLIFE_SCHEDULE; None if runs are asked for alone."""
    cron = settings().schedule
    return CronTriggerTimetable(cron, timezone="UTC") if cron else None
