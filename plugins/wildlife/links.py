"""Links from Airflow's pages to what the workflow wrote.

They are relative: Airflow's page names its own address as the base, wherever a proxy puts it.
"""

from airflow.sdk import BaseOperator, BaseOperatorLink
from airflow.sdk.types import TaskInstanceKey

from wildlife.identity import MOUNT, report_path

REPORTS_LINK = f"{MOUNT.removeprefix('/')}/reports"


class ReportLink(BaseOperatorLink):
    """The report of the run, on the node that writes it."""

    name = "Report"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        del operator
        return f"{MOUNT.removeprefix('/')}/{report_path(str(ti_key.run_id))}"
