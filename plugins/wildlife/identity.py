"""Names that the DAG, the operators and the pages have in common."""

from urllib.parse import quote

DAG_ID = "oregon_wildlife"
CONNECTION_ID = "wildlife_store"
#: Where the plugin's pages are mounted.
MOUNT = "/wildlife"


def report_path(run_id: str) -> str:
    """Where a run's report is, relative to the list of reports."""
    return f"reports/{quote(run_id, safe='')}/index.html"
