"""Links from Airflow's task page to what the workflow wrote."""

from airflow.sdk import BaseOperator, BaseOperatorLink
from airflow.sdk.types import TaskInstanceKey

from wildlife.identity import report_url


class ReportLink(BaseOperatorLink):
    """The report of the run, on the node that writes it."""

    name = "Report"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        del operator
        return report_url(str(ti_key.run_id))
