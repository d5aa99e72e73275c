"""The Docker engine: reached with patience, and its refusals told as one line with a remedy."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

import requests
import urllib3
from airflow.sdk.exceptions import AirflowException, AirflowNotFoundException
from docker import APIClient
from docker.errors import APIError, DockerException, NotFound
from paramiko import SSHException

from tasks.contract.errors import AccessDeniedError, ConfigurationError, StepError, UnavailableError

if TYPE_CHECKING:
    from airflow.sdk.types import Logger

Answer = TypeVar("Answer")

_LOCAL_SOCKET = "unix:///var/run/docker.sock"
_UNIX = "unix://"


def local_url() -> str:
    """The engine's address where no setting names one."""
    return os.environ.get("DOCKER_HOST") or _LOCAL_SOCKET


class Engine:
    """One Docker engine.

    Args:
        url: its address, for messages.
        connect: makes a client, or raises what docker-py or Airflow's hook raises.
        patience: seconds for which it may be out of reach; a restart takes some.
    """

    def __init__(
        self,
        url: str,
        connect: Callable[[], APIClient],
        patience: float,
        log: "Logger",
    ) -> None:
        self.url = url
        self._connect = connect
        self._patience = patience
        self._log = log
        self._client: APIClient | None = None

    @property
    def client(self) -> APIClient:
        """Connected when it is first needed.

        Raises:
            AccessDeniedError, UnavailableError: it cannot be reached.
        """
        if self._client is None:
            self._require_socket()
            with self._translated():
                self._client = self._connect()
        return self._client

    def call(self, ask: Callable[[APIClient], Answer]) -> Answer:
        """Ask it something, once.

        Raises:
            NotFound: there is no such container or image.
            StepError: it refused, or does not answer.
        """
        client = self.client
        with self._translated():
            return ask(client)

    def call_patiently(self, ask: Callable[[APIClient], Answer]) -> Answer:
        """Ask it something that may be asked twice, again and again while it is out of reach."""
        deadline, pause = time.monotonic() + self._patience, 0.5
        while True:
            try:
                return self.call(ask)
            except UnavailableError as error:
                if time.monotonic() + pause > deadline:
                    raise
                if pause == 0.5:
                    self._log.warning("%s; waiting for it", error)
            self._client = None  # a connection through ssh does not come back by itself
            time.sleep(pause)
            pause = min(2 * pause, 10)

    def _require_socket(self) -> None:
        """Say what docker-py does not: whether there is no engine, or no right to use it."""
        path = self.url.removeprefix(_UNIX)
        if path == self.url:
            return
        path = "/" + path.lstrip("/")
        if not os.path.exists(path):  # noqa: PTH110 a socket of root's folder raises in pathlib
            raise UnavailableError(
                f"there is no Docker engine at {self.url}: start it, or set WILDLIFE_DOCKER_URL "
                "to where it is"
            )
        if not os.access(path, os.R_OK | os.W_OK):
            raise AccessDeniedError(
                f"the user {os.getuid()} may not use the Docker engine at {self.url}: add the "
                "worker's user to the group that owns the socket"
            )

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except NotFound:
            raise
        except APIError as error:
            said = str(error.explanation or error)
            raise explained(said, error.status_code, self.url) from error
        except StepError:
            raise
        except AirflowNotFoundException as error:
            raise ConfigurationError(
                f"the Airflow connection that WILDLIFE_DOCKER_CONNECTION names cannot be used "
                f"({error}): make one of type 'docker' with the registry, a login and a password"
            ) from error
        except (
            AirflowException,
            DockerException,
            requests.exceptions.RequestException,
            urllib3.exceptions.HTTPError,
            SSHException,
            OSError,
            EOFError,
        ) as error:
            raise UnavailableError(
                f"the Docker engine at {self.url} does not answer ({type(error).__name__}): start "
                "it, or set WILDLIFE_DOCKER_URL to where it is"
            ) from error


def explained(said: str, status: int | None, url: str) -> StepError:
    """What an engine's refusal means to us.

    Args:
        said: its own words.
        status: of its HTTP answer, if that had one.
    """
    said = " ".join(said.split())[:300]
    lower = said.lower()
    if "no space left on device" in lower or "disk quota exceeded" in lower:
        return UnavailableError(
            f"the disk of the Docker engine at {url} is full ({said}): make room there, for "
            "instance with 'docker system prune'"
        )
    if "could not select device driver" in lower or "cdi device" in lower:
        return ConfigurationError(
            f"the Docker engine at {url} cannot give a GPU ({said}): install the NVIDIA container "
            "toolkit there, or set WILDLIFE_GPUS=none"
        )
    refused = ("unauthorized", "denied", "no basic auth credentials")
    if status in (401, 403) or any(word in lower for word in refused):
        return AccessDeniedError(
            f"the Docker engine at {url} refused ({said}): check the worker's rights there and "
            "the login of the connection that WILDLIFE_DOCKER_CONNECTION names"
        )
    if status in (400, 404) or "manifest unknown" in lower:
        return ConfigurationError(
            f"the Docker engine at {url} cannot do this ({said}): check the settings "
            "WILDLIFE_DOCKER_…"
        )
    return UnavailableError(f"the Docker engine at {url} failed ({said}): try again later")
