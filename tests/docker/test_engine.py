"""The tests' own engine does what other tests believe of it."""

from collections.abc import Iterator

import psutil
import pytest

from tests.engine import Engine

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
