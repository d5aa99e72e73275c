"""Links from Airflow's pages to what the workflow wrote.

They are relative: Airflow's page names its own address as the base, wherever a proxy puts it.
"""

from typing import Any
from urllib.parse import quote

from airflow.sdk import BaseOperator, BaseOperatorLink
from airflow.sdk.types import TaskInstanceKey

from wildlife.identity import DAG_ID, MOUNT

#: The tab of a run that shows its report.
REPORT_TAB = "wildlife-report"

_PAGES = MOUNT.removeprefix("/")
ARCHIVES_LINK = f"{_PAGES}/archives"

#: What Airflow's page shows in a frame of its own: in the navigation, or as a tab of the DAG's page
#: or of a run's. It puts the run in the place of the placeholder.
VIEWS: list[dict[str, Any]] = [
    {
        "name": "Reports",  # a longer name would be cut off
        "href": f"{_PAGES}/reports",
        "destination": "nav",
        "nav_top_level": True,
        "url_route": "wildlife-reports",
    },
    {
        "name": "Report",
        "href": f"{_PAGES}/reports/{{RUN_ID}}?dag_id={{DAG_ID}}",
        "destination": "dag_run",
        "url_route": REPORT_TAB,
    },
    {
        "name": "Progress",
        "href": f"{_PAGES}/live/{{RUN_ID}}?dag_id={{DAG_ID}}",
        "destination": "dag_run",
        "url_route": "wildlife-progress",
    },
    {
        "name": "Archives",
        "href": ARCHIVES_LINK,
        "destination": "dag",
        "url_route": "wildlife-archives",
    },
]


def run_link(run_id: str) -> str:
    """The run's page."""
    return f"dags/{DAG_ID}/runs/{quote(run_id, safe='')}"


def report_link(run_id: str) -> str:
    """The run's tab that shows its report."""
    return f"{run_link(run_id)}/plugin/{REPORT_TAB}"


class ReportLink(BaseOperatorLink):
    """The report of the run, on the node that writes it: the run's tab, inside Airflow's page."""

    name = "Report"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        del operator
        return report_link(str(ti_key.run_id))
