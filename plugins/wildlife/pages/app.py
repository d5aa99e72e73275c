"""The application that Airflow mounts: one door for all pages, and what is said when one fails.

Whoever may read the DAG's runs in Airflow may read these pages, and nobody else: every route hangs
on the application's one dependency.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import quote

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.core_api.security import requires_access_dag
from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException as StarletteHTTPException

from tasks.contract.errors import StepError
from tasks.contract.store import TooLargeError
from wildlife.identity import DAG_ID
from wildlife.pages import archives, assets, live, reports
from wildlife.pages.serving import airflow, message
from wildlife.pages.warming import start_warming


@asynccontextmanager
async def _lifespan(_app: FastAPI) -> AsyncIterator[None]:
    start_warming()
    yield


app = FastAPI(
    lifespan=_lifespan,
    title="Wildlife",
    docs_url=None,
    redoc_url=None,
    openapi_url=None,
    dependencies=[Depends(requires_access_dag("GET", DagAccessEntity.RUN, DAG_ID))],
)
for part in (reports, live, archives, assets):
    app.include_router(part.router)


@app.exception_handler(StepError)
def _store_failed(request: Request, error: StepError) -> HTMLResponse:
    return message(request, 503, f"The bucket cannot be read now: {error}", {"Retry-After": "10"})


@app.exception_handler(TooLargeError)
def _too_large(request: Request, error: TooLargeError) -> HTMLResponse:
    return message(request, 413, str(error))


@app.exception_handler(RequestValidationError)
def _no_such_name(request: Request, error: RequestValidationError) -> HTMLResponse:
    if ("path", "run_id") in [fault["loc"] for fault in error.errors()]:
        return message(
            request,
            404,
            "There is no page of such a run: its id cannot name a folder of the bucket, so its "
            "first task failed and said so. Trigger the workflow again without an id of your own, "
            "or with letters, digits and _ . : + - alone.",
        )
    return message(request, 404, "There is nothing of this name.")


@app.exception_handler(StarletteHTTPException)
def _refused(request: Request, error: StarletteHTTPException) -> Response:
    """A browser that nobody has logged in with is sent to Airflow's login; a program is told."""
    if error.status_code == 401 and "text/html" in request.headers.get("accept", ""):
        here = quote(str(request.url), safe="")
        return RedirectResponse(f"{airflow(request)}/api/v2/auth/login?next={here}", 303)
    return message(request, error.status_code, str(error.detail), error.headers)
