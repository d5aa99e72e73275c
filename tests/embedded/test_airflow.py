"""A running Airflow keeps its settings, and whoever asks for others is told."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from embedded.airflow import (
    _needs_triggerer,
    _require_same_settings,
    airflow_environment,
    runner_of,
)
from embedded.process import StackError
from embedded.settings import Settings
from wildlife.settings import alert_settings, settings

STARTED = {"WILDLIFE_RUNNER": "docker", "WILDLIFE_DOCKER_IMAGE": "a:1", "PATH": "/bin"}


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"WILDLIFE_DOCKER_IMAGE": "a:2"}, "=a:1, and WILDLIFE_DOCKER_IMAGE=a:2 is"),
        ({"WILDLIFE_GPUS": "0"}, "runs with no WILDLIFE_GPUS, and WILDLIFE_GPUS=0 is asked"),
        ({"DOCKER_HOST": "tcp://x"}, "runs with no DOCKER_HOST, and DOCKER_HOST=tcp://x is"),
        (
            {"WILDLIFE_RUNNER": "process"},
            "=docker, and WILDLIFE_RUNNER=process",
        ),
    ],
)
def test_other_settings_than_those_of_the_running_airflow_are_refused(
    tmp_path: Path, changed: dict[str, str], complaint: str
) -> None:
    settings = Settings(_env_file=None, home=tmp_path)
    _require_same_settings(settings, STARTED, is_running=False)
    assert runner_of(settings) == "docker"
    _require_same_settings(settings, STARTED | {"PATH": "/usr/bin"}, is_running=True)
    _require_same_settings(settings, STARTED | {"WILDLIFE_REVISION": "new"}, is_running=True)
    with pytest.raises(StackError, match=complaint) as caught:
        _require_same_settings(settings, STARTED | changed, is_running=True)
    assert "stop it with 'make down' first" in str(caught.value)


def test_an_airflow_that_starts_anew_takes_new_settings(tmp_path: Path) -> None:
    settings = Settings(_env_file=None, home=tmp_path)
    _require_same_settings(settings, STARTED, is_running=False)
    other = STARTED | {"WILDLIFE_RUNNER": "process"}
    _require_same_settings(settings, other, is_running=False)
    _require_same_settings(settings, other, is_running=True)
    assert runner_of(settings) == "process"


@pytest.fixture
def fresh_settings() -> Iterator[None]:
    """The test's environment holds for it alone."""
    for read in (settings, alert_settings):
        read.cache_clear()
    yield
    for read in (settings, alert_settings):
        read.cache_clear()


def test_of_the_user_s_connections_those_that_alerts_go_by_reach_airflow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fresh_settings: None
) -> None:
    monkeypatch.setenv("WILDLIFE_ALERT_WEBHOOK", "rangers_chat")
    given = {
        "AIRFLOW_CONN_RANGERS_CHAT": "{}",
        "AIRFLOW_CONN_SMTP_DEFAULT": "{}",  # no mail is to be sent
        "AIRFLOW_CONN_OTHERS": "{}",
        "AIRFLOW__CORE__EXECUTOR": "Other",
    }
    made = airflow_environment(Settings(_env_file=None, home=tmp_path), given)
    passed = {name for name in made if name.startswith("AIRFLOW_CONN_")}
    assert passed == {"AIRFLOW_CONN_RANGERS_CHAT", "AIRFLOW_CONN_WILDLIFE_STORE"}
    assert made["AIRFLOW__CORE__EXECUTOR"] == "LocalExecutor"


@pytest.mark.parametrize(
    ("name", "value"),
    [("WILDLIFE_WATCH", "on"), ("WILDLIFE_ALERT_DEADLINE_HOURS", "36")],
)
def test_a_triggerer_runs_if_something_needs_it(
    monkeypatch: pytest.MonkeyPatch, fresh_settings: None, name: str, value: str
) -> None:
    monkeypatch.setenv("WILDLIFE_ALERT_MAIL", "rangers@example.org")
    assert not _needs_triggerer()
    monkeypatch.setenv(name, value)
    for read in (settings, alert_settings):
        read.cache_clear()
    assert _needs_triggerer()
