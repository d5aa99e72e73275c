"""A TCP proxy on loopback that fails as networks do: cuts connections, or is away for a while."""

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Proxy:
    """Passes on to a server what it is sent.

    Attributes:
        cut_after: the bytes that an answer's connection lives for; None for as long as it likes.
        passed: bytes that came from the server so far.
        requests: how many requests went to the server.
        on_passed: called with ``passed`` whenever it grows.
    """

    def __init__(self, target: str) -> None:
        self._target = (urlsplit(target).hostname, urlsplit(target).port)
        self.cut_after: int | None = None
        self.passed = 0
        self.requests = 0
        self.on_passed: Callable[[int], object] = lambda _passed: None
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._address = self._listener.getsockname()
        self._accepting = self._start(self._accept, self._listener)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._address[1]}"

    def go_away(self, seconds: float) -> None:
        """Cut all connections and refuse new ones for a while."""
        self.close()
        threading.Timer(seconds, self._come_back).start()

    def close(self) -> None:
        self._listener.close()
        # Closing alone does not wake up who waits for the next connection.
        with contextlib.suppress(OSError):
            socket.create_connection(self._address, timeout=0.2).close()
        for connection in list(self._open):
            self._cut(connection)

    def _come_back(self) -> None:
        self._listener = socket.create_server(self._address)
        self._start(self._accept, self._listener)

    def _start(self, function: Callable[..., None], *arguments: object) -> threading.Thread:
        thread = threading.Thread(target=function, args=arguments, daemon=True)
        thread.start()
        return thread

    def _accept(self, listener: socket.socket) -> None:
        listener.settimeout(0.05)
        while True:
            try:
                client, _ = listener.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            client.setblocking(True)
            server = socket.create_connection(self._target)
            with self._lock:
                self._open |= {client, server}
            self._start(self._pass_on, client, server, False)
            self._start(self._pass_on, server, client, True)

    def _pass_on(self, source: socket.socket, sink: socket.socket, answers: bool) -> None:
        lived = 0
        with contextlib.suppress(OSError):
            while content := source.recv(1 << 16):
                if answers:
                    lived += len(content)
                    with self._lock:
                        self.passed += len(content)
                    self.on_passed(self.passed)
                    if self.cut_after is not None and lived > self.cut_after:
                        break
                elif content.startswith((b"GET ", b"HEAD ")):
                    self.requests += 1
                sink.sendall(content)
        self._cut(source)
        self._cut(sink)

    def _cut(self, connection: socket.socket) -> None:
        with self._lock:
            self._open.discard(connection)
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            connection.shutdown(socket.SHUT_RDWR)
        connection.close()


@contextmanager
def proxy_to(target: str) -> Iterator[Proxy]:
    proxy = Proxy(target)
    try:
        yield proxy
    finally:
        proxy.close()
