"""Steps in containers of a Docker engine: the default of a deployment.

Airflow's own operator, made to survive its worker. A container is labelled with the task that it
works for, so whoever tries that task again finds it, follows its log from where it was, and takes
its result; what has been asked to stop says so in its name.
"""

import hashlib
import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from airflow.providers.docker.operators.docker import DockerOperator
from airflow.sdk import Context, ResumableJobMixin
from airflow.sdk.exceptions import AirflowException, AirflowRuntimeError, AirflowTaskTimeout
from docker import APIClient
from docker.errors import NotFound

from tasks.contract.errors import ConfigurationError, StepError, UnavailableError
from tasks.contract.store import StoreSettings
from wildlife.containers import stopper
from wildlife.containers.confinement import host_config
from wildlife.containers.engine import Engine, explained, local_url
from wildlife.containers.gpus import device_requests
from wildlife.containers.image import find_image
from wildlife.containers.labels import COMMAND, Owner, bucket_label
from wildlife.containers.log import last_lines, lines_after, parse_time
from wildlife.containers.reaper import (
    Found,
    NoSuchTaskError,
    all_containers,
    dead_containers,
)
from wildlife.containers.stopper import STOPPING
from wildlife.operators.base import Outcome, StepOperator
from wildlife.settings import docker_settings, settings

_POLL_SECONDS = 1.0
#: How often Airflow is told how far the log has been shown: a retry repeats no more than this.
_REMEMBER_SECONDS = 5.0
#: What a container is given of the worker's environment beside the store's variables.
_INHERITED = re.compile(r"(http|https|no)_proxy|(HTTP|HTTPS|NO)_PROXY|WILDLIFE_CACHE_GB")
_SUCCEEDED = "exited with status 0"
_LAST_LINES = 100


@dataclass(frozen=True)
class _Work:
    """What one execution of a task wants done."""

    owner: Owner
    try_number: int
    command: list[str]
    environment: Mapping[str, str] = field(repr=False)
    bucket: str

    @property
    def digest(self) -> str:
        return hashlib.sha256(json.dumps(self.command).encode()).hexdigest()


class DockerStepOperator(ResumableJobMixin, StepOperator, DockerOperator):
    """Runs a step in a container, and finds it again after its own worker has died."""

    external_id_key = "container"
    #: Nothing of it is a template: what a user typed must not be run on the worker.
    template_fields: Sequence[str] = ()

    _work: _Work
    _container: str | None = None
    _container_name: str | None = None
    _killed = False
    _outcome: Outcome | None = None

    def __init__(self, *, step: str, arm: int | None = None, **arguments: Any) -> None:
        chosen = docker_settings()
        self._engine: Engine | None = None
        super().__init__(
            step=step,
            arm=arm,
            image=chosen.image,
            docker_url=chosen.url or local_url(),
            tls_ca_cert=chosen.tls and chosen.tls["ca_cert"],
            tls_client_cert=chosen.tls and chosen.tls["cert"],
            tls_client_key=chosen.tls and chosen.tls["key"],
            docker_conn_id=chosen.connection or None,
            mount_tmp_dir=False,
            **arguments,
        )

    def run_to_end(
        self, command: list[str], secrets: Mapping[str, str], context: Context
    ) -> Outcome:
        task = context["ti"]
        worker = {name: value for name, value in os.environ.items() if _INHERITED.fullmatch(name)}
        self._work = _Work(
            owner=Owner(str(task.dag_id), str(task.run_id), str(task.task_id)),
            try_number=int(task.try_number),
            command=[*command, "--environment-from-stdin"],
            environment=worker | dict(secrets),
            bucket=bucket_label(StoreSettings.from_environment(secrets)),
        )
        outcome: Outcome = self.execute_resumable(context)
        return outcome

    # What ResumableJobMixin asks for. It takes what ``poll_until_complete`` returns after a
    # reconnect, ``get_job_result``'s alone if the job has ended, and for a new job calls both.

    def submit_job(self, context: Context) -> str:
        """The container that works for this task: one that is there already, or else a new one.

        One may be there although Airflow knows of none: a worker can die between the two.
        """
        work, leftovers = self._work, []
        found = self._patiently(lambda client: all_containers(client, work.bucket))
        self._reap_dead([one for one in found if one.owner != work.owner], context)
        for container in [one.id for one in found if one.owner == work.owner]:
            status = self.get_job_status(container, context)
            if self.is_job_active(status) or self.is_job_succeeded(status):
                self.log.info("found the container %s, %s", container[:12], status)
                return container
            leftovers.append(container)
        for container in leftovers:
            self._end(container)
        return self._start_container()

    def get_job_status(self, external_id: Any, context: Context) -> str:
        del context
        try:
            found = self._patiently(lambda client: client.inspect_container(str(external_id)))
        except NotFound:
            return "gone"
        if found["Name"].endswith(STOPPING):
            return "stopping"
        if found["Config"]["Labels"].get(COMMAND) != self._work.digest:
            return "running something else"
        status: str = found["State"]["Status"]
        return (
            f"{status} with status {found['State']['ExitCode']}" if status == "exited" else status
        )

    def is_job_active(self, status: str) -> bool:
        return status in ("running", "restarting", "paused")

    def is_job_succeeded(self, status: str) -> bool:
        return status == _SUCCEEDED

    def poll_until_complete(self, external_id: Any, context: Context) -> Outcome:  # type: ignore[override]
        """Follow a container to its end, and remove it.

        If its own time is over, the step is stopped here, with time to finish what it is writing.
        If it is only this side that fails, the step goes on: the next try finds it.
        """
        container = str(external_id)
        self._take_over(container)
        position = _LogPosition(context.get("task_state_store"), container, self.log)
        try:
            state = self._followed(container, position)
            self._outcome = self._outcome_of(container, state)
        except (AirflowTaskTimeout, KeyboardInterrupt, SystemExit):
            self._stop_and_show(container, position)
            raise
        except NotFound:
            raise UnavailableError(
                f"the container {container[:12]} of {self.step} was removed while it ran: "
                "it is tried again"
            ) from None
        except ConfigurationError:  # it has ended, and would end so again
            self._remove(container)
            raise
        self._remove(container)
        return self._outcome

    def get_job_result(self, external_id: Any, context: Context) -> Outcome:
        if self._outcome is None:
            return self.poll_until_complete(external_id, context)  # it has ended: no waiting
        return self._outcome

    def on_kill(self) -> None:
        """Leave behind a program that stops the container: Airflow gives this one five seconds."""
        self._killed = True
        if self._container is not None:
            self.log.info("stopping the container %s", self._container[:12])
            self._leave_to_stopper({self._container: str(self._container_name)})
            self._container = None

    # Starting

    def _start_container(self) -> str:
        chosen, work = docker_settings(), self._work
        devices = []
        if self.arm is not None:
            known = self._patiently(lambda client: client.info())
            devices = device_requests(settings().gpus, self.arm, known)
            if not devices:
                self.log.info("no GPU for %s: it trains on the CPU", self.step)
        image = find_image(self._reached, chosen, bool(devices), self.log)
        container: str = self._reached.call(
            lambda client: client.create_container(
                image=image.id,
                name=work.owner.name(work.try_number),
                command=work.command,
                environment={"WILDLIFE_IMAGE": image.digest},
                labels=work.owner.labels(work.bucket, work.try_number, work.digest),
                user=chosen.user,
                stdin_open=True,
                stop_timeout=settings().stop_seconds,
                host_config=host_config(client, chosen, devices),
            )
        )["Id"]
        if self._killed:
            self._remove(container)
            raise AirflowException(f"{self.step} was stopped before it began")
        try:
            self._reached.call(lambda client: _start_with(client, container, work.environment))
        except (StepError, NotFound) as error:
            self._remove(container)
            if isinstance(error, NotFound):  # a network that there is not, say
                raise explained(str(error.explanation), 404, self._reached.url) from error
            raise
        self.log.info("container %s of %s runs %s", container[:12], image.digest, self.step)
        return container

    def _take_over(self, container: str) -> None:
        """Give it a name of this try, so that an earlier one that still breathes lets go of it."""
        name = self._work.owner.name(self._work.try_number)
        with suppress(NotFound):
            self._patiently(lambda client: _rename(client, container, name))
        self._container, self._container_name = container, name
        if self._killed:
            self.on_kill()

    # Following

    def _followed(self, container: str, position: "_LogPosition") -> Mapping[str, Any]:
        """Show its log until it has ended; returns the engine's ``State`` of it."""
        while True:
            found = self._patiently(lambda client: client.inspect_container(container))
            self._patiently(lambda client: self._show_new(client, container, position))
            if not found["State"]["Running"]:
                state: Mapping[str, Any] = found["State"]
                return state
            time.sleep(_POLL_SECONDS)

    def _show_new(self, client: APIClient, container: str, position: "_LogPosition") -> None:
        for line in lines_after(client, container, position.stamp):
            self.show(line.text)
            position.stamp = line.stamp
        position.remember()

    def _outcome_of(self, container: str, state: Mapping[str, Any]) -> Outcome:
        """What the end means.

        Raises:
            ConfigurationError: the step reached its memory limit; another try would as well.
        """
        limit = docker_settings().memory_gb
        if state["OOMKilled"] and state["ExitCode"] != 0 and limit is not None:
            raise ConfigurationError(
                f"{self.step} needs more memory than its limit of {limit:g} GB (exit status "
                f"{state['ExitCode']}): raise WILDLIFE_DOCKER_MEMORY_GB, or lower batch_size"
            )
        reason = ""
        if state["ExitCode"] != 0:
            said = self._patiently(lambda client: last_lines(client, container, _LAST_LINES))
            reasons = [found for line in said if (found := self.reason_in(line))]
            reason = reasons[-1] if reasons else str(state.get("Error", ""))
        return Outcome(state["ExitCode"], reason, parse_time(state["StartedAt"]))

    # Ending

    def _stop_and_show(self, container: str, position: "_LogPosition") -> None:
        self.log.info("stopping the container %s", container[:12])
        self._container = None
        with suppress(NotFound):
            name, seconds = str(self._container_name), settings().stop_seconds
            self._reached.call(lambda client: stopper.stop(client, container, name, seconds))
            self._patiently(lambda client: self._show_new(client, container, position))
            self._remove(container)

    def _end(self, container: str) -> None:
        """See that a leftover of an earlier try is gone."""
        seconds = settings().stop_seconds
        with suppress(NotFound):
            found = self._patiently(lambda client: client.inspect_container(container))
            name = found["Name"].lstrip("/")
            what = "which is stopping" if name.endswith(STOPPING) else "of an earlier try"
            self.log.info("waiting for the end of the container %s, %s", container[:12], what)
            self._reached.call(lambda client: stopper.stop(client, container, name, seconds))
            self._remove(container)

    def _remove(self, container: str) -> None:
        self._container = None
        try:
            self._reached.call(lambda client: stopper.remove(client, container))
        except (StepError, NotFound) as error:
            self.log.warning("the container %s is left behind: %s", container[:12], error)

    def _reap_dead(self, others: list[Found], context: Context) -> None:
        """Have the containers of dead runs removed; nobody waits for that, and nothing fails."""

        def state_of(owner: Owner) -> str | None:
            states = context["ti"].get_task_states(
                dag_id=owner.dag_id, run_ids=[owner.run_id], task_ids=[owner.task_id]
            )
            try:
                state: str | None = states[owner.run_id][owner.task_id]
            except KeyError:
                raise NoSuchTaskError from None
            return state

        try:
            dead = dead_containers(others, state_of)
        except (AirflowRuntimeError, OSError) as error:
            self.log.warning("containers of dead runs were not looked for: %s", error)
            return
        for one in dead:
            self.log.warning(
                "the container %s of %s in run %s works for nobody: stopping it",
                *(one.id[:12], one.owner.task_id, one.owner.run_id),
            )
        if dead:
            self._leave_to_stopper({one.id: one.name for one in dead})

    def _leave_to_stopper(self, containers: Mapping[str, str]) -> None:
        program = subprocess.Popen(
            [sys.executable, "-I", str(Path(stopper.__file__))],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        asked = {
            "url": str(self.docker_url),
            "tls": docker_settings().tls,
            "seconds": settings().stop_seconds,
            "containers": dict(containers),
        }
        assert program.stdin is not None
        program.stdin.write(json.dumps(asked).encode())
        program.stdin.close()

    # The engine

    @property
    def _reached(self) -> Engine:
        if self._engine is None:
            self._engine = Engine(
                str(self.docker_url),
                self._connect,
                docker_settings().patience_seconds,
                self.log,
            )
        return self._engine

    def _patiently(self, ask: Any) -> Any:
        return self._reached.call_patiently(ask)

    def _connect(self) -> APIClient:
        """A new connection by Airflow's own hook, which also logs in to a private registry."""
        self.__dict__.pop("hook", None)
        with stopper.apart_from_the_web():
            client = self.cli
        client.trust_env = False
        # docker-py would wait for ever for the rest of a log whose connection has died.
        client._disable_socket_timeout = lambda _socket: None
        return client


class _LogPosition:
    """How far the log of a container has been shown, kept in Airflow for the next try."""

    _KEY: ClassVar = "log_position"

    def __init__(self, state: Any, container: str, log: Any) -> None:
        self._state = state
        self._container = container
        self._log = log
        self._kept = time.monotonic()
        known = (state.get(self._KEY) if state is not None else None) or {}
        self.stamp: str = known.get("stamp", "") if known.get("container") == container else ""
        self._remembered = self.stamp

    def remember(self) -> None:
        """Tell Airflow, now and then. It is a convenience: its failure fails nothing."""
        due = time.monotonic() - self._kept > _REMEMBER_SECONDS
        if self._state is None or self.stamp == self._remembered or not due:
            return
        self._kept = time.monotonic()
        try:
            self._state.set(self._KEY, {"container": self._container, "stamp": self.stamp})
            self._remembered = self.stamp
        except (AirflowRuntimeError, OSError) as error:
            self._log.warning("Airflow did not keep the log's position: %s", error)


def _rename(client: APIClient, container: str, name: str) -> None:
    """May be asked twice; and who has asked it to stop must be heard."""
    known = client.inspect_container(container)["Name"].lstrip("/")
    if known != name and not known.endswith(STOPPING):
        client.rename(container, name)


def _start_with(client: APIClient, container: str, environment: Mapping[str, str]) -> None:
    """Start it, and give it variables through its standard input.

    What stands in a container's configuration is shown by ``docker inspect`` and lies on the
    engine's disk; what is written there is in the memory of the step alone.
    """
    pipe = client.attach_socket(container, params={"stdin": 1, "stream": 1})
    client.start(container)
    raw = getattr(pipe, "_sock", pipe)
    raw.sendall(json.dumps(dict(environment)).encode() + b"\n")
    with suppress(OSError):
        raw.shutdown(socket.SHUT_WR)
    pipe.close()
