"""Names that the DAG, the operators and the pages have in common."""

from urllib.parse import quote

DAG_ID = "oregon_wildlife"
CONNECTION_ID = "wildlife_store"
REPORTS_URL = "/wildlife/reports"


def report_url(run_id: str) -> str:
    """Where a run's report is, relative to Airflow's own address."""
    return f"{REPORTS_URL}/{quote(run_id, safe='')}/index.html"
