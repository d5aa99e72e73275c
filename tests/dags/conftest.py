"""Airflow's settings for the tests of the DAG."""

import tests.plugins.airflow_home  # noqa: F401 before anything imports Airflow
