"""No bytes can do worse to a reader than be refused, in bounded memory and time."""

import bz2
import io
import lzma
import os
import struct
import subprocess
import sys
import tarfile
import time
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from backports import zstd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.contract.archive import EntryError, open_archive
from tasks.contract.config import ArchiveLimits
from tasks.contract.errors import InputError
from tests.contract.archive.made import (
    COMPRESSED,
    FORMATS,
    LIMITS,
    entries_of,
    member,
    refused_of,
    tarred,
    zipped,
)

FILES = {
    "dataset.json": b'{"name": "x"}',
    "a/bear/1.jpg": b"stored" * 20,
    "a/bear/2.jpg": b"deflated" * 20,
    "a/wölf/3.jpg": b"bzip2" * 20,
    "a/wölf/4.jpg": b"lzma" * 20,
    f"{'long' * 30}/5.jpg": b"pax",
}
WHOLE = {kind: make(FILES) for kind, make in FORMATS.items()}


def read_all(path: Path) -> str:
    """Read whatever can be read; returns the complaint about the archive, if any."""
    try:
        with open_archive(path, "a", LIMITS) as archive:
            archive.card()
            survey = archive.survey()
            for entry in survey.entries:
                assert entry.class_name not in ("", "..")
            for _, read in archive.readers(survey.entries):
                with suppress(EntryError):
                    read()
    except InputError as error:
        return str(error)
    return ""


def damaged(content: bytes, changes: list[tuple[float, int]], cut: float) -> bytes:
    damaged = bytearray(content)
    for place, value in changes:
        damaged[int(place * len(content))] = value
    return bytes(damaged[: int(cut * len(content)) + 1])


PLACE = st.floats(0, 1, exclude_max=True)
CHANGES = st.lists(st.tuples(PLACE, st.integers(0, 255)), max_size=8)


@pytest.mark.parametrize("kind", FORMATS)
@settings(
    max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(changes=CHANGES, cut=st.just(1.0) | PLACE)
def test_damaged_archives_are_refused_and_never_crash(
    write, tmp_path: Path, kind: str, changes: list[tuple[float, int]], cut: float
) -> None:
    path = write(damaged(WHOLE[kind], changes, cut))
    complaint = read_all(path)
    assert not complaint or complaint.startswith(("a is not a readable archive", "a has more than"))
    assert "\n" not in complaint
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("kind", COMPRESSED)
@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(changes=CHANGES, cut=st.just(1.0) | PLACE)
def test_damaged_tars_in_sound_compression_are_refused_and_never_crash(
    write, kind: str, changes: list[tuple[float, int]], cut: float
) -> None:
    assert "\n" not in read_all(write(COMPRESSED[kind](damaged(WHOLE["tar"], changes, cut))))


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_tars_with_headers_of_any_fields_are_refused_and_never_crash(write, data) -> None:
    """Checksums are right here, so that nothing is refused for them alone."""
    content = bytearray(WHOLE["tar"])
    for start in range(0, len(content), 512):
        block = content[start : start + 512]
        if block[257:262] != b"ustar" or not data.draw(st.booleans()):
            continue
        field = data.draw(st.sampled_from([(0, 100), (100, 24), (124, 12), (156, 1), (345, 155)]))
        value = data.draw(
            st.binary(max_size=12)
            | st.sampled_from([b"77777777777", b"\xff" * 12, b"\x80" + b"\xff" * 11, b"-0001000"])
            | st.sampled_from([b"x", b"g", b"L", b"K", b"S", b"1", b"5", b"M"])
        )[: field[1]]
        block[field[0] : field[0] + len(value)] = value
        block[148:156] = b" " * 8
        block[148:156] = b"%06o\0 " % sum(block)
        content[start : start + 512] = block
    assert "\n" not in read_all(write(bytes(content)))


def deflated(size: int) -> tuple[bytes, int]:
    """So many zeros, compressed, and their checksum."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = bytes(1 << 20)
    crc, parts = 0, []
    for _ in range(size >> 20):
        crc = zlib.crc32(block, crc)
        parts.append(compressor.compress(block))
    return b"".join([*parts, compressor.flush()]), crc


def zip_with(content: bytes, method: int, declared: int, crc: int) -> bytes:
    """A zip of one entry that is compressed already and may lie about its size."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as made:
        made.writestr("bear/1.jpg", content)
    made_bytes = bytearray(buffer.getvalue())
    for signature, place in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        start = made_bytes.index(signature)
        struct.pack_into("<H", made_bytes, start + place, method)
        struct.pack_into("<LLL", made_bytes, start + place + 6, crc, len(content), declared)
    return bytes(made_bytes)


MUCH = bytes(40 << 20) + os.urandom(1000)


def lzma_of_zip(content: bytes) -> bytes:
    alone = lzma.compress(content, format=lzma.FORMAT_ALONE)
    return b"\x09\x04\x05\0" + alone[:5] + alone[13:]


@pytest.mark.parametrize(
    ("method", "compress"),
    [
        (8, lambda content: zlib.compress(content, wbits=-15)),
        (12, bz2.compress),
        (14, lzma_of_zip),
        (93, zstd.compress),
    ],
    ids=["deflate", "bzip2", "lzma", "zstd"],
)
def test_a_zip_that_lies_about_a_size_is_read_no_further_than_it_said(
    write, method: int, compress: Callable[[bytes], bytes]
) -> None:
    packed = compress(MUCH)
    path = write(zip_with(packed, method, len(packed), 0))
    tracemalloc.start()
    with pytest.raises(EntryError, match="it has more bytes than it declares"):
        read_the_only(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10 << 20, "LZMA may take 8 MiB for itself"
    path = write(zip_with(packed, method, len(MUCH), zlib.crc32(MUCH)))
    assert read_the_only(path) == MUCH


def test_a_zip_entry_with_fewer_bytes_or_another_checksum_is_unreadable(write) -> None:
    content, crc = deflated(1 << 20)
    for declared, checksum in (((1 << 20) + 1, crc), (1 << 20, crc ^ 1)):
        with pytest.raises(EntryError, match="unreadable entry: it"):
            read_the_only(write(zip_with(content, 8, declared, checksum)))


def test_a_zip_entry_that_compression_made_larger_is_unreadable(write) -> None:
    """Else a small photo could have gigabytes read for it."""
    content = zstd.compress(b"x") + b"\x50\x2a\x4d\x18\0\0\1\0" + bytes(1 << 16)
    with pytest.raises(EntryError, match="compressed it is larger than it is"):
        read_the_only(write(zip_with(content, 93, 1, zlib.crc32(b"x"))))


def read_the_only(path: Path) -> bytes:
    with open_archive(path, "a", ArchiveLimits(max_compression_ratio=100_000)) as archive:
        [(_, read)] = archive.readers(archive.survey().entries)
        return read()


def bomb(path: Path, compressor, size: int) -> None:
    """A compressed tar of one photo of so many zeros."""
    info = tarfile.TarInfo("bear/1.jpg")
    info.size = size
    block = bytes(1 << 20)
    with path.open("wb") as file:
        file.write(compressor.compress(info.tobuf()))
        for _ in range(size >> 20):
            file.write(compressor.compress(block))
        file.write(compressor.compress(bytes(1024)) + compressor.flush())


MEASURE = """
import resource, sys
from pathlib import Path
from tasks.contract.archive import open_archive
from tasks.contract.config import ArchiveLimits
from tasks.contract.errors import InputError
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    with open_archive(Path(sys.argv[1]), "a", ArchiveLimits()) as archive:
        print(len(archive.survey().entries))
except InputError as error:
    print(error)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10)
"""


def surveyed(path: Path) -> tuple[str, int]:
    """What a process of its own says of an archive, and the MB that its memory grew by."""
    answer = subprocess.run(
        [sys.executable, "-c", MEASURE, path], capture_output=True, text=True, timeout=60
    )
    assert answer.returncode == 0, answer.stderr
    said, grown = answer.stdout.splitlines()
    return said, int(grown)


@pytest.mark.parametrize("kind", ["gz", "bz2", "xz", "zst"])
def test_a_tar_that_expands_absurdly_is_stopped_early(tmp_path: Path, kind: str) -> None:
    compressor = {
        "gz": lambda: zlib.compressobj(6, wbits=31),
        "bz2": lambda: bz2.BZ2Compressor(1),
        "xz": lambda: lzma.LZMACompressor(preset=0),
        "zst": zstd.ZstdCompressor,
    }[kind]()
    bomb(tmp_path / "bomb", compressor, 300 << 20)
    assert (tmp_path / "bomb").stat().st_size < 1 << 20
    said, grown = surveyed(tmp_path / "bomb")
    assert said.startswith("a decompresses to more than its size and the limits allow: give ano")
    assert grown < 50


SKIPPED = b"\x50\x2a\x4d\x18" + bytes(4)  # a frame of zstd that holds nothing by definition


@pytest.mark.parametrize(
    "parts",
    [
        [COMPRESSED["tar.gz"](b"")],
        [COMPRESSED["tar.bz2"](b"")],
        [COMPRESSED["tar.xz"](b"")],
        [COMPRESSED["tar.zst"](b"")],
        [SKIPPED],
        [COMPRESSED["tar.zst"](b""), bytes(100)],
        [COMPRESSED["tar.zst"](bytes(1))],
    ],
    ids=["gz", "bz2", "xz", "zst", "zst to be skipped", "zst and zeros", "zst of a byte each"],
)
def test_endless_parts_of_hardly_anything_are_refused_soon(write, parts: list[bytes]) -> None:
    content = b"".join(parts)
    path = write(content * ((8 << 20) // len(content)))
    started = time.process_time()
    with pytest.raises(InputError, match=r"not a readable archive \(it is compressed in many more"):
        entries_of(path)
    assert time.process_time() - started < 3


def test_an_xz_that_wants_much_memory_is_refused(tmp_path: Path) -> None:
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 1 << 26}]
    content = bytearray(lzma.compress(tarred(FILES), filters=filters))
    place = content.index(b"\x21\x01", 12)  # the filter, and that its property is one byte
    content[place + 2] = 40  # 4 GiB
    size = (content[12] + 1) * 4
    struct.pack_into("<L", content, 12 + size - 4, zlib.crc32(content[12 : 12 + size - 4]))
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(InputError, match=r"not a readable archive \(Memory usage limit exceeded"):
        entries_of(tmp_path / "a")


def test_a_zip_with_millions_of_entries_is_stopped_before_they_are_made(tmp_path: Path) -> None:
    record = struct.pack("<4s42x", b"PK\x01\x02")
    directory = record * 1_100_000
    end = struct.pack("<4s4xHHLLH", b"PK\x05\x06", 1, 1, len(directory), 0, 0)
    (tmp_path / "many").write_bytes(directory + end)
    said, grown = surveyed(tmp_path / "many")
    assert said.startswith("a has more than 1,000,000 entries")
    assert grown < 200


def header(kind: bytes, size: int, **fields: object) -> bytes:
    return member("bear/1.jpg", type=kind, **fields)[0].tobuf()[:124] + _size(kind, size)


def _size(kind: bytes, size: int) -> bytes:
    block = bytearray(tarfile.TarInfo("bear/1.jpg").tobuf())
    block[124:136] = (
        b"%011o\0" % size if 0 <= size < 8**11 else size.to_bytes(12, "big", signed=size < 0)
    )
    if size >= 8**11:
        block[124] |= 0x80
    block[156:157] = kind
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block[124:])


END = bytes(1024)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (header(b"0", -512), "gives a size of -512 bytes"),
        (header(b"0", -(1 << 60)), "gives a size of -1,152,921"),
        (header(b"0", 1 << 80), "gives a size of 1,208,925"),
        (header(b"0", 1 << 40), "it is cut short"),
        (header(b"x", 1 << 33), "gives a size of 8,589,934,592 bytes"),
        (header(b"x", -1), "gives a size of -1 bytes"),
        (header(b"L", 1 << 33), "gives a size of 8,589,934,592 bytes"),
        (header(b"L", -1), "gives a size of -1 bytes"),
        (header(b"x", 512) + b"9" * 512, "extended header in it is damaged"),
        (header(b"x", 512) + b"0 a=b\n".ljust(512, b"1"), "extended header in it is damaged"),
        (header(b"x", 512) + b"6 a=b\n6 ab\n".ljust(512, b"\0"), "extended header in it is dam"),
        (header(b"0", 0) + b"no header".ljust(512, b"x"), "a header in it is damaged"),
    ],
)
@pytest.mark.parametrize("kind", ["tar", *COMPRESSED])
def test_a_header_that_cannot_be_true_ends_the_reading(
    write, kind: str, content: bytes, complaint: str
) -> None:
    content += END
    path = write(COMPRESSED[kind](content) if kind in COMPRESSED else content)
    with pytest.raises(
        InputError, match=r"^the archive is not a readable archive \(.*\): upload"
    ) as caught:
        entries_of(path)
    assert complaint in str(caught.value)


def test_headers_that_python_itself_chokes_on_take_no_time(write) -> None:
    """A megabyte of digits (CVE-2024-6232), and headers upon headers (recursion)."""
    digits = b"1" * ((1 << 20) - 512)
    with pytest.raises(InputError, match="extended header in it is damaged"):
        entries_of(write(header(b"x", len(digits)) + digits + END))
    chain = (header(b"L", 10) + b"bear/9.jpg".ljust(512, b"\0")) * 20_000
    [entry] = entries_of(write(chain + tarred({"bear/1.jpg": b""})))
    assert entry.name == "bear/9.jpg"


def test_names_that_would_fill_the_memory_are_too_many(write) -> None:
    name = b"n" * ((1 << 20) - 512)
    one = header(b"L", len(name)) + name + header(b"0", 0)
    path = write(COMPRESSED["tar.gz"](one * 100 + END))
    limits = ArchiveLimits(max_entries=1000, max_compression_ratio=100_000)
    with pytest.raises(InputError, match="more than 1,000 entries, or names of such a length"):
        entries_of(path, limits)


def test_a_pax_size_counts_and_a_global_header_does_not(write) -> None:
    info, content = member("bear/1.jpg", b"x" * 700, pax_headers={"size": "700"})
    made = bytearray(tarred([(info, content), member("bear/2.jpg", b"2")]))
    assert [entry.size for entry in entries_of(write(bytes(made)))] == [700, 1]
    everywhere = tarfile.TarInfo.create_pax_global_header({"path": "wolf/9.jpg", "size": "9"})
    path = write(everywhere + made)
    assert [entry.name for entry in entries_of(path)] == ["bear/1.jpg", "bear/2.jpg"]


def test_a_zip64_archive_is_read(write) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as made:
        for number in range(3):
            with made.open(f"bear/{number}.jpg", "w", force_zip64=True) as file:
                file.write(os.urandom(1000))
    path = write(buffer.getvalue())
    assert [entry.size for entry in entries_of(path)] == [1000] * 3
    assert read_all(path) == ""
    assert refused_of(path) == {}


def test_a_local_name_other_than_the_directorys_is_not_trusted(write) -> None:
    content = zipped({"bear/1.jpg": b"x"}).replace(b"bear/1.jpg", b"wolf/1.jpg", 1)
    with pytest.raises(EntryError, match="another name than in the directory"):
        read_the_only(write(content))


def test_a_zip_that_claims_to_lie_on_many_disks_is_one_clear_line(tmp_path: Path) -> None:
    """``zipfile`` raises where it is only asked whether this is a zip; found by fuzzing."""
    content = zipped(FILES)
    end = content.rindex(b"PK\x05\x06")
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 776, 0, 2)
    path = tmp_path / "a"
    path.write_bytes(content[:end] + locator + content[end:])
    assert read_all(path).startswith("a is not a readable archive (zipfiles that span multiple")
