"""Files of weights: fetched once, kept in the bucket, and never trusted without their hash."""

import hashlib
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from embedded.ports import free_ports
from tasks.contract.cache import Cache
from tasks.contract.errors import InputError, UnavailableError
from tasks.contract.store import Store
from tasks.train import weight_files
from tasks.train.weight_files import LITE0_SHA256, mirror_weights, weight_file

IMAGENET_KEY = "weights/efficientnetb0_notop.h5"
LITE0_KEY = "weights/efficientnet-lite0-57934424.pth"
CONTENT = b"as good as weights" * 1000


class Host:
    """A web server in the place of Keras' own. ``answer`` is status, promised length, body."""

    def __init__(self) -> None:
        self.requests = 0
        self.answer = (200, len(CONTENT), CONTENT)
        host = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                host.requests += 1
                status, length, body = host.answer
                self.send_response(status)
                self.send_header("Content-Length", str(length))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/efficientnetb0_notop.h5"


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    host = Host()
    thread = threading.Thread(target=host.server.serve_forever)
    thread.start()
    monkeypatch.setattr(weight_files, "IMAGENET_URL", host.url)
    monkeypatch.setattr(weight_files, "IMAGENET_MD5", hashlib.md5(CONTENT).hexdigest())
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    yield host
    host.server.shutdown()
    thread.join()
    host.server.server_close()


def test_the_official_file_is_fetched_once_and_kept_in_the_bucket(
    host: Host, store: Store, cache: Cache
) -> None:
    assert mirror_weights(store, "imagenet") == IMAGENET_KEY
    assert mirror_weights(store, "imagenet") == IMAGENET_KEY
    first = weight_file(store, cache, "imagenet")
    again = weight_file(store, cache, "imagenet")
    assert host.requests == 1
    assert first.path.read_bytes() == CONTENT
    assert first.sha256 == again.sha256 == hashlib.sha256(CONTENT).hexdigest()
    head = store.head(IMAGENET_KEY)
    assert head is not None
    assert head.sha256 == first.sha256


def test_a_file_that_somebody_put_at_the_key_needs_no_host(
    host: Host, store: Store, cache: Cache
) -> None:
    store.write(IMAGENET_KEY, CONTENT)
    assert weight_file(store, cache, "imagenet").path.read_bytes() == CONTENT
    assert host.requests == 0


def test_a_host_out_of_reach_is_one_quick_line_with_both_remedies(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(weight_files, "IMAGENET_URL", f"http://127.0.0.1:{free_ports(1)}/x.h5")
    began = time.monotonic()
    with pytest.raises(UnavailableError) as caught:
        mirror_weights(store, "imagenet")
    assert time.monotonic() - began < 5
    assert f"put efficientnetb0_notop.h5 at {store.uri(IMAGENET_KEY)}" in str(caught.value)
    assert "or set weights to 'lite0'" in str(caught.value)
    assert store.head(IMAGENET_KEY) is None


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        ((404, 4, b"gone"), "cannot be fetched from here .*404"),
        ((200, 11, b"<html>login"), "is not the published file"),
        ((200, len(CONTENT), CONTENT[:500]), "cannot be fetched from here|is not the published"),
    ],
    ids=["refused", "another page", "cut short"],
)
def test_a_host_that_answers_otherwise_counts_as_out_of_reach(
    answer: tuple[int, int, bytes], complaint: str, host: Host, store: Store
) -> None:
    """So that ``make run`` goes on with lite0 behind a portal that answers every address."""
    host.answer = answer
    with pytest.raises(UnavailableError, match=complaint):
        mirror_weights(store, "imagenet")
    assert store.head(IMAGENET_KEY) is None


def test_another_file_at_the_key_of_the_official_one_is_refused(
    host: Host, store: Store, cache: Cache
) -> None:
    store.write(IMAGENET_KEY, b"other")
    with pytest.raises(InputError, match=r"is not the published file of weights=imagenet"):
        weight_file(store, cache, "imagenet")


def test_a_file_replaced_after_it_was_mirrored_is_refused(
    host: Host, store: Store, cache: Cache
) -> None:
    mirror_weights(store, "imagenet")
    weight_file(store, cache, "imagenet")
    store.write(IMAGENET_KEY, b"other")
    with pytest.raises(InputError, match=r"remove it from the bucket, and it is fetched again"):
        weight_file(store, cache, "imagenet")


def test_lite0_comes_from_the_package_and_then_from_the_bucket(
    store: Store, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert mirror_weights(store, "lite0") == LITE0_KEY
    monkeypatch.setattr(weight_files, "LITE0_PACKAGE", "no_such_package")
    found = weight_file(store, cache, "lite0")
    assert found.sha256 == LITE0_SHA256
    assert hashlib.sha256(found.path.read_bytes()).hexdigest() == LITE0_SHA256


def test_lite0_without_the_package_says_where_to_get_it(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weight_files, "LITE0_PACKAGE", "no_such_package")
    with pytest.raises(UnavailableError, match=f"package no-such-package at .*{LITE0_KEY}"):
        mirror_weights(store, "lite0")


def test_own_weights_are_used_only_with_their_hash(store: Store, cache: Cache) -> None:
    store.write("weights/own.weights.h5", CONTENT)
    sha256 = hashlib.sha256(CONTENT).hexdigest()
    assert weight_file(store, cache, "weights/own.weights.h5", sha256).path.read_bytes() == CONTENT
    with pytest.raises(InputError) as caught:
        weight_file(store, cache, "weights/own.weights.h5", "a" * 64)
    assert sha256 in str(caught.value)
    assert "a" * 64 in str(caught.value)


def test_own_weights_that_are_not_there_are_one_clear_line(store: Store, cache: Cache) -> None:
    with pytest.raises(InputError, match=r"there are no weights s3://.*/weights/mine.h5"):
        weight_file(store, cache, "weights/mine.h5", "a" * 64)


def test_the_launcher_can_ask_for_weights_without_tensorflow() -> None:
    code = (
        "import sys; from tasks.train.weight_files import mirror_weights\n"
        "print([m for m in ('tensorflow', 'keras', 'h5py') if m in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert answer.stdout.strip() == "[]", answer.stderr
