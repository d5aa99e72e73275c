"""Registers the plugin with Airflow, nothing else."""

from typing import ClassVar

from airflow.plugins_manager import AirflowPlugin

from wildlife.identity import MOUNT
from wildlife.links import REPORTS_LINK
from wildlife.reports import app


class WildlifePlugin(AirflowPlugin):
    """Report pages inside Airflow, and the way to them in its navigation."""

    name = "wildlife"
    fastapi_apps: ClassVar = [{"app": app, "url_prefix": MOUNT, "name": "Wildlife reports"}]
    external_views: ClassVar = [
        {
            "name": "Reports",  # a longer name would be cut off
            "href": REPORTS_LINK,
            "destination": "nav",
            "nav_top_level": True,
            "url_route": "wildlife-reports",
        }
    ]
