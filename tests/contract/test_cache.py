"""The cache: never a wrong byte, never more than its limit, nothing left behind by the dead."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tasks.contract import cache as cache_module
from tasks.contract.cache import Cache
from tasks.contract.errors import ConfigurationError, InputError, UnavailableError


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def put(cache: Cache, content: bytes, used: float | None = None) -> Path:
    with cache.incoming() as file:
        file.write_bytes(content)
        path = cache.add(file, sha256(content))
    if used is not None:
        os.utime(path, (used, used))
    return path


def test_a_file_is_downloaded_once(cache: Cache) -> None:
    calls = []

    def download(target: Path) -> None:
        calls.append(target)
        target.write_bytes(b"photo")

    paths = {cache.fetch(sha256(b"photo"), "p", download) for _ in range(3)}
    assert [path.read_bytes() for path in paths] == [b"photo"]
    assert len(calls) == 1


@pytest.mark.parametrize("damage", [b"", b"phot", b"Photo", b"photo and more"])
def test_a_cached_file_that_was_changed_is_fetched_again(cache: Cache, damage: bytes) -> None:
    put(cache, b"photo").write_bytes(damage)
    assert cache.get(sha256(b"photo")) is None
    path = cache.fetch(sha256(b"photo"), "p", lambda target: target.write_bytes(b"photo"))
    assert path.read_bytes() == b"photo"


def use(cache: Cache, work: Callable[[bytes], None] = lambda _content: None) -> bytes:
    """What a step does with a file that is hashed while it is being used."""
    with cache.checked_beside(
        sha256(b"photo"), "s3://b/k", lambda target: target.write_bytes(b"photo")
    ) as path:
        work(path.read_bytes())
    return path.read_bytes()


def test_a_file_may_be_hashed_while_it_is_used(cache: Cache) -> None:
    assert use(cache) == use(cache) == b"photo"


def test_what_was_made_of_a_damaged_copy_is_not_published(cache: Cache) -> None:
    put(cache, b"photo").write_bytes(b"Photo")
    with pytest.raises(UnavailableError, match="copy of s3://b/k was damaged and is dropped"):
        use(cache)
    assert use(cache) == b"photo"


def test_a_file_that_another_process_evicts_just_before_it_is_used_is_downloaded_again(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(cache, b"photo")
    monkeypatch.setattr(os, "utime", lambda path: path.unlink())
    assert use(cache) == b"photo"


def test_a_file_that_another_process_evicts_before_it_is_opened_is_no_final_failure(
    cache: Cache,
) -> None:
    path = put(cache, b"photo")
    path.unlink()
    with (
        pytest.raises(UnavailableError, match=r"dropped from this .* larger WILDLIFE_CACHE_GB"),
        cache.evictions_told(),
    ):
        path.read_bytes()
    with (
        cache.workspace("step") as folder,
        pytest.raises(FileNotFoundError),
        cache.evictions_told(),
    ):
        (folder / "of-the-step").read_bytes()


def refuse(content: bytes) -> None:
    raise InputError(f"not usable: {content!r}")


def test_a_complaint_about_a_damaged_copy_is_not_final(cache: Cache) -> None:
    with pytest.raises(InputError, match="not usable: b'photo'"):
        use(cache, refuse)
    put(cache, b"photo").write_bytes(b"Photo")
    with pytest.raises(UnavailableError, match="damaged"):
        use(cache, refuse)


def test_a_download_of_other_bytes_is_refused_and_not_kept(cache: Cache) -> None:
    with pytest.raises(InputError, match=r"s3://b/k has SHA-256 .* changed or damaged"):
        cache.fetch(sha256(b"right"), "s3://b/k", lambda target: target.write_bytes(b"wrong"))
    assert not [path for path in cache.root.rglob("*") if path.is_file()]


def test_a_download_that_fails_leaves_nothing(cache: Cache) -> None:
    def download(target: Path) -> None:
        target.write_bytes(b"half")
        raise InputError("gone")

    with pytest.raises(InputError, match="gone"):
        cache.fetch(sha256(b"whole"), "k", download)
    assert not [path for path in cache.root.rglob("*") if path.is_file()]


def test_the_least_recently_used_files_go_first(tmp_path: Path) -> None:
    for used, content in ((3.0, b"new" * 10), (1.0, b"old" * 10), (2.0, b"mid" * 10)):
        put(Cache(tmp_path), content, used)
    put(Cache(tmp_path, limit=90), b"now" * 10)
    left = {path.read_bytes()[:3] for path in tmp_path.glob("sha256/*/*")}
    assert left == {b"new", b"mid", b"now"}


def test_of_many_files_moved_in_the_cache_is_looked_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, looks = Cache(tmp_path, limit=1_000_000), []
    glob = Path.glob
    monkeypatch.setattr(
        Path, "glob", lambda path, pattern: looks.append(path) or glob(path, pattern)
    )
    for number in range(5):
        with cache.incoming() as file:
            file.write_bytes(bytes([number]))
            cache.move_in(file, sha256(bytes([number])))
    assert not looks
    cache.trim()
    assert len(looks) == 1


def test_a_file_in_use_stays_whatever_the_limit(tmp_path: Path) -> None:
    cache = Cache(tmp_path, limit=1)
    used = put(cache, b"used")
    put(cache, b"more")
    assert used.read_bytes() == b"used"


def test_a_disk_that_is_too_small_is_told_before_the_work(cache: Cache) -> None:
    cache.require_space(1, "a byte")
    with pytest.raises(ConfigurationError, match=r"the archive needs .* set WILDLIFE_CACHE"):
        cache.require_space(1 << 60, "the archive")


def test_a_killed_process_leaves_no_folder_for_long(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = (
        "import os, sys, signal\nfrom pathlib import Path\nfrom tasks.contract.cache import Cache\n"
        "with Cache(Path(sys.argv[1])).workspace('step') as folder:\n"
        "    (folder / 'large').write_bytes(bytes(100))\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(cache.root)], check=False)
    [left] = cache.root.glob("work/step-*")

    with cache.workspace("mine"):
        assert left.exists(), "so new that its owner may not have locked it yet"
    monkeypatch.setattr(cache_module, "_UNLOCKED_SECONDS", -1.0)
    with cache.workspace("mine") as mine, cache.workspace("other"):
        assert not left.exists()
        assert mine.exists(), "in use, so not swept"
    assert not list(cache.root.glob("work/*"))


@pytest.mark.parametrize("limit", ["", "12.5"])
def test_the_cache_is_set_by_the_environment(tmp_path: Path, limit: str) -> None:
    environment = {"WILDLIFE_CACHE": str(tmp_path / "c"), "WILDLIFE_CACHE_GB": limit}
    cache = Cache.from_environment(environment)
    assert cache.root == tmp_path / "c"
    assert cache.limit == int(float(limit or 50) * 1e9)


@pytest.mark.parametrize("limit", ["much", "nan", "inf"])
def test_a_limit_that_is_no_number_is_told(tmp_path: Path, limit: str) -> None:
    environment = {"WILDLIFE_CACHE": str(tmp_path), "WILDLIFE_CACHE_GB": limit}
    with pytest.raises(ConfigurationError, match=f"WILDLIFE_CACHE_GB is '{limit}'"):
        Cache.from_environment(environment)
