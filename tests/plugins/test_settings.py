"""Settings of the Airflow side: used as meant, or refused in one line that names the variable."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tasks.contract.errors import ConfigurationError
from wildlife.settings import alert_settings, docker_settings, settings


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WILDLIFE_RUNNER", raising=False)


def test_a_deployment_runs_its_steps_in_containers_unless_it_is_told_otherwise() -> None:
    assert settings().runner == "docker"


@pytest.mark.parametrize(
    ("given", "gpus", "slots"),
    [
        ("", "auto", 1),
        ("auto", "auto", 1),
        ("none", "none", 1),
        ("0", ("0",), 1),
        ("0, 2", ("0", "2"), 2),
        ("GPU-8f1d,GPU-77aa,1", ("GPU-8f1d", "GPU-77aa", "1"), 3),
    ],
)
def test_gpus_are_a_word_or_a_list_of_ids(
    monkeypatch: pytest.MonkeyPatch, given: str, gpus: object, slots: int
) -> None:
    monkeypatch.setenv("WILDLIFE_GPUS", given)
    assert (settings().gpus, settings().gpu_slots) == (gpus, slots)


def test_extra_hosts_are_pairs_and_may_be_of_ipv6(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WILDLIFE_DOCKER_EXTRA_HOSTS", "store:10.0.0.7, s3:fd00::1")
    assert docker_settings().extra_hosts == {"store": "10.0.0.7", "s3": "fd00::1"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("WILDLIFE_RUNNER", "podman"),
        ("WILDLIFE_GPUS", "0,,1"),
        ("WILDLIFE_GPUS", "0,0"),
        ("WILDLIFE_GPUS", "all"),
        ("WILDLIFE_SCHEDULE", "weekly"),
        ("WILDLIFE_SCHEDULE", "@once"),
        ("WILDLIFE_SCHEDULE", "0 3 * * 9"),
        ("WILDLIFE_SCHEDULE", "0 0 30 2 *"),
        ("WILDLIFE_SCHEDULE", "*/5 * * * * *"),
        ("WILDLIFE_WATCH", "/datasets/pets.zip"),
        ("WILDLIFE_WATCH_SECONDS", "0"),
        ("WILDLIFE_SCHEDULED_OPTIONS", "weights=lite0"),
        ("WILDLIFE_SCHEDULED_OPTIONS", '{"epochs": 3}'),
        ("WILDLIFE_SCHEDULED_OPTIONS", '{"scratch_epochs": 0}'),
        ("WILDLIFE_STEP_TIMEOUT_HOURS", "inf"),
        ("WILDLIFE_DOCKER_CACHE", "~/cache"),
        ("WILDLIFE_STOP_SECONDS", "soon"),
        ("WILDLIFE_OWNER", "rangers, wardens"),
        ("WILDLIFE_OWNER_LINK", "rangers@example.org"),
        ("WILDLIFE_OWNER_LINK", "javascript:alert"),
        ("WILDLIFE_ALERT_MAIL", "rangers"),
        ("WILDLIFE_ALERT_MAIL", "a@example.org,,b@example.org"),
        ("WILDLIFE_ALERT_MAIL", "Rangers <a@example.org>"),
        ("WILDLIFE_ALERT_DROP", "5"),
        ("WILDLIFE_ALERT_DEADLINE_HOURS", "0"),
        ("WILDLIFE_DOCKER_URL", "localhost:2375"),
        ("WILDLIFE_DOCKER_MEMORY_GB", "0.01"),
        ("WILDLIFE_DOCKER_CPUS", "0"),
        ("WILDLIFE_DOCKER_USER", "root"),
        ("WILDLIFE_DOCKER_PULL", "never"),
        ("WILDLIFE_DOCKER_EXTRA_HOSTS", "store"),
        ("WILDLIFE_DOCKER_PIDS", "1"),
    ],
)
def test_a_wrong_value_is_one_line_that_names_the_variable(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(
        ConfigurationError, match=rf"^{name} is {re.escape(repr(value))}: "
    ) as failure:
        reader(name)()
    assert "\n" not in str(failure.value)


def reader(name: str) -> Callable[[], object]:
    """What reads a variable."""
    kinds = {"WILDLIFE_DOCKER_": docker_settings, "WILDLIFE_ALERT_": alert_settings}
    return next((read for prefix, read in kinds.items() if name.startswith(prefix)), settings)


def test_an_address_in_the_place_of_a_connection_is_shown_to_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The complaint stands on Airflow's page, as an import error of the DAG."""
    monkeypatch.setenv("WILDLIFE_ALERT_WEBHOOK", "https://hooks.example.org/T0ken")
    with pytest.raises(ConfigurationError, match=r"^WILDLIFE_ALERT_WEBHOOK is not") as failure:
        alert_settings()
    assert "T0ken" not in str(failure.value)


def test_mail_may_go_to_several(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WILDLIFE_ALERT_MAIL", "a@example.org, b@example.org")
    assert alert_settings().mail == ("a@example.org", "b@example.org")
    assert alert_settings().are_on


def test_a_deadline_that_nobody_would_hear_of_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WILDLIFE_ALERT_DEADLINE_HOURS", "36")
    with pytest.raises(ConfigurationError, match="nobody would be told: set"):
        alert_settings()


def test_tls_needs_all_three_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").touch()
    monkeypatch.setenv("WILDLIFE_DOCKER_TLS_CA", str(tmp_path / "ca.pem"))
    with pytest.raises(ConfigurationError, match="WILDLIFE_DOCKER_TLS_CERT is not set"):
        docker_settings()
    for name in ("TLS_CERT", "TLS_KEY"):
        monkeypatch.setenv(f"WILDLIFE_DOCKER_{name}", str(tmp_path / "nowhere.pem"))
    with pytest.raises(ConfigurationError, match="there is no such file"):
        docker_settings()
