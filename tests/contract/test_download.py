"""Large objects arrive whole over networks that fail, or not at all, through a real proxy."""

import hashlib
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tasks.contract.download import PART
from tasks.contract.errors import InputError, UnavailableError
from tasks.contract.store import ObjectHead, Store, StoreSettings
from tests.contract.proxy import Proxy, proxy_to

SHORT = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
CONTENT = os.urandom(3 * PART + 12_345)
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@dataclass
class Network:
    """A store as it is seen through a proxy."""

    direct: Store
    store: Store
    proxy: Proxy

    def put(self, content: bytes, key: str = "key") -> ObjectHead:
        self.direct.write(key, content)
        head = self.direct.head(key)
        assert head is not None
        return head

    def at(self, passed: int, function) -> None:
        """Do something once, as soon as so many bytes have passed."""
        fired = threading.Event()

        def check(now: int) -> None:
            if now >= passed and not fired.is_set():
                fired.set()
                threading.Thread(target=function).start()

        self.proxy.on_passed = check


@pytest.fixture
def network(store: Store, store_env: dict[str, str]) -> Iterator[Network]:
    with proxy_to(store_env["AWS_ENDPOINT_URL"]) as proxy:
        settings = StoreSettings.from_environment(store_env | {"AWS_ENDPOINT_URL": proxy.url})
        yield Network(store, Store(settings), proxy)


def test_a_large_object_arrives_in_parts(network: Network, tmp_path: Path) -> None:
    head = network.put(CONTENT)
    assert network.store.download(head, tmp_path / "target") == DIGEST
    assert (tmp_path / "target").read_bytes() == CONTENT
    assert network.proxy.requests == 4


@pytest.mark.parametrize(("size", "requests"), [(0, 0), (1, 1), (PART, 1), (PART + 1, 2)])
def test_what_fits_into_one_part_takes_one_request(
    network: Network, tmp_path: Path, size: int, requests: int
) -> None:
    head = network.put(CONTENT[:size])
    digest = network.store.download(head, tmp_path / "target")
    assert digest == hashlib.sha256(CONTENT[:size]).hexdigest()
    assert (tmp_path / "target").read_bytes() == CONTENT[:size]
    assert network.proxy.requests == requests


def test_a_network_that_cuts_every_connection_costs_nothing_twice(
    network: Network, tmp_path: Path
) -> None:
    head = network.put(CONTENT)
    network.proxy.cut_after = 3 << 20
    assert network.store.download(head, tmp_path / "target", pauses=SHORT) == DIGEST
    assert network.proxy.requests > 12
    # What was on its way in a cut connection is lost, but never a part.
    assert network.proxy.passed < 1.5 * len(CONTENT)


def test_a_store_that_is_away_for_a_while_is_waited_for(network: Network, tmp_path: Path) -> None:
    head = network.put(CONTENT)
    network.at(len(CONTENT) // 2, lambda: network.proxy.go_away(1.5))
    assert network.store.download(head, tmp_path / "target", pauses=SHORT) == DIGEST
    assert network.proxy.passed < 1.5 * len(CONTENT)


def test_a_store_that_does_not_come_back_is_worth_a_retry_of_the_step(
    network: Network, tmp_path: Path
) -> None:
    head = network.put(CONTENT)
    network.at(len(CONTENT) // 2, network.proxy.close)
    with pytest.raises(UnavailableError, match="does not answer"):
        network.store.download(head, tmp_path / "target", pauses=(0.01, 0.01))
    assert not [t for t in threading.enumerate() if t.name.startswith("download")]


@pytest.mark.parametrize("removed", [False, True], ids=["replaced", "removed"])
def test_an_object_that_is_replaced_in_the_middle_is_refused(
    network: Network, tmp_path: Path, removed: bool
) -> None:
    head = network.put(CONTENT)
    network.proxy.cut_after = 3 << 20

    def replace(received: int) -> None:
        if received > PART and network.direct.head("key") == head:
            if removed:
                network.direct.delete("key")
            else:
                network.direct.write("key", CONTENT[::-1])

    complaint = "vanished while it was being read" if removed else "was replaced while it was"
    with pytest.raises(InputError, match=complaint):
        network.store.download(head, tmp_path / "target", replace, SHORT)


def test_in_a_bucket_that_keeps_versions_the_pinned_one_is_read(
    network: Network, store_env: dict[str, str], tmp_path: Path
) -> None:
    """However often the object is replaced meanwhile."""
    settings = StoreSettings.from_environment(store_env | {"WILDLIFE_BUCKET": "versioned"})
    versioned = Store(settings)
    client = versioned._client
    client.create_bucket(Bucket="versioned")
    client.put_bucket_versioning(Bucket="versioned", VersioningConfiguration={"Status": "Enabled"})
    versioned.write("key", CONTENT)
    head = versioned.head("key")
    assert head is not None
    assert head.version_id
    versioned.write("key", b"new")
    assert versioned.download(head, tmp_path / "target") == DIGEST


def test_progress_only_ever_grows_and_ends_at_the_size(network: Network, tmp_path: Path) -> None:
    head = network.put(CONTENT)
    network.proxy.cut_after = 5 << 20
    seen: list[int] = []
    network.store.download(head, tmp_path / "target", seen.append, SHORT)
    assert seen == sorted(set(seen))
    assert seen[-1] == len(CONTENT)


def test_a_disk_that_is_full_is_said_at_once(
    network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    head = network.put(CONTENT)
    monkeypatch.setattr(os, "pwrite", full)
    began = time.monotonic()
    with pytest.raises(OSError, match="No space left"):
        network.store.download(head, tmp_path / "target")
    assert time.monotonic() - began < 5
