"""Archives of every format are known by their bytes and read the same."""

import os
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any

import pytest

from tasks.contract.archive import DatasetCard, open_archive
from tasks.contract.errors import InputError
from tests.contract.archive.made import (
    COMPRESSED,
    FORMATS,
    LIMITS,
    contents_of,
    entries_of,
    tarred,
    zipped,
)

FILES = {
    "a/bear/1.jpg": os.urandom(70_000),
    "a/bear/2.jpg": b"",
    "a/wölf/1.jpg": b"x" * 512,
    "a/wölf/2.jpg": b"y" * 513,
    "README.txt": b"hello",
    "dataset.json": b'{"name": "Drawn", "synthetic": true, "more": 1}',
}
NOT_READABLE = r"^the archive is not a readable archive \(.*\): upload a zip or a tar"
PHOTOS = {name: content for name, content in FILES.items() if name.startswith("a/")}


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz", "a.jpg", "a"])
@pytest.mark.parametrize("kind", FORMATS)
def test_an_archive_is_known_by_its_bytes_whatever_its_name(
    tmp_path: Path, kind: str, name: str
) -> None:
    path = tmp_path / name
    path.write_bytes(FORMATS[kind](FILES))
    with open_archive(path, name, LIMITS) as archive:
        survey = archive.survey()
        assert archive.format == kind
        assert archive.card() == DatasetCard(name="Drawn", synthetic=True)
        assert {entry.name: entry.class_name for entry in survey.entries} == {
            "a/bear/1.jpg": "bear",
            "a/bear/2.jpg": "bear",
            "a/wölf/1.jpg": "wölf",
            "a/wölf/2.jpg": "wölf",
        }
        assert survey.refused == []
        assert {entry.name: entry.size for entry in survey.entries} == {
            name: len(content) for name, content in PHOTOS.items()
        }
        assert {entry.name: read() for entry, read in archive.readers(survey.entries)} == PHOTOS


@pytest.mark.parametrize(
    ("raw", "name"), [("wölf".encode(), "wölf"), ("wölf".encode("cp437"), "wölf")]
)
def test_a_zip_that_does_not_say_how_names_are_encoded_is_read_as_other_programs_do(
    write, raw: bytes, name: str
) -> None:
    stand_in = b"N" * len(raw)
    content = zipped({f"a/{stand_in.decode()}/1.jpg": b"photo"}).replace(stand_in, raw)
    (entry,) = entries_of(write(content))
    assert entry.class_name == name


@pytest.mark.parametrize("kind", FORMATS)
def test_entries_are_read_whole_by_many_threads(write, kind: str) -> None:
    files = {f"bear/{number}.jpg": os.urandom(70_000) for number in range(100)}
    path = write(FORMATS[kind](files))
    with open_archive(path, "a", LIMITS) as archive, ThreadPoolExecutor(8) as pool:
        readers = archive.readers(archive.survey().entries)
        found = list(pool.map(lambda item: (item[0].name, item[1]()), readers))
    assert found == list(files.items()), "in the order of the archive"


@pytest.mark.parametrize("kind", FORMATS)
def test_an_archive_that_another_process_removes_once_it_was_opened_is_read(
    write, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    path = write(FORMATS[kind](FILES))
    real = Path.open

    def open_and_remove(path: Path, *arguments: str) -> IO[Any]:
        file = real(path, *arguments)
        path.unlink()
        return file

    monkeypatch.setattr(Path, "open", open_and_remove)
    assert contents_of(path) == PHOTOS


def test_an_archive_that_is_gone_is_not_called_damaged(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        open_archive(tmp_path / "gone", "a", LIMITS)


@pytest.mark.parametrize("kind", FORMATS)
def test_only_the_entries_asked_for_are_read(write, kind: str) -> None:
    path = write(FORMATS[kind](FILES))
    some = [entry for entry in entries_of(path) if entry.name.endswith("2.jpg")]
    with open_archive(path, "a", LIMITS) as archive:
        assert {entry.name for entry, _ in archive.readers(some)} == {
            "a/bear/2.jpg",
            "a/wölf/2.jpg",
        }
        assert list(archive.readers([])) == []


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("content", [b"not json", b'{"name": 5}', b"\xff\xfe", b"[" * 100_000])
def test_a_card_that_cannot_be_read_is_left_empty(write, kind: str, content: bytes) -> None:
    with open_archive(write(FORMATS[kind]({"dataset.json": content})), "a", LIMITS) as archive:
        assert archive.card() == DatasetCard()


@pytest.mark.parametrize("kind", FORMATS)
def test_an_archive_without_a_card_has_an_empty_one(write, kind: str) -> None:
    with open_archive(write(FORMATS[kind]({"bear/1.jpg": b""})), "a", LIMITS) as archive:
        assert archive.card() == DatasetCard()


@pytest.mark.parametrize("kind", COMPRESSED)
def test_several_compressed_files_after_one_another_are_one(write, kind: str) -> None:
    """As parallel compressors write them; zeros fill up blocks between and after them."""
    content = tarred(FILES)
    parts = [content[:1000], content[1000:70_001], b"", content[70_001:]]
    compressed = [COMPRESSED[kind](part) for part in parts]
    padding = bytes(1 << 10)
    assert contents_of(write(padding.join([*compressed, b""]))) == PHOTOS


@pytest.mark.parametrize("kind", COMPRESSED)
def test_many_compressed_files_after_one_another_are_read(write, kind: str) -> None:
    """As block compressors write them, each with something that is to be skipped."""
    content = tarred({"bear/1.jpg": os.urandom(1000) * 1000})
    note = b"\x50\x2a\x4d\x18\4\0\0\0note" if kind == "tar.zst" else COMPRESSED[kind](b"")
    parts = [content[start : start + 4096] for start in range(0, len(content), 4096)]
    compressed = b"".join(note + COMPRESSED[kind](part) for part in parts)
    assert set(contents_of(write(compressed))) == {"bear/1.jpg"}


def test_a_zip_behind_a_program_that_unpacks_it_is_a_zip(write) -> None:
    assert contents_of(write(b"#!/bin/sh\n" * 100 + zipped(PHOTOS))) == PHOTOS


@pytest.mark.parametrize(
    "form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT], ids=str
)
def test_names_of_any_length_and_language_are_read(write, form: int) -> None:
    names = ["./bär/1.jpg", f"{'deep/' * 30}bear/1.jpg", f"bear/{'n' * 90}.jpg"]
    if form != tarfile.USTAR_FORMAT:
        names += [f"{'x' * 200}/{'y' * 200}/熊/1.jpg"]
    files = {name: name.encode() for name in names}
    assert contents_of(write(tarred(files, form))) == files


def test_names_that_are_no_utf_8_are_read_as_in_zip_archives(write) -> None:
    content = tarred({"w0lf/1.jpg": b"a"}, tarfile.USTAR_FORMAT).replace(b"w0lf", b"w\x94lf")
    header = bytearray(content[:512])
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    [entry] = entries_of(write(bytes(header) + content[512:]))
    assert (entry.name, entry.class_name) == ("wölf/1.jpg", "wölf")


def test_a_tar_without_the_mark_of_posix_is_a_tar(write) -> None:
    content = bytearray(tarred({"bear/1.jpg": b"a"}, tarfile.USTAR_FORMAT))
    content[257:512] = bytes(255)
    content[148:156] = b" " * 8
    content[148:156] = b"%06o\0 " % sum(content[:512])
    assert contents_of(write(bytes(content))) == {"bear/1.jpg": b"a"}


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.7, 0.999])
def test_a_truncated_archive_is_refused_in_one_line(write, kind: str, share: float) -> None:
    whole = FORMATS[kind](FILES).rstrip(b"\0")
    path = write(whole[: int(share * len(whole))])
    with pytest.raises(InputError, match=NOT_READABLE) as caught:
        entries_of(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [b"", b"PK", b"\x1f\x8b a tar.gz by its looks", b"Rar!\x1a\x07" * 99, bytes(10240)],
    ids=["empty", "short", "no gzip", "rar", "zeros"],
)
def test_what_is_no_archive_is_refused_in_one_line(write, content: bytes) -> None:
    path = write(content)
    with pytest.raises(InputError, match=NOT_READABLE):
        entries_of(path)


@pytest.mark.parametrize("kind", COMPRESSED)
def test_what_is_compressed_but_no_tar_is_refused(write, kind: str) -> None:
    path = write(COMPRESSED[kind](b"a photo, perhaps" * 100))
    with pytest.raises(InputError, match="a header in it is damaged"):
        entries_of(path)


def test_a_wrong_checksum_at_the_very_end_is_noticed(write) -> None:
    content = bytearray(COMPRESSED["tar.gz"](tarred(FILES)))
    content[-8] ^= 1
    with pytest.raises(InputError, match="incorrect data check"):
        entries_of(write(bytes(content)))
