"""Registers the plugin with Airflow, nothing else."""

from typing import ClassVar

from airflow.plugins_manager import AirflowPlugin

from wildlife.identity import MOUNT
from wildlife.links import VIEWS
from wildlife.pages.app import app


class WildlifePlugin(AirflowPlugin):
    """Pages about the runs inside Airflow, and the way to them from its own."""

    name = "wildlife"
    fastapi_apps: ClassVar = [{"app": app, "url_prefix": MOUNT, "name": "Wildlife"}]
    external_views: ClassVar = VIEWS
