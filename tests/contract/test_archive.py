"""Archives: what is a photo and of which class, and that no bytes can do worse than be refused."""

import io
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.contract import archive as archive_module
from tasks.contract.archive import Archive, DatasetCard, EntryError
from tasks.contract.errors import InputError

METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)


def zipped(files: dict[str, bytes]) -> bytes:
    """A zip with these files, compressed by each method in turn."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number, (name, content) in enumerate(files.items()):
            archive.writestr(name, content, METHODS[number % len(METHODS)])
    return buffer.getvalue()


@pytest.fixture
def write(tmp_path: Path):
    def write(content: bytes | dict[str, bytes]) -> Path:
        path = tmp_path / "archive.zip"
        path.write_bytes(content if isinstance(content, bytes) else zipped(content))
        return path

    return write


def classes_of(path: Path) -> dict[str, str]:
    with Archive(path, "a.zip") as archive:
        return {entry.name: entry.class_name for entry in archive.entries()}


def test_the_class_is_the_folder_that_a_photo_lies_in(write) -> None:
    files = {"bear/1.jpg": b"", "a/b/wolf/2.png": b"", "a/b/wolf/3.jpg": b"", "a/bear/4.JPG": b""}
    assert classes_of(write(files)) == {
        "bear/1.jpg": "bear",
        "a/b/wolf/2.png": "wolf",
        "a/b/wolf/3.jpg": "wolf",
        "a/bear/4.JPG": "bear",
    }


def test_what_systems_leave_behind_is_passed_over(write) -> None:
    litter = [
        "__MACOSX/bear/._1.jpg",
        "__MACOSX/bear/2.jpg",
        "bear/.DS_Store",
        "bear/Thumbs.db",
        "bear/desktop.ini",
        "README.txt",
        "cover.jpg",
        "docs/licence.txt",
        "docs/._page.jpg",
        "dataset.json",
    ]
    assert classes_of(write(dict.fromkeys(["bear/1.jpg", *litter], b""))) == {"bear/1.jpg": "bear"}


def test_a_photo_needs_no_honest_suffix(write) -> None:
    assert set(classes_of(write({"bear/1.jpg": b"", "bear/2": b"", "bear/3.txt": b""}))) == {
        "bear/1.jpg",
        "bear/2",
        "bear/3.txt",
    }


def test_paths_that_climb_out_name_no_class(write) -> None:
    names = ["../1.jpg", "/2.jpg", "bear/../3.jpg", "../../wolf/4.jpg"]
    assert classes_of(write(dict.fromkeys(names, b""))) == {"../../wolf/4.jpg": "wolf"}


def test_backslashes_of_windows_programs_separate_folders(write) -> None:
    # Written with a stand-in of the same length, because zipfile itself may turn them around.
    content = zipped({"bear|1.jpg": b"photo"}).replace(b"bear|1", b"bear\\1")
    with Archive(write(content), "a.zip") as archive:
        [entry] = archive.entries()
        assert (entry.class_name, archive.read(entry)) == ("bear", b"photo")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_of_a_file_that_was_added_again_the_last_counts(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("bear/1.jpg", b"old")
        made.writestr("bear/1.jpg", b"newer")
    with Archive(path, "a.zip") as archive:
        [entry] = archive.entries()
        assert (entry.size, archive.read(entry)) == (5, b"newer")


def test_entries_are_read_whole_by_many_threads(write) -> None:
    files = {f"bear/{number}.jpg": bytes([number]) * 70_000 for number in range(200)}
    with Archive(write(files), "a.zip") as archive, ThreadPoolExecutor(8) as pool:
        entries = archive.entries() * 3
        contents = list(pool.map(archive.read, entries))
    assert contents == [files[entry.name] for entry in entries]


@pytest.mark.parametrize(
    ("content", "card"),
    [
        (
            b'{"name": "Drawn", "synthetic": true, "more": 1}',
            DatasetCard(name="Drawn", synthetic=1),
        ),
        (b"not json", DatasetCard()),
        (b'{"name": 5}', DatasetCard()),
        (b"\xff\xfe", DatasetCard()),
    ],
)
def test_a_card_is_read_or_left_empty(write, content: bytes, card: DatasetCard) -> None:
    with Archive(write({"dataset.json": content, "bear/1.jpg": b""}), "a.zip") as archive:
        assert archive.card() == card


def test_an_archive_without_a_card_has_an_empty_one(write) -> None:
    with Archive(write({"bear/1.jpg": b""}), "a.zip") as archive:
        assert archive.card() == DatasetCard()


def test_an_encrypted_entry_is_refused_alone(write) -> None:
    content = bytearray(zipped({"bear/1.jpg": b"secret", "bear/2.jpg": b"open"}))
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + flags] |= 1
    with Archive(write(bytes(content)), "a.zip") as archive:
        locked, free = archive.entries()
        with pytest.raises(EntryError, match="password"):
            archive.read(locked)
        assert archive.read(free) == b"open"


def test_an_entry_that_swells_beyond_the_limit_is_refused(
    write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive_module, "MAX_ENTRY_BYTES", 1000)
    files = {"bear/1.jpg": b"", "bear/2.jpg": bytes(1001), "bear/3.jpg": bytes(1000)}
    with Archive(write(files), "a.zip") as archive:
        _, bomb, fits = archive.entries()
        with pytest.raises(EntryError, match="larger than"):
            archive.read(bomb)
        assert len(archive.read(fits)) == 1000


WHOLE = zipped(
    {
        "dataset.json": b'{"name": "x"}',
        "a/bear/1.jpg": b"stored" * 20,
        "a/bear/2.jpg": b"deflated" * 20,
        "a/wölf/3.jpg": b"bzip2" * 20,
        "a/wölf/4.jpg": b"lzma" * 20,
    }
)


@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    changes=st.lists(
        st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 255)), min_size=1, max_size=8
    ),
    cut=st.none() | st.integers(0, len(WHOLE)),
)
def test_damaged_archives_are_refused_and_never_crash(write, changes, cut) -> None:
    content = bytearray(WHOLE)
    for place, value in changes:
        content[place] = value
    path = write(bytes(content[:cut]))
    complaint = "a.zip is not a readable zip archive"
    try:
        with Archive(path, "a.zip") as archive:
            archive.card()
            for entry in archive.entries():
                assert entry.class_name not in ("", "..")
                try:
                    archive.read(entry)
                except EntryError:
                    continue
    except InputError as error:
        complaint = str(error)
    assert complaint.startswith("a.zip is not a readable zip archive")
    assert "\n" not in complaint


@pytest.mark.parametrize("length", [0, 1, 100, len(WHOLE) // 2, len(WHOLE) - 1])
def test_a_truncated_archive_is_said_to_be_no_zip(write, length: int) -> None:
    with pytest.raises(InputError, match=r"a\.zip is not a readable zip archive"):
        Archive(write(WHOLE[:length]), "a.zip")
