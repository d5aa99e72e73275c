"""What Airflow knows of the DAG's runs: the bucket knows only what their steps left there."""

from datetime import datetime
from typing import NamedTuple

from airflow.models.dagrun import DagRun
from airflow.utils.session import create_session
from sqlalchemy import func, select

from wildlife.identity import DAG_ID


class KnownRun(NamedTuple):
    """A run's ``state`` as Airflow spells it (queued, running, success, failed), and its start."""

    state: str
    started: datetime


def known_runs(run_id: str | None = None) -> dict[str, KnownRun]:
    """The DAG's runs, or only one of them if there is such a run, by run id."""
    since = func.coalesce(DagRun.start_date, DagRun.queued_at, DagRun.run_after)
    query = select(DagRun.run_id, DagRun.state, since).where(DagRun.dag_id == DAG_ID)
    if run_id is not None:
        query = query.where(DagRun.run_id == run_id)
    with create_session(scoped=False) as session:
        rows = session.execute(query).all()
    return {name: KnownRun(str(state), started) for name, state, started in rows}
