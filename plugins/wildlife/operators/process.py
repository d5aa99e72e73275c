"""Steps as processes of the worker: for one machine, where no container engine is needed."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from airflow.sdk import Context

from tasks.contract.manifest import now
from wildlife.operators.base import Outcome, StepOperator
from wildlife.settings import settings

_PROJECT = Path(__file__).resolve().parents[3]
_KEEPER = Path(__file__).with_name("keeper.py")
#: A line is cut here, so that a program gone wild cannot fill the worker's memory.
_LINE_BYTES = 8192
#: What of the worker's environment a step may see: never Airflow's own settings and secrets.
_INHERITED = re.compile(
    r"PATH|HOME|USER|LANG|LC_\w+|TZ|TMPDIR|PYTHON\w*|LD_LIBRARY_PATH|WILDLIFE_\w+|"
    r"(http|https|no)_proxy|(HTTP|HTTPS|NO)_PROXY|SSL_CERT_FILE|SSL_CERT_DIR|"
    r"REQUESTS_CA_BUNDLE|AWS_CA_BUNDLE|AWS_ROLE_ARN|AWS_WEB_IDENTITY_TOKEN_FILE|"
    r"AWS_CONTAINER_\w+|CUDA\w*|NVIDIA_\w+|TF_\w+|KERAS_\w+|OMP_NUM_THREADS"
)


class ProcessStepOperator(StepOperator):
    """Runs a step as a child process that ends when its worker does (``keeper.py``)."""

    _keeper: subprocess.Popen[bytes] | None = None

    def run_to_end(
        self,
        command: list[str],
        secrets: Mapping[str, str],
        context: Context,  # noqa: ARG002 other runners name their containers by it
    ) -> Outcome:
        started = now()
        keeper = [sys.executable, "-I", str(_KEEPER), str(settings().stop_seconds)]
        self._keeper = subprocess.Popen(
            [*keeper, sys.executable, "-m", "tasks", *command],
            cwd=_PROJECT,
            env=_environment(os.environ) | self._visible_gpus() | dict(secrets),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        with self._keeper as running:
            assert running.stdout is not None
            try:
                reason = self._show(running.stdout)
            except BaseException:  # Airflow's time-out, Ctrl-C: no retry may meet a step that runs
                self.on_kill()
                self._show(running.stdout)
                raise
            return Outcome(running.wait(), reason, started)

    def on_kill(self) -> None:
        """Let go of the step: it gets SIGTERM, time to finish what it is writing, then SIGKILL."""
        if self._keeper is not None and self._keeper.stdin is not None:
            self._keeper.stdin.close()

    def _show(self, stdout: IO[bytes]) -> str:
        """Log every line until the step has ended; returns the last reason of a failure."""
        reason = ""
        for raw in iter(lambda: stdout.readline(_LINE_BYTES), b""):
            line = raw.decode(errors="replace").rstrip("\r\n")
            self.show(line)
            reason = self.reason_in(line) or reason
        return reason

    def _visible_gpus(self) -> dict[str, str]:
        """The one GPU that the setting gives this step, in CUDA's own variable."""
        gpus = settings().gpus
        if gpus == "auto":
            return {}
        if gpus == "none" or self.arm is None:
            return {"CUDA_VISIBLE_DEVICES": ""}
        return {"CUDA_VISIBLE_DEVICES": gpus[self.arm % len(gpus)]}


def _environment(worker: Mapping[str, str]) -> dict[str, str]:
    inherited = {name: value for name, value in worker.items() if _INHERITED.fullmatch(name)}
    return inherited | {"PYTHONPATH": str(_PROJECT), "PYTHONUNBUFFERED": "1"}
