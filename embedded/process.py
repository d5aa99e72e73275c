"""Background programs of the stack: started in their own session, found again, stopped whole."""

import json
import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil


class StackError(Exception):
    """The stack cannot do what was asked. One line: what, and the remedy."""


class Program:
    """One program of the stack and all the processes it starts.

    Its process id and start time are kept in ``<home>/run/<name>.json``, so that a later command
    finds exactly this program and never a stranger that got the same id.
    """

    def __init__(self, name: str, home: Path) -> None:
        self.name = name
        self.log_file = home / "logs" / f"{name}.log"
        self._id_file = home / "run" / f"{name}.json"

    def find(self) -> psutil.Process | None:
        """The running program, or None."""
        known = self._known()
        if known is None:
            return None
        try:
            process = psutil.Process(known[0])
            same = abs(process.create_time() - known[1]) < 1
            return process if same and process.status() != psutil.STATUS_ZOMBIE else None
        except psutil.Error:
            return None

    def _known(self) -> tuple[int, float] | None:
        """Process id and start time of the last start."""
        try:
            known = json.loads(self._id_file.read_text())
            return int(known["pid"]), float(known["created"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _end_orphans(self) -> None:
        """Kill what a program that was killed has left of its session."""
        known = self._known()
        if known is None or self.find():
            return
        for member in _session_of(known[0]):
            with suppress(psutil.NoSuchProcess):
                if member.create_time() >= known[1] - 1:
                    member.kill()

    def start(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Start it in the background, in a session of its own."""
        for folder in (self.log_file.parent, self._id_file.parent):
            folder.mkdir(parents=True, exist_ok=True)
        self._end_orphans()
        with self.log_file.open("ab") as log:
            child = subprocess.Popen(
                command,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd=self.log_file.parent.parent,
            )
        self._note(psutil.Process(child.pid))

    def _note(self, process: psutil.Process, stopping: bool = False) -> None:
        known = {"pid": process.pid, "created": process.create_time(), "stopping": stopping}
        self._id_file.write_text(json.dumps(known))

    def is_stopped(self) -> bool:
        """Whether somebody has stopped it, or is about to; not if it ended by itself."""
        try:
            return bool(json.loads(self._id_file.read_text())["stopping"])
        except FileNotFoundError:
            return True
        except (OSError, ValueError, KeyError, TypeError):
            return False  # just being written

    def wait_until(self, ready: Callable[[], bool], seconds: float) -> None:
        """Wait until it is ready for use.

        Raises:
            StackError: it ended, or was not ready in time; the line names its log.
        """
        deadline = time.monotonic() + seconds
        while not ready():
            if self.find() is None:
                raise StackError(f"{self.name} did not start: read {self.log_file}")
            if time.monotonic() > deadline:
                raise StackError(
                    f"{self.name} was not ready after {seconds:.0f} s: read {self.log_file}"
                )
            time.sleep(0.2)

    def stop(self, seconds: float = 30) -> bool:
        """End it and every process of its session; tells whether there was one.

        First the program itself, so that it can end its own children in order; what is left
        after ``seconds`` is killed.
        """
        process = self.find()
        if process is None:
            self._end_orphans()
            self._id_file.unlink(missing_ok=True)
            return False
        family = _family_of(process)
        with suppress(psutil.NoSuchProcess):
            self._note(process, stopping=True)
            process.terminate()
        _, alive = psutil.wait_procs(family, timeout=seconds)
        for straggler in alive:
            with suppress(psutil.NoSuchProcess):
                straggler.kill()
        psutil.wait_procs(alive, timeout=5)
        self._id_file.unlink(missing_ok=True)
        return True


def require_running(home: Path, names: Iterable[str]) -> None:
    """See that programs of the stack which ran before still do.

    Raises:
        StackError: they were stopped, or one of them has ended; the line names its log.
    """
    programs = [Program(name, home) for name in names]
    if any(program.is_stopped() for program in programs):
        raise StackError(
            "Airflow and the store were stopped meanwhile ('make down'): 'make run' starts them "
            "again, and the run goes on from what its steps have finished and saved"
        )
    for program in programs:
        if program.find() is None:
            raise StackError(
                f"{program.name} has ended: read {program.log_file}, then run 'make run' again, "
                "which starts it again"
            )


def running_programs(home: Path) -> list[str]:
    """Names of the programs of this stack that run."""
    names = sorted(file.stem for file in (home / "run").glob("*.json"))
    return [name for name in names if Program(name, home).find()]


def _family_of(process: psutil.Process) -> list[psutil.Process]:
    """The program, its descendants, and whatever of its session was orphaned."""
    return list({process, *process.children(recursive=True), *_session_of(process.pid)})


def _session_of(leader: int) -> list[psutil.Process]:
    members = []
    for process in psutil.process_iter():
        with suppress(ProcessLookupError, PermissionError):
            if os.getsid(process.pid) == leader:
                members.append(process)
    return members


def require_free_port(port: int, purpose: str, setting: str) -> None:
    """Raises StackError if somebody already listens on this port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise StackError(
                f"port {port}, wanted for {purpose}, is taken: stop what listens there, or set "
                f"{setting} to a free port (in the environment or in .env)"
            ) from None
