"""What a run found to have become less: photos of the archive, or quality against the champion.

Only the run that computed a result tells of it: one that finds it unchanged has nothing new to say.
"""

import logging
from collections.abc import Callable, Iterator

from airflow.sdk import Context
from pydantic import BaseModel, ConfigDict, ValidationError

from tasks.contract.decision import Decision
from tasks.contract.errors import StepError, listed
from tasks.contract.step import Facts, read_record
from tasks.contract.store import Store, StoreSettings
from wildlife.alerts.alert import Alert, Kind, in_one_line
from wildlife.alerts.delivery import deliver
from wildlife.connection import store_environment
from wildlife.settings import alert_settings

log = logging.getLogger(__name__)


class _Facts(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class _ClassLoss(_Facts):
    name: str
    photos: int
    photos_before: int


class _DataChange(_Facts):
    run_id: str
    photos: int
    photos_before: int
    refused_share: float | None
    refused_share_before: float | None
    lost: list[_ClassLoss]


class _Comparison(_Facts):
    """Of the facts of ``compare``, what became of the data since the run before."""

    data_change: _DataChange | None


def data_drop(facts: Facts, drop: float) -> str:
    """What a run lost since the one before, in words; empty if it is not worth telling.

    Args:
        drop: share of the photos, and growth of the refused share, from which on it is.
    """
    change = _Comparison.model_validate(facts).data_change
    if change is None:
        return ""
    told = "; ".join(_losses(change, drop))
    return told and f"has less than run {change.run_id}: {told}"


def _losses(change: _DataChange, drop: float) -> Iterator[str]:
    fewer = change.photos_before - change.photos
    if fewer > drop * change.photos_before:
        share = f"{fewer / change.photos_before:.1%}"
        yield f"{fewer:,} photos fewer are used, {share} of {change.photos_before:,}"
    now, before = change.refused_share, change.refused_share_before
    if now is not None and before is not None and now - before > drop:
        yield f"{now:.1%} of the photos are refused, {before:.1%} before"
    if change.lost:
        names = [f"{row.name} {row.photos:,} of {row.photos_before:,}" for row in change.lost]
        yield f"classes lost most of their photos, or are gone: {listed(names)}"


def quality_drop(facts: Facts, _drop: float) -> str:
    """By how much the run's better network is behind the champion, in words.

    Empty if the paired test does not call the champion better.
    """
    decision = Decision.model_validate(facts)
    duel = decision.duel
    if duel is None or duel.better != "champion":
        return ""
    return (
        f"is behind the champion: its better network is right on {duel.challenger_accuracy:.1%} of "
        f"{duel.compared:,} test photos, {decision.champion} on {duel.champion_accuracy:.1%}"
    )


#: What there is to tell, the step whose facts say so, and how to tell.
_DROPS: tuple[tuple[Kind, str, Callable[[Facts, float], str]], ...] = (
    ("data drop", "compare", data_drop),
    ("quality drop", "champion", quality_drop),
)


def tell_of_drops(context: Context) -> None:
    """What a node calls, in its worker, when the run has a report."""
    run_id = str(context["run_id"])
    deliver(*_found(run_id))


def _found(run_id: str) -> Iterator[Alert]:
    for kind, step, find in _DROPS:
        try:
            store = Store(StoreSettings.from_environment(store_environment()), patient=False)
            made = read_record(store, run_id, step).manifest
            is_new = made.produced_by.get("run_id") == run_id
            said = find(made.facts, alert_settings().drop) if is_new else ""
        except (StepError, ValidationError) as error:
            why = in_one_line(str(error))
            log.error("whether there is a %s to tell of is not known: %s", kind, why)
            continue
        if said:
            yield Alert(kind, run_id, in_one_line(f"Run {run_id} {said}"))
