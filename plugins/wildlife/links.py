"""Links from Airflow's pages to what the workflow wrote.

They are relative: Airflow's page names its own address as the base, wherever a proxy puts it.
"""

from typing import Any

from airflow.sdk import BaseOperator, BaseOperatorLink
from airflow.sdk.types import TaskInstanceKey

from wildlife.identity import MOUNT, report_path

#: What Airflow's page shows in a frame of its own: in the navigation, or as a tab of a run.
VIEWS: list[dict[str, Any]] = [
    {
        "name": "Reports",  # a longer name would be cut off
        "href": f"{MOUNT.removeprefix('/')}/reports",
        "destination": "nav",
        "nav_top_level": True,
        "url_route": "wildlife-reports",
    },
]


class ReportLink(BaseOperatorLink):
    """The report of the run, on the node that writes it."""

    name = "Report"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        del operator
        return f"{MOUNT.removeprefix('/')}/{report_path(str(ti_key.run_id))}"
