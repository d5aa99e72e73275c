"""The reports: a list of all runs, and each run's report from the bucket.

Files come from ``reports/`` alone, of a few kinds, and under a policy that lets a report run
nothing and fetch nothing.
"""

import re
from typing import Annotated, Literal

from fastapi import APIRouter, HTTPException, Path, Query, Request
from fastapi.responses import HTMLResponse, Response

from tasks.contract.manifest import RUN_ID, record_key, report_prefix
from wildlife.identity import DAG_ID
from wildlife.pages.airflow_runs import known_runs
from wildlife.pages.bucket import aside, in_threads, open_store
from wildlife.pages.progress import STEPS
from wildlife.pages.runs import Column, all_runs, ordered
from wildlife.pages.serving import FILE_HEADERS, page
from wildlife.pages.trend import trend_of
from wildlife.pages.zipped import zipped

router = APIRouter()

_ON_A_PAGE = 50
#: The page of a report is a megabyte or a few; whatever is asked for stands in memory once.
_MOST_BYTES = 100_000_000
_TYPES = {
    "html": "text/html; charset=utf-8",
    "md": "text/markdown; charset=utf-8",
    "json": "application/json",
    "csv": "text/csv; charset=utf-8",
    "png": "image/png",
    "jpg": "image/jpeg",
    "svg": "image/svg+xml",
}
_FILE_NAME = rf"^[A-Za-z0-9][A-Za-z0-9_.-]{{0,99}}\.({'|'.join(_TYPES)})$"

RunId = Annotated[str, Path(pattern=f"^{RUN_ID}$")]
FileName = Annotated[str, Path(pattern=_FILE_NAME)]


@router.get("/reports")
@aside
def list_reports(
    request: Request,
    sort: Column = "when",
    order: Literal["ascending", "descending"] = "descending",
    number: Annotated[int, Query(alias="page", ge=1, le=1_000_000)] = 1,
) -> HTMLResponse:
    """All runs, newest first or by another column."""
    runs = all_runs(open_store())
    pages = max(1, -(-len(runs) // _ON_A_PAGE))
    number = min(number, pages)
    shown = ordered(runs, sort, descending=order == "descending")
    return page(
        request,
        "reports.html.j2",
        runs=shown[(number - 1) * _ON_A_PAGE : number * _ON_A_PAGE],
        total=len(runs),
        at_work=any(run.at_work for run in runs),
        trend=trend_of(run.headline for run in runs if run.headline is not None),
        sort=sort,
        order=order,
        number=number,
        pages=pages,
    )


@router.get("/reports/{run_id}")
@aside
def show_report(request: Request, run_id: RunId, dag_id: str = DAG_ID) -> HTMLResponse:
    """A run's report under a bar with what can be done with it, or why there is none.

    Args:
        dag_id: of the run; Airflow shows its tabs on the runs of all DAGs.
    """
    if dag_id != DAG_ID:
        raise HTTPException(404, f"This run is not of the DAG {DAG_ID}, so it has no report here.")
    store = open_store()
    if store.head(report_prefix(run_id) + "index.html") is not None:
        return page(request, "report.html.j2", run_id=run_id)
    known = known_runs(run_id).get(run_id)
    left = {head.key for head in store.list(f"runs/{run_id}/")}
    if known is None and not left:
        raise HTTPException(404, f"There is no run {run_id}.")
    return page(
        request,
        "unfinished.html.j2",
        run_id=run_id,
        known=known,
        done=[name for name in STEPS if record_key(run_id, name) in left],
    )


@router.get("/reports/{run_id}/report.zip")
@in_threads(2)
def download_report(run_id: RunId) -> Response:
    """A run's whole report in one file."""
    content = zipped(open_store(), report_prefix(run_id), re.compile(_FILE_NAME))
    if content is None:
        raise HTTPException(404, f"Run {run_id} has no report: it has not finished, or never was.")
    name = re.sub(r"[^A-Za-z0-9_.-]", "_", run_id)
    disposition = {"Content-Disposition": f'attachment; filename="report-{name}.zip"'}
    return Response(content, media_type="application/zip", headers=FILE_HEADERS | disposition)


@router.get("/reports/{run_id}/{name}")
@aside
def read_report(run_id: RunId, name: FileName) -> Response:
    """One file of one run's report."""
    content = open_store().read(report_prefix(run_id) + name, _MOST_BYTES)
    if content is None:
        raise HTTPException(404, f"Run {run_id} has no {name}: it has not finished, or never was.")
    return Response(content, media_type=_TYPES[name.rpartition(".")[2]], headers=FILE_HEADERS)
