"""A running Airflow keeps its settings, and whoever asks for others is told."""

from pathlib import Path

import pytest

from embedded.airflow import _require_same_settings, runner_of
from embedded.process import StackError
from embedded.settings import Settings

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
