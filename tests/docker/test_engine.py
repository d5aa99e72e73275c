"""The tests' own engine does what other tests believe of it."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.engine import Engine
from tests.plugins.airflow_home import ROOT

pytestmark = pytest.mark.docker


@pytest.fixture
def container(engine: Engine, image: str) -> Iterator[str]:
    """A container that sleeps, and ends at once when it is asked to."""
    options = ("--detach", "--network", "none", "--stop-signal", "KILL", "--entrypoint", "sleep")
    container = engine.docker("run", *options, image, "600")
    yield container
    engine.restart()
    engine.docker("rm", "--force", "--volumes", container)


def process_of(engine: Engine, container: str) -> int:
    """The number of the container's process; 0 once it has ended."""
    return int(engine.docker("inspect", "--format", "{{.State.Pid}}", container))


def test_a_container_goes_on_when_the_daemon_is_killed(engine: Engine, container: str) -> None:
    process = process_of(engine, container)
    engine.kill()
    assert psutil.pid_exists(process)
    engine.restart(live_restore=True)
    assert process_of(engine, container) == process


def test_a_container_goes_on_over_a_restart_only_with_live_restore(
    engine: Engine, container: str
) -> None:
    process = process_of(engine, container)
    engine.restart(live_restore=True)
    assert process_of(engine, container) == process
    engine.restart()
    assert process_of(engine, container) == 0


def test_the_machine_s_own_bridge_outlives_the_engine(engine: Engine, tmp_path: Path) -> None:
    """A dockerd without a bridge deletes docker0; here one in a network of the test's own."""
    session = (
        "import sys; from pathlib import Path; from tests.engine import Engine\n"
        "with Engine(Path(sys.argv[1])) as engine: engine.docker('version')"
    )
    script = 'ip link add docker0 type bridge && "$0" -c "$1" "$2" && ip -o link | cut -d: -f2'
    answer = subprocess.run(
        ["unshare", "--net", "sh", "-c", script, sys.executable, session, str(tmp_path / "home")],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert answer.stdout.split() == ["lo", "docker0"], answer.stderr
