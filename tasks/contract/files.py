"""Writing to one file from several threads."""

import os


def write_at(file: int, content: bytes | memoryview, position: int) -> None:
    """Write all of the bytes at a position; the system may take fewer at a time.

    Args:
        file: its descriptor.
    """
    rest = memoryview(content).cast("B")
    while rest:
        written = os.pwrite(file, rest, position)
        rest, position = rest[written:], position + written
