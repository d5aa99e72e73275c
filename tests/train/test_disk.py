"""A full disk is seen before anything is written."""

import errno
from collections import namedtuple
from pathlib import Path

import pytest

from tasks.train.disk import require_room
from tests.train.conftest import small_network

pytestmark = pytest.mark.keras

Usage = namedtuple("Usage", "total used free")


def test_a_disk_with_too_little_room_is_refused_with_both_sizes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = small_network()
    needed = 3 * 4 * network.count_params()
    monkeypatch.setattr("shutil.disk_usage", lambda _folder: Usage(9, 0, needed - 1))
    with pytest.raises(OSError, match=r"No space left on device \(0 MB needed, 0 free\)") as caught:
        require_room(tmp_path, network, copies=3)
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(tmp_path))


def test_a_disk_with_just_enough_room_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = small_network()
    needed = 3 * 4 * network.count_params()
    monkeypatch.setattr("shutil.disk_usage", lambda _folder: Usage(9, 0, needed))
    require_room(tmp_path, network, copies=3)
