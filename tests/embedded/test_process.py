"""Background programs are found again, stopped with all they started, and never mistaken."""

import json
import os
import socket
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from embedded.process import (
    Program,
    StackError,
    require_free_port,
    require_running,
    running_programs,
)

SLEEPER = [sys.executable, "-c", "import time; time.sleep(60)"]


def alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def printed_pid(program: Program) -> int:
    """The process id that the program wrote as the first thing in its log."""
    deadline = time.monotonic() + 10
    while not (text := program.log_file.read_text()).strip() and time.monotonic() < deadline:
        time.sleep(0.05)
    return int(text)


def test_a_started_program_is_found_and_stopped(tmp_path: Path) -> None:
    program = Program("sleeper", tmp_path)
    program.start(SLEEPER, os.environ)
    found = Program("sleeper", tmp_path).find()
    assert found is not None
    assert program.stop(seconds=5)
    assert not alive(found.pid)
    assert program.find() is None
    assert not program.stop()


def test_stopping_a_program_ends_what_it_started(tmp_path: Path) -> None:
    """Even a grandchild that ignores SIGTERM and has a session of its own."""
    stubborn = (
        "import signal, time, os; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
        "print(os.getpid(), flush=True); time.sleep(60)"
    )
    code = (
        "import subprocess, sys, time; "
        f"subprocess.Popen([sys.executable, '-c', {stubborn!r}], start_new_session=True); "
        "time.sleep(60)"
    )
    program = Program("parent", tmp_path)
    program.start([sys.executable, "-c", code], os.environ)
    grandchild = printed_pid(program)
    assert alive(grandchild)
    program.stop(seconds=1)
    assert not alive(grandchild)


def test_a_stranger_with_the_same_process_id_is_left_alone(tmp_path: Path) -> None:
    program = Program("gone", tmp_path)
    (tmp_path / "run").mkdir()
    me = psutil.Process()
    (tmp_path / "run" / "gone.json").write_text(
        json.dumps({"pid": me.pid, "created": me.create_time() - 100})
    )
    assert program.find() is None
    assert not program.stop()


def test_a_program_that_dies_at_its_start_names_its_log(tmp_path: Path) -> None:
    program = Program("broken", tmp_path)
    program.start([sys.executable, "-c", "raise SystemExit(3)"], os.environ)
    with pytest.raises(StackError, match=r"broken did not start: read .*broken\.log"):
        program.wait_until(lambda: False, seconds=20)


def test_a_taken_port_is_named_with_the_setting_that_changes_it() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(StackError, match=rf"port {port}, .* is taken.*WILDLIFE_AIRFLOW_PORT"):
            require_free_port(port, "Airflow's page", "WILDLIFE_AIRFLOW_PORT")


def test_a_stack_that_was_stopped_is_told_from_one_that_has_ended(tmp_path: Path) -> None:
    stopped, other = Program("stopped", tmp_path), Program("other", tmp_path)
    for program in (stopped, other):
        program.start(SLEEPER, os.environ)
    names = running_programs(tmp_path)
    require_running(tmp_path, names)
    stopped.stop(seconds=5)
    with pytest.raises(StackError, match=r"were stopped meanwhile \('make down'\)"):
        require_running(tmp_path, names)
    other.stop(seconds=5)
    with pytest.raises(StackError, match="were stopped meanwhile"):
        require_running(tmp_path, names)


def test_a_stack_that_is_being_stopped_is_told_so(tmp_path: Path) -> None:
    deaf = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True)"
    )
    program = Program("deaf", tmp_path)
    program.start([sys.executable, "-c", deaf], os.environ)
    printed_pid(program)
    stopping = threading.Thread(target=program.stop, args=(3,))
    stopping.start()
    time.sleep(0.5)
    with pytest.raises(StackError, match="were stopped meanwhile"):
        require_running(tmp_path, ["deaf"])
    stopping.join()


def test_what_a_killed_program_left_behind_is_ended_by_the_next_stop(tmp_path: Path) -> None:
    code = (
        "import subprocess, sys, time; "
        "print(subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']).pid, "
        "flush=True); time.sleep(60)"
    )
    program = Program("leader", tmp_path)
    program.start([sys.executable, "-c", code], os.environ)
    orphan = printed_pid(program)
    leader = program.find()
    assert leader is not None
    leader.kill()
    psutil.wait_procs([leader], timeout=5)
    assert alive(orphan)
    with pytest.raises(StackError, match="leader has ended: read"):
        require_running(tmp_path, [program.name])
    program.stop()
    deadline = time.monotonic() + 5
    while alive(orphan) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive(orphan)
