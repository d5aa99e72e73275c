"""What is a photo and of which class, and what must not be used, by name and by format."""

import io
import struct
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.contract.archive import open_archive
from tasks.contract.config import ArchiveLimits
from tasks.contract.errors import InputError
from tests.contract.archive.made import (
    COMPRESSED,
    FORMATS,
    LIMITS,
    contents_of,
    entries_of,
    member,
    refused_of,
    tarred,
    zipped,
)

FORMS = ["zip", "tar", "tar.gz"]


def classes_of(path: Path) -> dict[str, str]:
    return {entry.name: entry.class_name for entry in entries_of(path)}


@pytest.mark.parametrize("kind", FORMS)
def test_the_class_is_the_folder_that_a_photo_lies_in(write, kind: str) -> None:
    files = {"bear/1.jpg": b"", "a/b/wolf/2.png": b"", "a/b/wolf/3.jpg": b"", "a/bear/4.JPG": b""}
    assert classes_of(write(FORMATS[kind](files))) == {
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
    path = write(zipped(dict.fromkeys(["bear/1.jpg", *litter], b"")))
    assert classes_of(path) == {"bear/1.jpg": "bear"}
    assert refused_of(path) == {}


def test_a_photo_needs_no_honest_suffix(write) -> None:
    path = write(zipped({"bear/1.jpg": b"", "bear/2": b"", "bear/3.txt": b""}))
    assert set(classes_of(path)) == {"bear/1.jpg", "bear/2", "bear/3.txt"}


def test_backslashes_of_windows_programs_separate_folders(write) -> None:
    content = zipped({"bear\\1.jpg": b"photo"})
    assert classes_of(write(content)) == {"bear\\1.jpg": "bear"}
    assert contents_of(write(content)) == {"bear\\1.jpg": b"photo"}


@pytest.mark.parametrize("kind", FORMS)
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("/2.jpg", "absolute path"),
        ("/etc/bear/2.jpg", "absolute path"),
        ("C:/bear/2.jpg", "absolute path"),
        ("c:\\bear\\2.jpg", "absolute path"),
        ("\\\\server\\bear\\2.jpg", "absolute path"),
        ("../2.jpg", "path with .."),
        ("../../wolf/2.jpg", "path with .."),
        ("bear/../2.jpg", "path with .."),
        ("bear\\..\\..\\wolf\\2.jpg", "path with .."),
        ("bear/2\n.jpg", "control characters"),
        ("be\x1b[31mar/2.jpg", "control characters"),
        ("bear/\u202egpj.exe", "control characters"),
        ("bear/2\u2028.jpg", "control characters"),
        (f"bear/{'n' * 256}", "name too long"),
        ("bear/" + "ö" * 128, "name too long"),
        ("bear/" + "n/" * 2500 + "2.jpg", "name too long"),
    ],
)
def test_a_name_that_no_honest_program_writes_is_refused(
    write, kind: str, name: str, reason: str
) -> None:
    path = write(FORMATS[kind]({"bear/1.jpg": b"", name: b""}))
    assert classes_of(path) == {"bear/1.jpg": "bear"}
    with open_archive(path, "a", LIMITS) as archive:
        [refusal] = archive.survey().refused
    assert (refusal.reason, refusal.class_name) == (reason, "")
    assert refusal.entry == name[:4096]


def test_what_follows_a_nul_in_a_name_is_not_lost(write) -> None:
    content = zipped({"bear/1.jpg": b"", "bear/2.jpg\0.exe": b""})
    assert refused_of(write(content)) == {"bear/2.jpg\0.exe": "control characters"}


@pytest.mark.parametrize("kind", FORMS)
@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("other", ["bear/1.jpg", "./bear//1.jpg"])
def test_of_a_file_that_was_added_again_the_last_counts(write, kind: str, other: str) -> None:
    if kind == "zip":
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as made:
            made.writestr("bear/1.jpg", b"old")
            made.writestr(other, b"newer")
        content = buffer.getvalue()
    else:
        content = tarred([member("bear/1.jpg", b"old"), member(other, b"newer")])
        content = COMPRESSED[kind](content) if kind in COMPRESSED else content
    assert contents_of(write(content)) == {other: b"newer"}
    assert refused_of(write(content)) == {"bear/1.jpg": "repeated name"}


TAR_FAULTS = [
    ("link", {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"}),
    ("link", {"type": tarfile.LNKTYPE, "linkname": "bear/1.jpg"}),
    ("special file", {"type": tarfile.CHRTYPE, "devmajor": 1}),
    ("special file", {"type": tarfile.BLKTYPE}),
    ("special file", {"type": tarfile.FIFOTYPE}),
    ("special file", {"type": b"Z"}),
    ("sparse file", {"type": tarfile.GNUTYPE_SPARSE}),
    ("sparse file", {"pax_headers": {"GNU.sparse.map": "0,1", "GNU.sparse.size": "9" * 12}}),
    (
        "sparse file",
        {"pax_headers": {"GNU.sparse.major": "1", "GNU.sparse.name": "bear/2.jpg"}},
    ),
]


@pytest.mark.parametrize("kind", ["tar", *COMPRESSED])
@pytest.mark.parametrize(("reason", "fields"), TAR_FAULTS)
def test_what_is_no_plain_file_of_a_tar_is_refused_alone(
    write, kind: str, reason: str, fields: dict[str, object]
) -> None:
    content = tarred(
        [member("bear/0.jpg", b"0"), member("bear/2.jpg", **fields), member("bear/3.jpg", b"3")]
    )
    path = write(COMPRESSED[kind](content) if kind in COMPRESSED else content)
    assert refused_of(path) == {"bear/2.jpg": reason}
    assert contents_of(path) == {"bear/0.jpg": b"0", "bear/3.jpg": b"3"}


def test_a_sparse_file_with_a_long_map_is_passed_over_whole(write) -> None:
    sparse = bytearray(tarred([member("bear/2.jpg", type=tarfile.GNUTYPE_SPARSE)])[:512])
    sparse[482] = 1
    sparse[148:156] = b" " * 8
    sparse[148:156] = b"%06o\0 " % sum(sparse)
    more, last = bytearray(512), bytes(512)
    more[504] = 1
    path = write(bytes(sparse) + more + last + tarred({"bear/3.jpg": b"3"}))
    assert refused_of(path) == {"bear/2.jpg": "sparse file"}
    assert contents_of(path) == {"bear/3.jpg": b"3"}


@pytest.mark.parametrize(
    ("mode", "reason"),
    [(0o120777, "link"), (0o020644, "special file"), (0o010644, "special file")],
)
def test_what_is_no_plain_file_of_a_zip_is_refused_alone(write, mode: int, reason: str) -> None:
    info = zipfile.ZipInfo("bear/2.jpg")
    info.create_system, info.external_attr = 3, mode << 16
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as made:
        made.writestr("bear/1.jpg", b"1")
        made.writestr(info, b"/etc/passwd")
    assert refused_of(write(buffer.getvalue())) == {"bear/2.jpg": reason}


def test_an_encrypted_entry_is_refused_alone(write) -> None:
    content = bytearray(zipped({"bear/1.jpg": b"secret", "bear/2.jpg": b"open"}))
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + flags] |= 1
    assert refused_of(write(bytes(content))) == {"bear/1.jpg": "encrypted"}
    assert contents_of(write(bytes(content))) == {"bear/2.jpg": b"open"}


def test_a_compression_that_nothing_here_knows_is_told(write) -> None:
    content = bytearray(zipped({"bear/1.jpg": b"deflate64", "bear/2.jpg": b"open"}))
    struct.pack_into("<H", content, content.index(b"PK\x01\x02") + 10, 9)
    assert refused_of(write(bytes(content))) == {"bear/1.jpg": "unknown compression"}


def overlapping() -> bytes:
    """A bomb of Fifield's kind: every entry's bytes are those of the last one."""
    honest = zipped({"bear/0.jpg": b"honest"})
    end = honest.index(b"PK\x01\x02")
    content = bytearray(honest)
    records = []
    kernel = honest[:end]
    for number in range(1, 5):
        record = bytearray(honest[end : honest.index(b"PK\x05\x06")])
        record[46:56] = f"bear/{number}.jpg".encode()
        struct.pack_into("<L", record, 42, len(kernel))
        records.append(bytes(record))
    body = kernel + kernel.replace(b"bear/0", b"bear/1")
    directory = honest[end : honest.index(b"PK\x05\x06")] + b"".join(records)
    tail = bytearray(content[honest.index(b"PK\x05\x06") :])
    struct.pack_into("<HHLL", tail, 8, 5, 5, len(directory), len(body))
    return body + directory + bytes(tail)


def test_entries_that_share_their_bytes_are_all_refused(write) -> None:
    path = write(overlapping())
    assert refused_of(path) == {f"bear/{n}.jpg": "overlapping entries" for n in range(1, 5)}
    assert contents_of(path) == {"bear/0.jpg": b"honest"}


def test_an_entry_that_reaches_into_the_directory_is_refused(write) -> None:
    content = bytearray(zipped({"bear/1.jpg": b"stored"}))
    start = content.index(b"PK\x01\x02")
    struct.pack_into("<LL", content, start + 20, 60, 60)
    assert refused_of(write(bytes(content))) == {"bear/1.jpg": "overlapping entries"}


@pytest.mark.parametrize("kind", FORMATS)
def test_an_entry_larger_than_the_limit_is_refused(write, kind: str) -> None:
    limits = ArchiveLimits(max_entry_mb=1, max_compression_ratio=100_000)
    files = {"bear/1.jpg": bytes(1_000_001), "bear/2.jpg": bytes(1_000_000)}
    path = write(FORMATS[kind](files))
    assert refused_of(path, limits) == {"bear/1.jpg": "too large"}
    assert set(contents_of(path, limits)) == {"bear/2.jpg"}


def test_an_absurd_compression_is_refused_beyond_a_megabyte(write) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("bear/1.jpg", bytes(1_000_000))
        made.writestr("bear/2.jpg", bytes(1_000_001))
    path = write(buffer.getvalue())
    assert refused_of(path) == {"bear/2.jpg": "compression ratio"}
    assert refused_of(path, ArchiveLimits(max_compression_ratio=2000)) == {}


@pytest.mark.parametrize("kind", FORMATS)
def test_an_archive_with_too_many_entries_is_refused_as_a_whole(write, kind: str) -> None:
    path = write(FORMATS[kind]({f"bear/{number}.jpg": b"" for number in range(11)}))
    with pytest.raises(InputError, match=r"^the archive has more than 10 entries.*raise max_ent"):
        entries_of(path, ArchiveLimits(max_entries=10))
    assert len(entries_of(path, ArchiveLimits(max_entries=11))) == 11


@pytest.mark.parametrize("kind", FORMATS)
def test_an_archive_with_too_many_bytes_is_refused_as_a_whole(write, kind: str) -> None:
    path = write(FORMATS[kind]({"bear/1.jpg": bytes(range(250)) * 2000, "b/2.jpg": bytes(600_000)}))
    with pytest.raises(InputError, match=r"^the archive .*raise max_archive_gb"):
        entries_of(path, ArchiveLimits(max_archive_gb=0.001))


PIECES = ["a", "b", "/", "\\", ".", "..", "\0", "\n", "C:", " ", ".jpg", "__MACOSX", "ü"]
NAMES = st.lists(st.sampled_from(PIECES), max_size=12).map("".join) | st.text(
    st.characters(codec="utf-8"), max_size=40
)


@pytest.mark.filterwarnings("ignore:Duplicate name")
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    names=st.lists(NAMES.map(lambda name: f"{name}.jpg"), min_size=1, max_size=6),
    kind=st.sampled_from(["zip", "tar"]),
)
def test_whatever_names_there_are_only_photos_in_class_folders_get_through(
    write, tmp_path: Path, names: list[str], kind: str
) -> None:
    path = write(FORMATS[kind](dict.fromkeys(names, b"")))
    with open_archive(path, "a", LIMITS) as archive:
        survey = archive.survey()
    for entry in survey.entries:
        name = entry.name.replace("\\", "/")
        assert entry.class_name.strip()
        assert entry.class_name.isprintable() or not entry.class_name.isascii()
        assert not set(entry.class_name) & set("/\\\0\n")
        assert entry.class_name not in (".", "..")
        assert not name.startswith("/")
        assert ".." not in name.split("/")
        assert [part for part in name.split("/") if part not in ("", ".")][-2] == entry.class_name
    assert len(survey.entries) + len(survey.refused) <= len(names)
    assert list(tmp_path.iterdir()) == [path]
