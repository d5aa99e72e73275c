"""The plugin's registration: one file, loaded once, with what Airflow's page needs."""

import sys
from pathlib import Path

import pytest
from airflow import plugins_manager
from airflow.models.taskinstancekey import TaskInstanceKey

from tests.plugins.airflow_home import ROOT
from wildlife.operators import step_operator

PLUGINS = ROOT / "plugins"


@pytest.fixture(scope="module")
def loaded() -> list[object]:
    plugins, errors = plugins_manager._get_plugins()
    assert errors == {}
    return plugins


def test_airflow_loads_the_plugin_without_errors(loaded: list[object]) -> None:
    assert [plugin.name for plugin in loaded].count("wildlife") == 1


def test_airflow_s_walk_loads_only_the_one_file(loaded: list[object]) -> None:
    """It would load each module of the package a second time, by the bare name of its file."""
    ours = {
        name
        for name, module in sys.modules.items()
        if PLUGINS in Path(getattr(module, "__file__", None) or "/").parents
    }
    assert "wildlife.pages.app" in ours
    assert [name for name in ours if not name.startswith("wildlife")] == []


def test_the_navigation_and_each_run_have_the_reports_under_airflow_s_own_address(
    loaded: list[object],
) -> None:
    plugin = next(plugin for plugin in loaded if plugin.name == "wildlife")
    views = {(view["destination"], view["name"]): view["href"] for view in plugin.external_views}
    assert views["nav", "Reports"] == "wildlife/reports"
    assert views["dag_run", "Report"] == "wildlife/reports/{RUN_ID}?dag_id={DAG_ID}"


def test_the_link_of_compare_leads_to_its_run_s_tab(loaded: list[object]) -> None:
    plugin = next(plugin for plugin in loaded if plugin.name == "wildlife")
    tab = next(view for view in plugin.external_views if view["name"] == "Report")
    compare = step_operator("compare")
    (link,) = compare.operator_extra_links
    run_id = "manual__2026-11-24T02:44:00+00:00"
    key = TaskInstanceKey("oregon_wildlife", "compare", run_id)
    run = "dags/oregon_wildlife/runs/manual__2026-11-24T02%3A44%3A00%2B00%3A00"
    assert link.get_link(compare, ti_key=key) == f"{run}/plugin/{tab['url_route']}"
