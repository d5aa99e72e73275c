"""The report pages inside Airflow: a list of runs, and each run's report from the bucket.

Whoever may read the DAG's runs in Airflow may read these pages, and nobody else: every route hangs
on the application's one dependency. Files come from ``reports/`` alone, of a few kinds, and under
a policy that lets a report run nothing and fetch nothing.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from html import escape
from typing import Annotated, Any
from urllib.parse import quote

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.core_api.security import requires_access_dag
from fastapi import Depends, FastAPI, HTTPException, Path, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import ValidationError
from starlette.exceptions import HTTPException as StarletteHTTPException

from tasks.contract.errors import ConfigurationError, StepError
from tasks.contract.manifest import RunRecord, record_key, report_prefix
from tasks.contract.store import Store, StoreSettings
from wildlife.connection import store_environment
from wildlife.identity import DAG_ID, MOUNT, report_path

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
    "svg": "image/svg+xml",
}
#: The newest this many runs are listed.
_LISTED = 200

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
    return HTMLResponse(_page(_runs_with_report(_store())[:_LISTED]), headers=_HEADERS)


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


def _airflow(request: Request) -> str:
    """The path that Airflow itself has, behind whatever proxy."""
    return str(request.scope.get("root_path", "")).removesuffix(MOUNT)


def _store() -> Store:
    """The bucket of the connection as it is now, with timeouts short enough for a page."""
    return _opened(StoreSettings.from_environment(store_environment()))


@lru_cache(maxsize=1)
def _opened(settings: StoreSettings) -> Store:
    return Store(settings, patient=False)


def _runs_with_report(store: Store) -> list[RunRecord]:
    """What each run has of the comparison, newest first."""
    pages = (head.key.split("/") for head in store.list("reports/"))
    run_ids = [page[1] for page in pages if page[2:] == ["index.html"]]
    with ThreadPoolExecutor(8) as pool:
        records = pool.map(lambda run_id: _record(store, run_id), run_ids)
    return sorted(filter(None, records), key=lambda record: record.finished, reverse=True)


def _record(store: Store, run_id: str) -> RunRecord | None:
    """Of a run that is being computed again, or was made by another version, there is none."""
    try:
        return RunRecord.model_validate_json(store.read(record_key(run_id, "compare")) or b"")
    except (ConfigurationError, ValidationError):
        return None


def _page(records: Sequence[RunRecord]) -> str:
    if not records:
        return _TEMPLATE.format(
            about="No run has finished yet: trigger the DAG, and its report will be listed here.",
            content="",
        )
    rows = "".join(_row(record) for record in records)
    return _TEMPLATE.format(
        about="Test accuracy of both networks in each run, newest first.",
        content=f"<table><thead>{_HEADINGS}</thead><tbody>{rows}</tbody></table>",
    )


def _message(
    request: Request, status: int, text: str, headers: Mapping[str, str] | None = None
) -> HTMLResponse:
    """A page that says one thing, and leads back to the list."""
    back = f'<a href="{escape(_airflow(request))}{MOUNT}/reports">All reports</a>'
    page = _TEMPLATE.format(about=escape(text), content=back)
    return HTMLResponse(page, status, headers=_HEADERS | dict(headers or {}))


def _row(record: RunRecord) -> str:
    facts = record.manifest.facts
    url, name = escape(report_path(record.run_id)), escape(record.run_id)
    cells = [
        f"{record.finished:%Y-%m-%d %H:%M} UTC",
        _percent(facts.get("scratch_accuracy")),
        _percent(facts.get("transfer_accuracy")),
        _interval(facts),
        escape(str(facts.get("test_photos", "\N{EN DASH}"))),
        "unchanged" if record.cached else "computed",
    ]
    others = "".join(f"<td>{cell}</td>" for cell in cells)
    return f'<tr><th scope="row"><a href="{url}">{name}</a></th>{others}</tr>'


def _percent(share: object) -> str:
    return f"{100 * share:.1f} %" if isinstance(share, float | int) else "\N{EN DASH}"


def _interval(facts: Mapping[str, Any]) -> str:
    try:
        middle, low, high = (
            100 * float(facts[name]) for name in ("difference", "difference_low", "difference_high")
        )
    except (KeyError, TypeError, ValueError):
        return "\N{EN DASH}"
    return f"{middle:+.1f} ({low:+.1f} to {high:+.1f})"


_HEADINGS = (
    "<tr>"
    + "".join(
        f'<th scope="col">{heading}</th>'
        for heading in (
            *("Run", "Finished", "From scratch", "Transfer"),
            *("Difference, points (95 %)", "Test photos", "Result"),
        )
    )
    + "</tr>"
)

_TEMPLATE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Wildlife reports</title>
<style>
:root {{ color-scheme: light dark; --ink: #18181b; --paper: #fff; --line: #e4e4e7;
  --quiet: #52525b; --link: #1d4ed8 }}
@media (prefers-color-scheme: dark) {{
  :root {{ --ink: #f4f4f5; --paper: #111; --line: #3f3f46; --quiet: #a1a1aa; --link: #93c5fd }} }}
body {{ margin: 2rem auto; max-width: 72rem; padding: 0 1.25rem; color: var(--ink);
  background: var(--paper); font: 1rem/1.5 system-ui, sans-serif }}
h1 {{ font-size: 1.4rem; margin: 0 0 .25rem }}
p {{ color: var(--quiet); margin: 0 0 1.25rem }}
.scroll {{ overflow-x: auto }}
table {{ border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums }}
th, td {{ text-align: left; padding: .55rem .9rem .55rem 0; white-space: nowrap;
  border-bottom: 1px solid var(--line) }}
thead th {{ font-weight: 600; font-size: .85rem; color: var(--quiet) }}
tbody th {{ font-weight: 500 }}
a {{ color: var(--link) }}
</style>
</head>
<body>
<h1>Wildlife reports</h1>
<p>{about}</p>
<div class="scroll">{content}</div>
</body>
</html>
"""
