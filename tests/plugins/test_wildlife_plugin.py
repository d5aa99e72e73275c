"""The plugin's registration: one file, loaded once, with what Airflow's page needs."""

import sys
from pathlib import Path

import pytest
from airflow import plugins_manager

from tests.plugins.airflow_home import ROOT

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


def test_the_navigation_has_the_reports_under_airflow_s_own_address(loaded: list[object]) -> None:
    plugin = next(plugin for plugin in loaded if plugin.name == "wildlife")
    view = next(view for view in plugin.external_views if view["destination"] == "nav")
    assert (view["name"], view["destination"]) == ("Reports", "nav")
    assert view["href"] == "wildlife/reports"
