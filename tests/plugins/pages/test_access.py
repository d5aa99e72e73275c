"""Who may open the pages: every route of them, asked by every kind of user, of both auth managers.

The routes come from the application's own table, so a new one is asked too, and one that forgets
to ask who comes is found.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import cache

import pytest

from tasks.contract.store import Store, StoreSettings
from tests.plugins.airflow_home import ROOT
from tests.plugins.conftest import connection
from tests.plugins.pages.access import OTHERS, READERS, routes
from tests.plugins.pages.published import publish

Table = Callable[[str], dict[str, dict[str, int]]]

ASKED = [
    (manager, route, who, by)
    for manager in ("simple", "fab")
    for route in routes()
    for who in READERS[manager] + OTHERS[manager]
    for by in ("token", "cookie")
]


@pytest.fixture(scope="session")
def table(store_env: dict[str, str]) -> Table:
    """The answers under an auth manager, each in an Airflow of its own, once in a session."""

    @cache
    def asked(manager: str) -> dict[str, dict[str, int]]:
        publish(Store(StoreSettings.from_environment(store_env)), "run-1")
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")
        }
        answer = subprocess.run(
            [sys.executable, "-m", "tests.plugins.pages.access", manager],
            cwd=ROOT,
            env=environment
            | {
                "PYTHONPATH": f"{ROOT}:{ROOT / 'plugins'}",
                "WILDLIFE_TEST_CONNECTION": connection(store_env),
            },
            capture_output=True,
            text=True,
        )
        assert answer.returncode == 0, answer.stderr[-3000:]
        found: dict[str, dict[str, int]] = json.loads(answer.stdout.splitlines()[-1])
        return found

    return asked


@pytest.mark.parametrize("manager", ["simple", "fab"])
@pytest.mark.parametrize("route", routes())
def test_a_stranger_gets_nothing(table: Table, manager: str, route: str) -> None:
    answers = table(manager)[route]
    assert answers["anonymous"] == 401
    assert answers["anonymous, a browser"] == 303  # to Airflow's login, and back
    assert answers["made-up token"] in (401, 403)
    assert answers["made-up cookie"] in (401, 403)


@pytest.mark.parametrize(("manager", "route", "who", "by"), ASKED)
def test_only_who_may_read_the_dag_s_runs_gets_in(
    table: Table, manager: str, route: str, who: str, by: str
) -> None:
    status = table(manager)[route][f"{who}, by {by}"]
    if who in READERS[manager]:
        assert status in (200, 404)  # not every example names something that is there
    else:
        assert status == 403
