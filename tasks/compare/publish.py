"""Putting the report where its readers look: ``reports/<run_id>/`` in the bucket."""

from tasks.contract.errors import InputError
from tasks.contract.headline import Headline, publish_headline
from tasks.contract.manifest import Manifest, now, report_prefix
from tasks.contract.store import Store

PAGE_FILE = "index.html"
MARKDOWN_FILE = "report.md"
SUMMARY_FILE = "summary.json"
SCHEMA_FILE = "summary.schema.json"

#: Explicit, because a browser shows a page only if it is served as one.
_CONTENT_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".md": "text/markdown; charset=utf-8",
    ".json": "application/json",
    ".csv": "text/csv; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".jpg": "image/jpeg",
}


def publish_report(store: Store, run_id: str, manifest: Manifest) -> None:
    """Copy the report's files for one run, the page last: a page that exists is whole.

    After it comes the headline, with which the run enters the list of reports.

    Raises:
        InputError: the result has no page.
    """
    if PAGE_FILE not in manifest.files:
        raise InputError(f"the result of compare has no {PAGE_FILE}: run it again with force")
    for name in sorted(manifest.files, key=lambda name: (name == PAGE_FILE, name)):
        suffix = name[name.rfind(".") :]
        content_type = _CONTENT_TYPES.get(suffix, "application/octet-stream")
        store.copy(manifest.files[name].key, report_prefix(run_id) + name, content_type)
    headline = Headline(
        run_id=run_id,
        finished=now(),
        computed_by=manifest.produced_by["run_id"],
        **manifest.facts,
    )
    publish_headline(store, headline)
