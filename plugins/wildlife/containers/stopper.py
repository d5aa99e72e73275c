"""Ends containers with time to finish: SIGTERM, so many seconds, SIGKILL, removal.

    python stopper.py < JSON

Airflow kills a task five seconds after it asked it to stop. So this runs as a program of its own,
which the task leaves behind; it needs nothing but docker-py, so that it starts at once. It reads
the keyword arguments of ``stop_all`` as JSON.
"""

import json
import os
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any

from docker import APIClient
from docker.errors import APIError, NotFound
from docker.tls import TLSConfig

#: Ends the name of a container that is being stopped (``labels.STOPPING``).
_STOPPING = ".stopping"
_CA_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


def stop_all(
    url: str, tls: Mapping[str, str] | None, seconds: int, containers: Mapping[str, str | None]
) -> None:
    """Stop and remove containers, side by side.

    Args:
        tls: files: ``ca_cert``, ``cert``, ``key``.
        containers: the name that each id must have, or else somebody else has taken it over and it
            is left alone; None for whatever name.
    """

    def stop_and_remove(client: APIClient, container: str, name: str | None) -> None:
        with suppress(NotFound):
            if stop(client, container, name, seconds):
                remove(client, container)

    clients = [connect(url, tls) for _ in containers]  # a connection waits with its container
    with ThreadPoolExecutor(len(clients)) as pool:
        list(pool.map(stop_and_remove, clients, containers.keys(), containers.values()))


def connect(url: str, tls: Mapping[str, str] | None) -> APIClient:
    """A client of the engine at this address."""
    if tls is None:
        return APIClient(base_url=url)
    with own_certificates():
        return _with_tls(url, tls)


@contextmanager
def own_certificates() -> Iterator[None]:
    """Within it, an engine's certificates are checked against the authority given for them alone.

    requests prefers what these variables name, which is for the web.
    """
    put_by = {name: os.environ.pop(name) for name in _CA_VARIABLES if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(put_by)


def _with_tls(url: str, tls: Mapping[str, str]) -> APIClient:
    config = TLSConfig(ca_cert=tls["ca_cert"], client_cert=(tls["cert"], tls["key"]), verify=True)
    client = APIClient(base_url=url.replace("tcp://", "https://"), tls=config)
    client.trust_env = False
    return client


def stop(client: APIClient, container: str, name: str | None, seconds: int) -> bool:
    """Mark it by its name and stop it; False, and nothing done, if it has another name.

    Raises:
        NotFound: it is gone.
    """
    known = client.inspect_container(container)["Name"].lstrip("/")
    if name is not None and known != name:
        return False
    if not known.endswith(_STOPPING):
        client.rename(container, known + _STOPPING)
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
