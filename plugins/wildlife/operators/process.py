"""Steps as processes of the worker: for one machine, where no container engine is needed."""

import ctypes
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

from airflow.sdk import Context

from wildlife.operators.base import StepOperator
from wildlife.settings import settings

_PROJECT = Path(__file__).resolve().parents[3]
#: A line is cut here, so that a program gone wild cannot fill the worker's memory.
_LINE_BYTES = 8192
#: What of the worker's environment a step may see: never Airflow's own settings and secrets.
_INHERITED = re.compile(
    r"PATH|HOME|USER|LANG|LC_\w+|TZ|TMPDIR|PYTHON\w*|LD_LIBRARY_PATH|WILDLIFE_\w+|"
    r"(http|https|no)_proxy|(HTTP|HTTPS|NO)_PROXY|SSL_CERT_FILE|SSL_CERT_DIR|"
    r"REQUESTS_CA_BUNDLE|AWS_CA_BUNDLE|CUDA\w*|NVIDIA_\w+|TF_\w+|KERAS_\w+|OMP_NUM_THREADS"
)
_PR_SET_PDEATHSIG = 1


class ProcessStepOperator(StepOperator):
    """Runs a step as a child process that ends when its worker does."""

    _child: subprocess.Popen[bytes] | None = None

    def run_to_end(
        self,
        command: list[str],
        secrets: Mapping[str, str],
        context: Context,  # noqa: ARG002 other runners name their containers by it
    ) -> tuple[int, str]:
        self._child = subprocess.Popen(
            [sys.executable, *command],
            cwd=_PROJECT,
            env=_environment(os.environ) | dict(secrets),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_end_with_parent,
        )
        last_error = ""
        stdout = self._child.stdout
        assert stdout is not None
        try:
            for raw in iter(lambda: stdout.readline(_LINE_BYTES), b""):
                line = raw.decode(errors="replace").rstrip("\r\n")
                self.log.info("%s", line)
                _, is_error, message = line.partition(f" ERROR {self.step} failed: ")
                last_error = message if is_error else last_error
            return self._child.wait(), last_error
        finally:
            self.on_kill()

    def on_kill(self) -> None:
        """End the step: SIGTERM, time to finish what it is writing, then SIGKILL."""
        child = self._child
        if child is None or child.poll() is not None:
            return
        _signal_group(child.pid, signal.SIGTERM)
        # Airflow itself waits only seconds here, so the rest happens beside it.
        killer = threading.Timer(
            settings().stop_seconds, _signal_group, (child.pid, signal.SIGKILL)
        )
        killer.daemon = True
        killer.start()


def _environment(worker: Mapping[str, str]) -> dict[str, str]:
    inherited = {name: value for name, value in worker.items() if _INHERITED.fullmatch(name)}
    return inherited | {"PYTHONPATH": str(_PROJECT), "PYTHONUNBUFFERED": "1"}


_libc = ctypes.CDLL(None, use_errno=True)


def _end_with_parent() -> None:
    """Runs in the child before the program: have the kernel send SIGTERM if the worker dies.

    Linux only (prctl(2)). The C library is looked up beforehand, because after a fork of a process
    with threads nothing may be loaded.
    """
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def _signal_group(group: int, number: int) -> None:
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return
