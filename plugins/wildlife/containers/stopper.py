"""Ends containers with time to finish: SIGTERM, so many seconds, SIGKILL, removal.

    python stopper.py < JSON

Airflow kills a task five seconds after it asked it to stop. So this runs as a program of its own,
which the task leaves behind; it needs nothing but docker-py, so that it starts at once. It reads
the keyword arguments of ``stop_all`` as JSON.
"""

import json
import os
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any

import requests
from docker import APIClient
from docker.errors import APIError, DockerException, NotFound
from docker.tls import TLSConfig

#: Ends the name of a container that has been asked to stop. Labels cannot be changed; names can.
STOPPING = ".stopping"
#: What requests takes from the environment: for the web, and before what it is given.
_WEB_VARIABLES = (
    *("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "http_proxy", "https_proxy", "all_proxy"),
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"),
)
_SLACK_SECONDS = 5
#: For so long an engine that is out of reach is tried again, ``_PAUSE_SECONDS`` apart.
_PATIENCE_SECONDS = 300
_PAUSE_SECONDS = 5
_connecting = threading.Lock()


def stop_all(
    url: str, tls: Mapping[str, str] | None, seconds: int, containers: Mapping[str, str]
) -> None:
    """Stop and remove containers, side by side, when the engine can be reached.

    Args:
        tls: files: ``ca_cert``, ``cert``, ``key``.
        containers: the name that each id must have, or else somebody has taken it over and it is
            left alone.
    """

    def stop_and_remove(container: str, name: str) -> None:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                client = connect(url, tls)
                if stop(client, container, name, seconds):
                    remove(client, container)
            except NotFound:
                return
            except (DockerException, requests.exceptions.RequestException, OSError):
                if time.monotonic() > deadline:
                    raise
                time.sleep(_PAUSE_SECONDS)
            else:
                return

    with ThreadPoolExecutor(max(1, len(containers))) as pool:
        list(pool.map(stop_and_remove, containers.keys(), containers.values()))


def connect(url: str, tls: Mapping[str, str] | None) -> APIClient:
    """A client of the engine at this address."""
    with _connecting, apart_from_the_web():
        if tls is None:
            client = APIClient(base_url=url)
        else:
            pair = (tls["cert"], tls["key"])
            config = TLSConfig(ca_cert=tls["ca_cert"], client_cert=pair, verify=True)
            client = APIClient(base_url=url.replace("tcp://", "https://"), tls=config)
    client.trust_env = False
    return client


@contextmanager
def apart_from_the_web() -> Iterator[None]:
    """Within it, an engine is reached directly, and by the certificates given for it alone."""
    put_by = {name: os.environ.pop(name) for name in _WEB_VARIABLES if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(put_by)


def stop(client: APIClient, container: str, name: str, seconds: int) -> bool:
    """Mark it by its name and stop it; False, and nothing done, if it has another name.

    One that is being stopped already is waited for: a second SIGTERM would cut short what it saves.

    Raises:
        NotFound: it is gone.
    """
    known = client.inspect_container(container)["Name"].lstrip("/")
    if known.removesuffix(STOPPING) != name.removesuffix(STOPPING):
        return False
    if known.endswith(STOPPING):
        with suppress(requests.exceptions.Timeout, requests.exceptions.ConnectionError):
            client.wait(container, timeout=seconds + _SLACK_SECONDS)
            return True
    else:
        client.rename(container, known + STOPPING)
    client.stop(container, timeout=seconds)
    return True


def remove(client: APIClient, container: str) -> None:
    """Remove it, running or not; it may be gone, or going."""
    try:
        client.remove_container(container, force=True)
    except NotFound:
        return
    except APIError as error:
        if "already in progress" not in str(error):
            raise


if __name__ == "__main__":
    arguments: dict[str, Any] = json.load(sys.stdin)
    stop_all(**arguments)
