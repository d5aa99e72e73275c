"""What a container prints, from where it was last read. Nothing of it is kept in memory."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from docker import APIClient

#: A line is cut here, so that a program gone wild cannot fill anybody's log.
_LINE_CHARACTERS = 8192
_STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z")


@dataclass(frozen=True)
class Line:
    """``stamp`` is the engine's own time of the line, RFC 3339 with nanoseconds and of one length,
    so that stamps compare as texts."""

    stamp: str
    text: str


def lines_after(client: APIClient, container: str, stamp: str) -> Iterator[Line]:
    """Every line that the container has printed after this stamp, and no waiting for more.

    Asking again and again, instead of following one endless answer, is what survives a restart of
    the engine and a connection that died without a word.
    """
    frames = client.logs(
        container,
        stream=True,
        follow=False,
        timestamps=True,
        **({"since": _seconds(stamp)} if stamp else {}),
    )
    for frame in frames:
        written, _, text = frame.decode(errors="replace").partition(" ")
        if _STAMP.fullmatch(written) and written > stamp:  # else it is a fault of the log itself
            yield Line(written, text.rstrip("\r\n")[:_LINE_CHARACTERS])


def last_lines(client: APIClient, container: str, count: int) -> list[str]:
    """The end of what it printed."""
    frames = client.logs(container, stream=True, follow=False, tail=count)
    return [frame.decode(errors="replace").rstrip("\r\n") for frame in frames]


def parse_time(stamp: str) -> datetime:
    """The engine's times have nanoseconds, Python's microseconds."""
    whole, _, fraction = stamp.rstrip("Z").partition(".")
    return datetime.fromisoformat(f"{whole}.{fraction[:6]:0<6}+00:00")


def _seconds(stamp: str) -> float:
    """A little early, because a float cannot hold all digits; ``lines_after`` sorts it out."""
    return parse_time(stamp).timestamp() - 0.001
