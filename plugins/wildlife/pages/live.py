"""The progress of one run: a page that renews itself, and the data that it asks for every few
seconds.

Whatever it shows was put into words and paths before it leaves here; the script only lays it in.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import TypeVar

from airflow.api_fastapi.common.db.common import SessionDep
from airflow.models.taskinstance import TaskInstance
from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import HTMLResponse, JSONResponse
from pydantic import BaseModel, ValidationError
from sqlalchemy import select
from sqlalchemy.orm import Session

from tasks.contract.manifest import RunRecord, now, progress_key, record_key
from tasks.contract.progress import TrainProgress
from tasks.contract.store import Store
from wildlife.identity import DAG_ID
from wildlife.pages.bucket import aside, open_store
from wildlife.pages.progress import NODES, STEPS, TRAININGS, RunView, TaskState, run_view
from wildlife.pages.reports import RunId
from wildlife.pages.serving import FILE_HEADERS, page

router = APIRouter()

#: What a step leaves for a run has some kilobytes; what is larger is not ours, and is not read.
_MOST_BYTES = 4_000_000

Document = TypeVar("Document", bound=BaseModel)


@router.get("/live/{run_id}")
@aside
def show_progress(
    request: Request, run_id: RunId, session: SessionDep, dag_id: str = DAG_ID
) -> HTMLResponse:
    """The page of a run's progress.

    Args:
        dag_id: of the run; Airflow shows its tabs on the runs of all DAGs.
    """
    if dag_id != DAG_ID:
        raise HTTPException(404, f"Only runs of {DAG_ID} tell of their progress.")
    return page(request, "live.html.j2", view=_view(run_id, session))


@router.get("/live/{run_id}/progress.json")
@aside
def read_progress(run_id: RunId, session: SessionDep) -> JSONResponse:
    """The same as data: ``RunView``, with the texts and the paths that the page shows."""
    return JSONResponse(asdict(_view(run_id, session)), headers=FILE_HEADERS)


def _view(run_id: str, session: Session) -> RunView:
    tasks = _task_states(session, run_id)
    store = open_store()
    sizes = {head.key: head.size for head in store.list(f"runs/{run_id}/")}
    if not tasks and not sizes:
        raise HTTPException(404, f"There is no run {run_id}.")
    return run_view(run_id, tasks, *_left_in_bucket(store, run_id, sizes), now())


def _task_states(session: Session, run_id: str) -> dict[str, TaskState]:
    """Airflow's states of the run's tasks, by step."""
    asked = select(
        TaskInstance.task_id,
        TaskInstance.state,
        TaskInstance.try_number,
        TaskInstance.start_date,
    ).where(TaskInstance.dag_id == DAG_ID, TaskInstance.run_id == run_id)
    return {
        task: TaskState(state, tries or 0, started)
        for task, state, tries, started in session.execute(asked)
        if task in NODES
    }


def _left_in_bucket(
    store: Store, run_id: str, sizes: Mapping[str, int]
) -> tuple[dict[str, RunRecord], dict[str, TrainProgress]]:
    """What steps left there for the run, by keys and their sizes; what cannot be read counts as
    not there.
    """

    def parsed(kind: type[Document], key: str) -> Document | None:
        if sizes.get(key, _MOST_BYTES + 1) > _MOST_BYTES:
            return None
        try:
            return kind.model_validate_json(store.read(key) or b"")
        except ValidationError:
            return None

    records = {name: parsed(RunRecord, record_key(run_id, name)) for name in STEPS}
    progress = {name: parsed(TrainProgress, progress_key(run_id, name)) for name in TRAININGS}
    return _present(records), _present(progress)


def _present(found: dict[str, Document | None]) -> dict[str, Document]:
    return {name: document for name, document in found.items() if document is not None}
