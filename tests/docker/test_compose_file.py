"""The site's compose files: valid for Compose itself, confined, and without a secret in them."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.compose import compose_program
from tests.drill.settings import SITE

DOCKER = Path(__file__).resolve().parents[2] / "docker"
AIRFLOW = ("init", "api", "scheduler", "dag-processor", "triggerer", "worker-cpu", "worker-gpu")
WORKERS = ("worker-cpu", "worker-gpu")


@pytest.fixture(scope="module")
def compose() -> list[str]:
    return compose_program()


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A site's folder as `make site` leaves it, for an engine whose socket is a file here."""
    for name in ("compose.yaml", "compose.worker.yaml"):
        shutil.copy(DOCKER / name, tmp_path)
    (tmp_path / "engine.sock").touch()
    make_site(tmp_path)
    return tmp_path


def make_site(folder: Path) -> None:
    environment = os.environ | {"WILDLIFE_DOCKER_SOCKET": str(folder / "engine.sock")}
    subprocess.run([DOCKER / "make-site", folder], env=environment, check=True, capture_output=True)


def read(
    compose: list[str], site: Path, file: str = "compose.yaml", **settings: str
) -> dict[str, Any]:
    """The file with everything filled in, as Compose understands it."""
    with (site / ".env").open("a") as out:
        out.writelines(f"{name}={value}\n" for name, value in settings.items())
    answer = subprocess.run(
        [*compose, "-f", file, "config"], cwd=site, capture_output=True, text=True
    )
    assert answer.returncode == 0, answer.stderr
    found: dict[str, Any] = yaml.safe_load(answer.stdout)
    return found


def test_compose_takes_the_site(compose: list[str], site: Path) -> None:
    services = read(compose, site)["services"]
    assert set(services) == {"postgres", "redis", "store", *AIRFLOW}
    for name, service in services.items():
        image, _, tag = service["image"].partition(":")
        assert image, name
        assert tag not in ("", "latest"), f"{name} has no pinned image"
        assert "/" not in image or "." not in image.split("/")[0], f"{name} names a registry"
        assert service["mem_limit"], name
        assert float(service["cpus"]) > 0, name
        if name != "init":
            assert service["restart"] == "unless-stopped"
            assert service["healthcheck"]["test"], name


def test_airflow_has_no_right_it_does_not_need(compose: list[str], site: Path) -> None:
    services = read(compose, site)["services"]
    for name in AIRFLOW:
        service = services[name]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
    for name, service in services.items():
        mounted = "docker.sock" in json.dumps(service.get("volumes", []))
        assert mounted == (name in WORKERS), f"{name} and the engine's socket"


def test_nothing_listens_beyond_this_machine_unless_it_is_told_to(
    compose: list[str], site: Path
) -> None:
    services = read(compose, site)["services"]
    published = {name for name, service in services.items() if service.get("ports")}
    assert published == {"api", "redis", "store"}
    for name in published:
        assert "127.0.0.1" in json.dumps(services[name]["ports"])


def test_a_service_gets_its_own_secrets_and_their_words_stand_nowhere(
    compose: list[str], site: Path
) -> None:
    services = read(compose, site)["services"]
    secrets = {
        name: {secret["source"] for secret in service.get("secrets", [])}
        for name, service in services.items()
    }
    assert secrets["postgres"] == {"postgres_password"}
    assert secrets["redis"] == {"redis_password"}
    assert secrets["store"] == {"store_access_key", "store_secret_key"}
    # A worker, which may stand elsewhere, never has the database's password or its key.
    for name in WORKERS:
        assert secrets[name] == {"redis_password", "api_secret_key"}
        assert "SQL_ALCHEMY" not in json.dumps(services[name]["environment"])
    said = json.dumps(services)
    for file in (site / "secrets").iterdir():
        assert file.read_text().strip() not in said, file.name


def test_airflow_has_the_settings_that_the_fault_drill_has_proven(
    compose: list[str], site: Path
) -> None:
    given = read(compose, site)["services"]["scheduler"]["environment"]
    found = {name: given.get(name) for name in SITE}
    for settings in (found, proven := dict(SITE)):
        extra = settings["AIRFLOW__CELERY__EXTRA_CELERY_CONFIG"]
        settings["AIRFLOW__CELERY__EXTRA_CELERY_CONFIG"] = json.loads(extra)
    assert found == proven


def test_images_and_slots_are_settings(compose: list[str], site: Path) -> None:
    services = read(
        compose,
        site,
        WILDLIFE_POSTGRES_IMAGE="mine/postgres:1",
        WILDLIFE_AIRFLOW_IMAGE="mine/airflow:2",
        WILDLIFE_GPU_SLOTS="2",
    )["services"]
    assert services["postgres"]["image"] == "mine/postgres:1"
    assert {services[name]["image"] for name in AIRFLOW} == {"mine/airflow:2"}
    assert services["worker-gpu"]["command"][-1] == "2"


def test_a_gpu_host_runs_one_worker_that_finds_the_site(compose: list[str], site: Path) -> None:
    settings = {"WILDLIFE_SITE_ADDRESS": "10.0.0.5", "WILDLIFE_WORKER_ADDRESS": "10.0.0.8"}
    services = read(compose, site, "compose.worker.yaml", **settings)["services"]
    assert set(services) == {"worker"}
    worker = services["worker"]
    assert worker["hostname"] == "10.0.0.8"
    assert worker["environment"]["WILDLIFE_DOCKER_EXTRA_HOSTS"] == "store:10.0.0.5"
    hosts = json.dumps(worker["extra_hosts"])
    assert all(name in hosts for name in ("api", "redis", "store"))
    assert hosts.count("10.0.0.5") == 3


def test_a_site_that_make_site_did_not_make_is_told(compose: list[str], site: Path) -> None:
    (site / ".env").write_text("COMPOSE_PROJECT_NAME=wildlife\n")
    answer = subprocess.run([*compose, "config"], cwd=site, capture_output=True, text=True)
    assert answer.returncode != 0
    assert "make site" in answer.stderr


def test_make_site_keeps_what_is_there(site: Path) -> None:
    before = {path: path.read_bytes() for path in site.rglob("*") if path.is_file()}
    make_site(site)
    assert {path: path.read_bytes() for path in site.rglob("*") if path.is_file()} == before
    secrets = site / "secrets"
    assert secrets.stat().st_mode & 0o777 == 0o700
    assert len({file.read_bytes() for file in secrets.iterdir()}) == 8


def test_make_site_without_an_engine_says_so(tmp_path: Path) -> None:
    environment = os.environ | {"WILDLIFE_DOCKER_SOCKET": str(tmp_path / "none.sock")}
    answer = subprocess.run(
        [DOCKER / "make-site", tmp_path], env=environment, capture_output=True, text=True
    )
    assert answer.returncode != 0
    assert str(tmp_path / "none.sock") in answer.stderr
    assert not (tmp_path / ".env").exists()
