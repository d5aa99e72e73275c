"""Free ports for servers of a test's or a benchmark's own."""

import random
import socket


def free_ports(count: int) -> int:
    """The first of so many consecutive free ports."""
    for _ in range(200):
        first = random.randrange(20000, 60000 - count)  # noqa: S311 no secret
        try:
            for port in range(first, first + count):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        return first
    raise RuntimeError("no free ports")
