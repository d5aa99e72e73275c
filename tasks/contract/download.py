"""One large object into one file: parts at once, each going on from the byte it broke at.

boto3 has a transfer manager (s3transfer), which does not do, at version 0.19.3: it begins a broken
part anew and without a pause, at most five times, so that a network that cuts connections every
few megabytes, or a store that is away for twenty seconds, ends the whole download; and it pins
small objects to no ETag. Both were tried, through the proxy that ``tests/contract`` has.
"""

import threading
from collections.abc import Callable, Generator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import closing
from pathlib import Path

from tasks.contract.errors import UnavailableError
from tasks.contract.files import write_at
from tasks.contract.patience import PAUSES

#: Large enough for requests to cost nothing, small enough for the last ones to end together.
PART = 16 << 20
WORKERS = 8
#: Gives the bytes of the object from a first to before a last one.
Reader = Callable[[int, int], Generator[bytes, None, None]]


def download(
    read: Reader,
    size: int,
    target: Path,
    progress: Callable[[int], object],
    pauses: tuple[float, ...] = PAUSES,
) -> None:
    """Fill a file with an object's bytes.

    Args:
        read: raises UnavailableError if going on from the same byte can help.
        progress: called with the bytes received so far, from one thread at a time.

    Raises:
        UnavailableError: nothing came for as long as the pauses are together.
    """
    with target.open("wb") as file, ThreadPoolExecutor(WORKERS, "download") as pool:
        work = _Download(read, file.fileno(), _Sum(progress), pauses)
        parts = [
            pool.submit(work.part, start, min(start + PART, size)) for start in range(0, size, PART)
        ]
        try:
            done, _ = wait(parts, return_when=FIRST_EXCEPTION)
            for part in done:
                part.result()
        finally:
            work.stopped.set()
            pool.shutdown(cancel_futures=True)


class _Sum:
    """Adds up what all threads received; what it tells only ever grows."""

    def __init__(self, progress: Callable[[int], object]) -> None:
        self._lock = threading.Lock()
        self._total = 0
        self._progress = progress

    def add(self, size: int) -> None:
        with self._lock:
            self._total += size
            self._progress(self._total)


class _Download:
    def __init__(self, read: Reader, file: int, received: _Sum, pauses: tuple[float, ...]) -> None:
        self.stopped = threading.Event()
        self._read = read
        self._file = file
        self._received = received
        self._pauses = pauses

    def part(self, position: int, stop: int) -> None:
        """Receive one part, however often it breaks off."""
        pauses = iter(self._pauses)
        while position < stop and not self.stopped.is_set():
            try:
                with closing(self._read(position, stop)) as chunks:
                    for chunk in chunks:
                        write_at(self._file, chunk, position)
                        position += len(chunk)
                        self._received.add(len(chunk))
                        pauses = iter(self._pauses)
                        if self.stopped.is_set():
                            return
            except UnavailableError:
                pause = next(pauses, None)
                if pause is None:
                    raise
                self.stopped.wait(pause)
