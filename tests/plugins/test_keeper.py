"""The keeper: no step outlives its worker, and a stopped step gets its time."""

import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.plugins.airflow_home import ROOT
from tests.plugins.waiting import is_running, pid_in, wait_for

KEEPER = ROOT / "plugins" / "wildlife" / "operators" / "keeper.py"
SLEEPER = "import os, time; open('pid', 'w').write(str(os.getpid())); time.sleep(600)"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + SLEEPER


class Kept:
    """Code under a keeper, as the operator starts it, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, code: str, seconds: float = 20) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-I", str(KEEPER), str(seconds)]
        command += [sys.executable, "-c", textwrap.dedent(code)]
        self.process = subprocess.Popen(
            command, cwd=self.folder, stdin=subprocess.PIPE, start_new_session=True
        )
        return self.process


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    keeper = Kept(tmp_path)
    yield keeper
    if keeper.process is not None and keeper.process.poll() is None:
        keeper.process.kill()
        keeper.process.wait()


@pytest.mark.parametrize("status", [0, 1, 75])
def test_the_exit_status_is_the_command_s(kept: Kept, status: int) -> None:
    assert kept.start(f"raise SystemExit({status})").wait(20) == status


def test_a_command_that_a_signal_ended_is_told_as_a_shell_tells_it(kept: Kept) -> None:
    code = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    assert kept.start(code).wait(20) == 128 + signal.SIGKILL


def test_the_command_ends_in_order_when_it_is_let_go(kept: Kept) -> None:
    keeper = kept.start(
        """
        import signal, sys, time
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))
        open("pid", "w").write("1")
        try:
            time.sleep(600)
        finally:
            open("tidy", "w").close()
        """
    )
    pid_in(kept.folder / "pid")
    assert keeper.stdin is not None
    keeper.stdin.close()
    assert keeper.wait(20) == 3
    assert (kept.folder / "tidy").exists()


def test_a_command_that_does_not_end_is_killed_after_its_seconds(kept: Kept) -> None:
    keeper = kept.start(STUBBORN, seconds=0.3)
    pid_in(kept.folder / "pid")
    assert keeper.stdin is not None
    began = time.monotonic()
    keeper.stdin.close()
    assert keeper.wait(20) == 128 + signal.SIGKILL
    assert time.monotonic() - began >= 0.3


def test_sigterm_to_the_keeper_itself_ends_the_command(kept: Kept) -> None:
    keeper = kept.start(SLEEPER)
    pid = pid_in(kept.folder / "pid")
    keeper.terminate()
    assert keeper.wait(20) == 128 + signal.SIGTERM
    assert not is_running(pid)


def test_what_the_command_left_running_is_killed_with_it(kept: Kept) -> None:
    keeper = kept.start(
        f"""
        import os, subprocess, sys, time
        subprocess.Popen([sys.executable, "-c", {STUBBORN!r}])
        while not (os.path.exists("pid") and open("pid").read()): time.sleep(0.01)
        """
    )
    assert keeper.wait(20) == 0
    wait_for(lambda: not is_running(pid_in(kept.folder / "pid")))
