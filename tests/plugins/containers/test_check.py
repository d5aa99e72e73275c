"""The check of a host: the same lines that a step would fail with, before anything starts."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.engine import Engine

ROOT = Path(__file__).resolve().parents[3]


def check(**environment: str) -> "subprocess.CompletedProcess[str]":
    everything = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'plugins'}"} | environment
    command = [sys.executable, "-m", "wildlife.containers.check"]
    return subprocess.run(command, env=everything, capture_output=True, text=True)


def test_no_engine_is_one_line_at_once() -> None:
    checked = check(WILDLIFE_DOCKER_URL="unix:///nowhere.sock")
    assert checked.returncode == os.EX_TEMPFAIL
    [line] = checked.stderr.splitlines()
    assert line.startswith("there is no Docker engine at unix:///nowhere.sock: start it, or set")


@pytest.mark.docker
def test_an_engine_without_the_image_or_the_gpu_is_told_and_one_with_both_is_fine(
    engine: Engine, image: str
) -> None:
    here = {"WILDLIFE_DOCKER_URL": engine.environment["DOCKER_HOST"]}
    missing = check(**here, WILDLIFE_DOCKER_IMAGE="nothing:here")
    assert missing.returncode == os.EX_CONFIG
    assert "there is no image 'nothing:here'" in missing.stderr
    demanded = check(**here, WILDLIFE_GPUS="3")
    assert demanded.returncode == os.EX_CONFIG
    assert "WILDLIFE_GPUS demands GPU 3" in demanded.stderr
    fine = check(**here, WILDLIFE_DOCKER_IMAGE=image, WILDLIFE_GPUS="none")
    assert (fine.returncode, fine.stderr) == (os.EX_OK, "")
    assert "has what steps need: sha256:" in fine.stdout
