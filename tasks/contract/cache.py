"""A bounded folder of verified files on this machine's disk. Only ever a cache.

Files are named by their SHA-256, arrive by one atomic rename, and are checked again each time they
are used, so a cache that was tampered with, truncated or filled up costs a download, never a wrong
result. The least recently used files go first when the folder outgrows its limit.
"""

import fcntl
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from tasks.contract.errors import ConfigurationError, InputError, UnavailableError
from tasks.contract.store import sha256_of

_DEFAULT_LIMIT_GB = 50.0
#: A folder this new may not be locked yet by the process that has just made it.
_UNLOCKED_SECONDS = 60.0


class Cache:
    """Files by digest, below ``root``, at most ``limit`` bytes of them."""

    def __init__(self, root: Path, limit: int = int(_DEFAULT_LIMIT_GB * 1e9)) -> None:
        self.root = root
        self.limit = limit
        self._files = root / "sha256"
        self._in_use: set[Path] = set()
        self._work = root / "work"
        self._work.mkdir(parents=True, exist_ok=True)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """``WILDLIFE_CACHE`` (a folder) and ``WILDLIFE_CACHE_GB`` (its limit)."""
        root = environment.get("WILDLIFE_CACHE") or str(Path("~/.cache/wildlife").expanduser())
        limit = environment.get("WILDLIFE_CACHE_GB") or str(_DEFAULT_LIMIT_GB)
        try:
            return cls(Path(root), int(float(limit) * 1e9))
        except (ValueError, OverflowError):
            raise ConfigurationError(
                f"WILDLIFE_CACHE_GB is {limit!r}: give a number of gigabytes, such as 50"
            ) from None
        except OSError as error:
            raise ConfigurationError(
                f"the cache folder {root} cannot be made ({error.strerror}): set WILDLIFE_CACHE "
                "to a folder that can be written"
            ) from None

    def get(self, sha256: str) -> Path | None:
        """The file with this digest, verified, or None."""
        path = self._path(sha256)
        try:
            os.utime(path)  # before it is hashed, or another process might take it for unused
            if sha256_of(path) != sha256:
                path.unlink(missing_ok=True)
                return None
        except FileNotFoundError:
            return None
        self._in_use.add(path)
        return path

    def fetch(self, sha256: str, name: str, download: Callable[[Path], object]) -> Path:
        """The file with this digest: from the cache, or else by calling ``download(target)``.

        Raises:
            InputError: what was downloaded has another digest.
        """
        if cached := self.get(sha256):
            return cached
        with self.incoming() as target:
            download(target)
            actual = sha256_of(target)
            if actual != sha256:
                raise InputError(
                    f"{name} has SHA-256 {actual}, not {sha256}: it was changed or damaged; "
                    "put the right file back, or run with force"
                )
            return self.add(target, sha256)

    @contextmanager
    def checked_beside(
        self, sha256: str, name: str, download: Callable[[Path], object]
    ) -> Iterator[Path]:
        """``fetch`` for a large file: a cached one is hashed while it is already being used.

        What was made of it must not be published before this context is left.

        Raises:
            InputError: what was downloaded has another digest.
            UnavailableError: on leaving: the cached file was damaged, and is dropped. Whatever else
                the work raised may be its fault, so that is not told.
        """
        path = self._path(sha256)
        try:
            os.utime(path)
            file = path.open("rb")
        except FileNotFoundError:
            yield self.fetch(sha256, name, download)
            return
        self._in_use.add(path)
        with file, ThreadPoolExecutor(1, "sha256") as pool:
            digest = pool.submit(hashlib.file_digest, file, "sha256")
            try:
                yield path
            finally:
                if digest.result().hexdigest() != sha256:
                    path.unlink(missing_ok=True)
                    raise UnavailableError(
                        f"this machine's copy of {name} was damaged and is dropped: a retry "
                        "downloads it again"
                    )

    @contextmanager
    def evictions_told(self) -> Iterator[None]:
        """For work with cached files: another process may drop one before it is opened.

        Raises:
            UnavailableError: instead of FileNotFoundError, if it is about such a file.
        """
        try:
            yield
        except FileNotFoundError as error:
            if self._files not in Path(str(error.filename)).parents:
                raise
            raise UnavailableError(
                f"a file was dropped from this machine's cache {self.root} before it could be "
                "read: a retry downloads it again; a larger WILDLIFE_CACHE_GB lets the steps that "
                "run at once keep what they need"
            ) from error

    @contextmanager
    def incoming(self) -> Iterator[Path]:
        """A temporary file on the cache's own disk, removed on leaving unless it was added."""
        with self.workspace("incoming") as folder:
            yield folder / "file"

    @contextmanager
    def workspace(self, name: str) -> Iterator[Path]:
        """A temporary folder on the cache's own disk, removed on leaving.

        It is locked while in use, so that what a killed process left behind can be told from what
        a living one works in, and is removed by the next process that needs a folder.
        """
        self._sweep()
        with tempfile.TemporaryDirectory(prefix=f"{name}-", dir=self._work) as folder:
            handle = os.open(folder, os.O_RDONLY)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX)
                yield Path(folder)
            finally:
                os.close(handle)

    def require_space(self, size: int, purpose: str) -> None:
        """Fail before the work, not in the middle of it, if the disk cannot take ``size`` bytes.

        Raises:
            ConfigurationError: names the folder and what is missing.
        """
        free = shutil.disk_usage(self.root).free
        if free < size:
            raise ConfigurationError(
                f"{purpose} needs {size / 1e9:.1f} GB of disk and {self.root} has "
                f"{free / 1e9:.1f} GB: make room, or set WILDLIFE_CACHE to a folder on a larger "
                "disk"
            )

    def add(self, file: Path, sha256: str) -> Path:
        """Move a file of this digest into the cache in one step, and see that it fits."""
        path = self.move_in(file, sha256)
        self.trim()
        return path

    def move_in(self, file: Path, sha256: str) -> Path:
        """``add`` one of many files: ``trim`` after the last, for that looks at the whole cache."""
        path = self._path(sha256)
        path.parent.mkdir(parents=True, exist_ok=True)
        file.replace(path)
        self._in_use.add(path)
        return path

    def _path(self, sha256: str) -> Path:
        return self._files / sha256[:2] / sha256

    def _sweep(self) -> None:
        """Remove the folders whose process is gone."""
        for folder in self._work.iterdir():
            try:
                if time.time() - folder.stat().st_mtime < _UNLOCKED_SECONDS:
                    continue
                handle = os.open(folder, os.O_RDONLY)
            except FileNotFoundError:
                continue  # its owner has just finished
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            except BlockingIOError:
                continue
            finally:
                os.close(handle)

    def trim(self) -> None:
        """Drop the least recently used files of other steps until the limit holds."""
        files = []
        for path in self._files.glob("*/*"):
            try:
                status = path.stat()
            except FileNotFoundError:
                continue  # another step's eviction was faster
            files.append((status.st_mtime, status.st_size, path))
        total = sum(size for _, size, _ in files)
        for _, size, path in sorted(files):
            if total <= self.limit:
                return
            if path not in self._in_use:
                path.unlink(missing_ok=True)
                total -= size
