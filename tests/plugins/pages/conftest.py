"""The pages' tests share one store and one process, and nothing that the process has read of it."""

import socket
from collections.abc import Iterator

import pytest

from wildlife.pages import bucket, runs


@pytest.fixture(autouse=True)
def nothing_read_before() -> None:
    runs._read_before.cache_clear()
    bucket._silence.cache_clear()


@pytest.fixture
def mute() -> Iterator[str]:
    """The address of a server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
