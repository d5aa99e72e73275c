"""Docker Compose, as this machine has it."""

import os
import shutil
import subprocess

import pytest


def compose_program() -> list[str]:
    """The command of Compose: Docker's plugin, or else the program of its own.

    Without either, the test is skipped; in continuous integration it fails, for a skipped test
    would look like a passed one.
    """
    plugin = ["docker", "compose"]
    if shutil.which("docker"):
        asked = subprocess.run([*plugin, "version"], capture_output=True)
        if asked.returncode == 0:
            return plugin
    if not shutil.which("docker-compose"):
        reason = "needs Docker Compose: apt-get install docker-compose"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(reason)
    return ["docker-compose"]
