"""The report pages inside Airflow: a list of runs, and each run's report from the bucket.

Whoever may read the DAG's runs in Airflow may read these pages, and nobody else: every route hangs
on the application's one dependency. Files come from ``reports/`` alone, of a few kinds, and under
a policy that lets a report run nothing and fetch nothing.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated
from urllib.parse import quote

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.core_api.security import requires_access_dag
from fastapi import Depends, FastAPI, HTTPException, Path, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException as StarletteHTTPException

from tasks.contract.errors import StepError
from tasks.contract.manifest import report_prefix
from tasks.contract.store import Store, StoreSettings
from wildlife.connection import store_environment
from wildlife.identity import DAG_ID, MOUNT
from wildlife.report_pages import list_page, message_page, published_reports

_POLICY = (
    "default-src 'none'; img-src data: 'self'; style-src 'unsafe-inline'; frame-ancestors 'self'; "
    "base-uri 'none'; form-action 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "private, no-cache",
}
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

app = FastAPI(
    title="Wildlife reports",
    docs_url=None,
    redoc_url=None,
    openapi_url=None,
    dependencies=[Depends(requires_access_dag("GET", DagAccessEntity.RUN, DAG_ID))],
)


@app.get("/reports")
def list_reports() -> HTMLResponse:
    """All runs that have a report, newest first."""
    return HTMLResponse(list_page(published_reports(_store())), headers=_HEADERS)


@app.get("/reports/{run_id}/{name}")
def read_report(run_id: RunId, name: FileName) -> Response:
    """One file of one run's report."""
    content = _store().read(report_prefix(run_id) + name)
    if content is None:
        raise HTTPException(404, f"Run {run_id} has no {name}: it has not finished, or never was.")
    kind = _TYPES[name.rpartition(".")[2]]
    return Response(content, media_type=kind, headers=_HEADERS)


@app.exception_handler(StepError)
def _store_failed(request: Request, error: StepError) -> HTMLResponse:
    answer = _message(request, 503, f"The reports cannot be read now: {error}")
    answer.headers["Retry-After"] = "10"
    return answer


@app.exception_handler(RequestValidationError)
def _no_such_name(request: Request, _error: RequestValidationError) -> HTMLResponse:
    return _message(request, 404, "There is no report of this name.")


@app.exception_handler(StarletteHTTPException)
def _refused(request: Request, error: StarletteHTTPException) -> Response:
    """A browser that nobody has logged in with is sent to Airflow's login; a program is told."""
    if error.status_code == 401 and "text/html" in request.headers.get("accept", ""):
        here = quote(str(request.url), safe="")
        return RedirectResponse(f"{_airflow(request)}/api/v2/auth/login?next={here}", 303)
    return _message(request, error.status_code, str(error.detail), error.headers)


def _message(
    request: Request, status: int, text: str, headers: Mapping[str, str] | None = None
) -> HTMLResponse:
    page = message_page(text, f"{_airflow(request)}{MOUNT}/reports")
    return HTMLResponse(page, status, headers=_HEADERS | dict(headers or {}))


def _airflow(request: Request) -> str:
    """The path that Airflow itself has, behind whatever proxy."""
    return str(request.scope.get("root_path", "")).removesuffix(MOUNT)


def _store() -> Store:
    """The bucket of the connection as it is now, with timeouts short enough for a page."""
    return _opened(StoreSettings.from_environment(store_environment()))


@lru_cache(maxsize=1)
def _opened(settings: StoreSettings) -> Store:
    return Store(settings, patient=False)
