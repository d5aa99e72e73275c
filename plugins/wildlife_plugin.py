"""Registers the plugin with Airflow, nothing else."""

from typing import ClassVar

from airflow.plugins_manager import AirflowPlugin

from wildlife.identity import REPORTS_URL
from wildlife.links import ReportLink
from wildlife.reports import app


class WildlifePlugin(AirflowPlugin):
    """Report pages inside Airflow, and the links that lead to them."""

    name = "wildlife"
    fastapi_apps: ClassVar = [{"app": app, "url_prefix": "/wildlife", "name": "Wildlife reports"}]
    external_views: ClassVar = [
        {
            "name": "Wildlife reports",
            "href": REPORTS_URL,
            "destination": "nav",
            "category": "browse",
            "url_route": "wildlife-reports",
        }
    ]
    operator_extra_links: ClassVar = [ReportLink()]
