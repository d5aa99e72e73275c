"""The reports: a list of all runs, and each run's report from the bucket.

Files come from ``reports/`` alone, of a few kinds, and under a policy that lets a report run
nothing and fetch nothing.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, HTTPException, Path, Request
from fastapi.responses import HTMLResponse, Response
from pydantic import BaseModel, ConfigDict, ValidationError

from tasks.contract.errors import ConfigurationError
from tasks.contract.manifest import RunRecord, record_key, report_prefix
from tasks.contract.store import Store
from wildlife.pages.bucket import aside, open_store
from wildlife.pages.serving import FILE_HEADERS, page

router = APIRouter()

#: The newest this many runs are listed.
_LISTED = 200
_TYPES = {
    "html": "text/html; charset=utf-8",
    "md": "text/markdown; charset=utf-8",
    "json": "application/json",
    "csv": "text/csv; charset=utf-8",
    "png": "image/png",
    "jpg": "image/jpeg",
    "svg": "image/svg+xml",
}
RunId = Annotated[str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:+-]{0,199}$")]
FileName = Annotated[
    str, Path(pattern=rf"^[A-Za-z0-9][A-Za-z0-9_-]{{0,99}}\.({'|'.join(_TYPES)})$")
]


@router.get("/reports")
@aside
def list_reports(request: Request) -> HTMLResponse:
    """All runs that have a report, newest first."""
    return page(request, "reports.html.j2", reports=published_reports(open_store()))


@router.get("/reports/{run_id}/{name}")
@aside
def read_report(run_id: RunId, name: FileName) -> Response:
    """One file of one run's report."""
    content = open_store().read(report_prefix(run_id) + name)
    if content is None:
        raise HTTPException(404, f"Run {run_id} has no {name}: it has not finished, or never was.")
    return Response(content, media_type=_TYPES[name.rpartition(".")[2]], headers=FILE_HEADERS)


class Summary(BaseModel):
    """The headline of a report's ``summary.json``: accuracies and their difference, 0..1."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    title: str
    synthetic: bool
    scratch_accuracy: float
    transfer_accuracy: float
    difference: float
    difference_low: float
    difference_high: float
    test_photos: int


@dataclass(frozen=True)
class PublishedReport:
    """A run whose report can be read. ``summary`` is None if its format is not known here."""

    record: RunRecord
    summary: Summary | None


def published_reports(store: Store) -> list[PublishedReport]:
    """Every run that has a report, newest first."""
    pages = (head.key.split("/") for head in store.list("reports/"))
    run_ids = [page[1] for page in pages if page[2:] == ["index.html"]]
    with ThreadPoolExecutor(8) as pool:
        found = list(filter(None, pool.map(lambda run_id: _published(store, run_id), run_ids)))
    return sorted(found, key=lambda report: report.record.finished, reverse=True)[:_LISTED]


def _published(store: Store, run_id: str) -> PublishedReport | None:
    """None for a run whose comparison is being computed again, or whose record is not ours."""
    try:
        record = RunRecord.model_validate_json(store.read(record_key(run_id, "compare")) or b"")
    except (ConfigurationError, ValidationError):
        return None
    try:
        content = store.read(report_prefix(run_id) + "summary.json") or b""
        return PublishedReport(record, Summary.model_validate_json(content))
    except ValidationError:
        return PublishedReport(record, None)
