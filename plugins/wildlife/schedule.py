"""When runs begin by themselves."""

from urllib.parse import quote

from airflow.sdk import Asset, AssetOrTimeSchedule, AssetWatcher, CronTriggerTimetable

from wildlife.settings import Settings, settings
from wildlife.triggers.archive import ArchiveTrigger

Schedule = CronTriggerTimetable | AssetOrTimeSchedule | list[Asset] | None


def schedule() -> Schedule:
    """The DAG's schedule: by WILDLIFE_SCHEDULE, by WILDLIFE_WATCH, by either, or None."""
    chosen = settings()
    cron = CronTriggerTimetable(chosen.schedule, timezone="UTC") if chosen.schedule else None
    if not chosen.watch:
        return cron
    watched = [_watched_archive(chosen)]
    return watched if cron is None else AssetOrTimeSchedule(timetable=cron, assets=watched)


def _watched_archive(chosen: Settings) -> Asset:
    trigger = ArchiveTrigger(
        key=chosen.watch,
        poll_seconds=chosen.watch_seconds,
        settle_seconds=chosen.watch_settle_seconds,
    )
    uri = f"s3://{chosen.bucket}/{quote(chosen.watch)}"
    return Asset(uri, uri, watchers=[AssetWatcher("wildlife_archive", trigger)])
