"""Who hears of alerts: a web server and a mail server on loopback, real but small."""

import json
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email import message_from_string, policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

#: What of a webhook's address nobody may read.
TOKEN = "T0ken-of-the-webhook"


class Webhook:
    """Attributes:

    heard: the documents that were posted, and ``paths``, where.
    answers: status codes for the next requests, then 200 for ever.
    mute: set, it takes a request and never answers.
    close: nobody listens any more.
    """

    close: Callable[[], None]

    def __init__(self) -> None:
        self.heard: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.requests = 0
        self.answers: list[int] = []
        self.mute = False
        self.released = threading.Event()

    def connection(self, port: int) -> str:
        return json.dumps({"conn_type": "http", "host": f"http://127.0.0.1:{port}/hook/{TOKEN}"})


@contextmanager
def listening_webhook() -> Iterator[tuple[Webhook, int]]:
    """A web server, and its port."""
    hook = Webhook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            hook.requests += 1
            content = self.rfile.read(int(self.headers["Content-Length"]))
            if hook.mute:
                hook.released.wait(30)
                return
            status = hook.answers.pop(0) if hook.answers else 200
            if status == 200:
                hook.paths.append(self.path)
                hook.heard.append(json.loads(content))
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 its own name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def close() -> None:
        hook.released.set()
        server.shutdown()
        server.server_close()

    hook.close = close
    try:
        yield hook, server.server_address[1]
    finally:
        close()


class Mailbox:
    """Attributes:

    letters: (addressees, subject, body as HTML) of what arrived.
    mute: set, it takes a connection and never greets.
    """

    def __init__(self) -> None:
        self.letters: list[tuple[list[str], str, str]] = []
        self.mute = False
        self.released = threading.Event()

    def connection(self, port: int) -> str:
        plain = {"disable_tls": True, "disable_ssl": True, "from_email": "wildlife@example.org"}
        return json.dumps({"conn_type": "smtp", "host": "127.0.0.1", "port": port, "extra": plain})


@contextmanager
def listening_mailbox() -> Iterator[tuple[Mailbox, int]]:
    """A mail server that takes every letter, and its port."""
    box = Mailbox()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            if box.mute:
                box.released.wait(60)
                return
            self.say("220 here")
            addressees: list[str] = []
            while line := self.rfile.readline().decode().strip():
                command = line.upper()
                if command.startswith("RCPT TO:"):
                    addressees.append(line.partition("<")[2].partition(">")[0])
                if command == "DATA":
                    self.say("354 go on")
                    self.take(addressees)
                self.say("221 bye" if command == "QUIT" else "250 fine")

        def say(self, line: str) -> None:
            self.wfile.write(f"{line}\r\n".encode())

        def take(self, addressees: list[str]) -> None:
            lines = []
            while (line := self.rfile.readline().decode().rstrip("\r\n")) != ".":
                lines.append(line)
            letter = message_from_string("\n".join(lines), policy=policy.default)
            body = letter.get_body(("html",))
            assert body is not None
            box.letters.append((addressees, str(letter["subject"]), body.get_content()))

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = daemon_threads = True

    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield box, server.server_address[1]
    finally:
        box.released.set()
        server.shutdown()
        server.server_close()
