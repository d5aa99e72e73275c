"""What the pages about reports say, and how they look."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from html import escape

from pydantic import BaseModel, ConfigDict, ValidationError

from tasks.contract.errors import ConfigurationError
from tasks.contract.manifest import RunRecord, record_key, report_prefix
from tasks.contract.store import Store
from wildlife.identity import report_path

#: The newest this many runs are listed.
_LISTED = 200
_NOTHING = "\N{EN DASH}"


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


def list_page(reports: list[PublishedReport]) -> str:
    """The list of reports, in HTML."""
    if not reports:
        about = "No run has finished yet: trigger the DAG, and its report will be listed here."
        return _page(about, "")
    headings = "".join(f'<th scope="col">{heading}</th>' for heading in _HEADINGS)
    rows = "".join(_row(report) for report in reports)
    return _page(
        "Test accuracy of both networks in each run, newest first.",
        f"<table><thead><tr>{headings}</tr></thead><tbody>{rows}</tbody></table>",
    )


def message_page(text: str, list_url: str) -> str:
    """A page that says one thing and leads back to the list, in HTML."""
    return _page(text, f'<a href="{escape(list_url)}">All reports</a>')


_HEADINGS = (
    "Run",
    "Data",
    "From scratch",
    "Transfer",
    "Difference, points (95 %)",
    "Test photos",
    "Finished",
    "Result",
)


def _row(report: PublishedReport) -> str:
    record = report.record
    cells = [
        *_numbers(report.summary),
        f"{record.finished:%Y-%m-%d %H:%M} UTC",
        "unchanged" if record.cached else "computed",
    ]
    link = f'<a href="{escape(report_path(record.run_id))}">{escape(record.run_id)}</a>'
    others = "".join(f"<td>{cell}</td>" for cell in cells)
    return f'<tr><th scope="row">{link}</th>{others}</tr>'


def _numbers(summary: Summary | None) -> list[str]:
    if summary is None:
        return [_NOTHING] * 5
    mark = ' <span class="mark">synthetic</span>' if summary.synthetic else ""
    difference, low, high = (
        f"{100 * share:+.1f}"
        for share in (summary.difference, summary.difference_low, summary.difference_high)
    )
    return [
        escape(summary.title) + mark,
        f"{100 * summary.scratch_accuracy:.1f} %",
        f"{100 * summary.transfer_accuracy:.1f} %",
        f"{difference} ({low} to {high})",
        str(summary.test_photos),
    ]


def _page(about: str, content: str) -> str:
    return _TEMPLATE.format(about=escape(about), content=content)


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
body {{ margin: 2rem auto; max-width: 80rem; padding: 0 1.25rem; color: var(--ink);
  background: var(--paper); font: 1rem/1.5 system-ui, sans-serif }}
h1 {{ font-size: 1.4rem; margin: 0 0 .25rem }}
p {{ color: var(--quiet); margin: 0 0 1.25rem }}
.scroll {{ overflow-x: auto }}
table {{ border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums }}
th, td {{ text-align: left; padding: .55rem .9rem .55rem 0; white-space: nowrap;
  border-bottom: 1px solid var(--line) }}
td:nth-of-type(1) {{ white-space: normal; min-width: 12rem }}
.mark {{ padding: .05rem .4rem; border-radius: .25rem; font-size: .8rem; white-space: nowrap;
  color: #4a3800; background: #ffefc6 }}
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
