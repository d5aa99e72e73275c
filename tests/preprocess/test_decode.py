"""Decoding: every readable photo becomes upright RGB, everything else is refused with a reason."""

import io
import struct
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from tasks.preprocess.decode import FORMATS, MAX_PIXELS, UnusableError, decode
from tasks.preprocess.near_duplicates import perceptual_hashes
from tests.preprocess.archives import encoded, picture

#: As the step does: what Pillow warns of, decode decides on.
pytestmark = pytest.mark.filterwarnings("ignore:::PIL")

PICTURE = picture(1)
#: Large enough to be decoded at a scale.
LARGE = picture(2, 1000, 700)
SIZE = 32
MIN_SIDE = 32


def difference(content: bytes, expected: Image.Image, size: int = SIZE) -> float:
    """Mean absolute difference in grey levels between what was decoded and what it should be."""
    pixels = decode(content, size).pixels.astype(float)
    wanted = expected.convert("RGB").resize((size, size), Image.Resampling.BICUBIC)
    return float(np.abs(pixels - np.asarray(wanted, dtype=float)).mean())


def text_of(key: str, value: str) -> PngImagePlugin.PngInfo:
    info = PngImagePlugin.PngInfo()
    info.add_itxt(key, value)
    return info


@pytest.mark.parametrize(
    "content",
    [
        encoded(PICTURE, "JPEG", quality=95),
        encoded(PICTURE, "JPEG", quality=95, progressive=True),
        encoded(PICTURE.convert("CMYK"), "JPEG", quality=95),
        encoded(PICTURE, "PNG"),
        encoded(PICTURE.convert("RGBA"), "PNG"),
        encoded(PICTURE.quantize(256), "PNG"),
        encoded(PICTURE, "WEBP", quality=95),
        encoded(PICTURE, "WEBP", lossless=True),
        encoded(PICTURE, "GIF"),
        encoded(PICTURE, "GIF", save_all=True, append_images=[picture(2)]),
        encoded(PICTURE, "BMP"),
        encoded(PICTURE, "JPEG", quality=95) + b"bytes after the end",
    ],
)
def test_a_photo_is_known_by_its_content_whatever_the_format(content: bytes) -> None:
    assert difference(content, PICTURE) < 6


@pytest.mark.parametrize(
    "content",
    [encoded(PICTURE.convert("L"), "JPEG", quality=95), encoded(PICTURE.convert("L"), "PNG")],
)
def test_a_grey_photo_becomes_three_equal_channels(content: bytes) -> None:
    pixels = decode(content, SIZE).pixels
    assert np.array_equal(pixels[..., 0], pixels[..., 1])
    assert difference(content, PICTURE.convert("L")) < 3


def test_sixteen_bit_grey_is_scaled_not_clipped() -> None:
    grey = np.asarray(PICTURE.convert("L")).astype(np.uint16) * 257
    assert difference(encoded(Image.fromarray(grey)), PICTURE.convert("L")) < 1.5


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_is_white(mode: str) -> None:
    image = PICTURE.convert("RGBA")
    image.putalpha(Image.new("L", image.size, 0))
    if mode == "P":
        content = encoded(PICTURE.quantize(4), transparency=bytes(4))
    else:
        content = encoded(image.convert(mode))
    assert decode(content, SIZE).pixels.min() == 255


def test_the_transparent_shade_of_sixteen_bit_grey_is_white() -> None:
    grey = np.full((40, 40), 0x1234, np.uint16)
    grey[:, 20:] = 0x1200  # the same in eight bits
    pixels = decode(encoded(Image.fromarray(grey), transparency=0x1234), 40).pixels
    assert (pixels[:, :18] == 255).all()
    assert (pixels[:, 22:] == 0x12).all()


TURNS = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,  # the inverse of how a reader must turn it
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_the_cameras_rotation_is_undone(orientation: int, kind: str) -> None:
    turn = TURNS[orientation]
    stored = PICTURE if turn is None else PICTURE.transpose(turn)
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(stored, kind, exif=exif, **({} if kind == "PNG" else {"quality": 95}))
    decoded = decode(content, SIZE)
    assert (decoded.width, decoded.height) == PICTURE.size
    assert difference(content, PICTURE) < 6


@pytest.mark.parametrize("orientation", TURNS)
def test_the_cameras_rotation_is_undone_in_photos_decoded_at_a_scale(orientation: int) -> None:
    turn = TURNS[orientation]
    stored = LARGE if turn is None else LARGE.transpose(turn)
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(stored, "JPEG", exif=exif, quality=95)
    decoded = decode(content, 224)
    assert (decoded.width, decoded.height) == LARGE.size
    assert difference(content, LARGE, 224) < 3


def test_the_cameras_rotation_is_found_behind_other_metadata() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    content = encoded(LARGE.transpose(Image.Transpose.ROTATE_90), "JPEG", exif=exif, quality=95)
    profile = b"".join(
        b"\xff\xe2"
        + struct.pack(">H", 60_016)
        + b"ICC_PROFILE\0"
        + bytes([part, 4])
        + bytes(60_000)
        for part in (1, 2, 3, 4)
    )
    assert difference(content[:2] + profile + content[2:], LARGE, 224) < 3
    remark = b"\xff\xfe" + struct.pack(">H", 20) + b"of Exif\0\0 no trace"
    plain = encoded(LARGE, "JPEG", quality=95)
    assert difference(plain[:2] + remark + plain[2:], LARGE, 224) < 3


XMP = b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'


@pytest.mark.parametrize(
    "content",
    [
        encoded(PICTURE, "JPEG", quality=95, xmp=XMP),
        encoded(PICTURE, "JPEG", quality=95, xmp=XMP, exif=b"Exif\0\0MM\0*\0\0\0\x08\0\0"),
        encoded(PICTURE.convert("CMYK"), "JPEG", quality=95, xmp=XMP),
        encoded(PICTURE, "PNG", pnginfo=text_of("XML:com.adobe.xmp", XMP.decode())),
        encoded(PICTURE, "WEBP", quality=95, xmp=XMP),
    ],
    ids=["JPEG", "JPEG with EXIF", "CMYK", "PNG", "WEBP"],
)
def test_a_rotation_that_only_xmp_tells_of_is_heeded_in_no_format(content: bytes) -> None:
    assert difference(content, PICTURE) < 6


def test_bytes_that_fill_up_before_exif_do_not_hide_it() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    content = encoded(PICTURE.transpose(Image.Transpose.ROTATE_90), "JPEG", exif=exif, quality=95)
    place = content.index(b"\xff\xe1")
    for filling in (3, 1 << 20):
        filled = content[:place] + b"\xff" * filling + content[place:]
        assert difference(filled, PICTURE) < 6


@pytest.mark.parametrize("filling", [b"\xff", b"\xff\xe0\0\2"], ids=["bytes", "segments"])
def test_megabytes_that_fill_up_cost_no_time(filling: bytes) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    content = encoded(PICTURE, "JPEG", exif=exif)
    place = content.index(b"\xff\xe1")
    started = time.process_time()
    decode(content[:place] + filling * ((16 << 20) // len(filling)) + content[place:], SIZE)
    assert time.process_time() - started < 1


def test_a_jpeg_of_endless_scans_is_refused_before_it_is_decoded() -> None:
    content = encoded(LARGE.convert("L"), "JPEG", progressive=True)
    last = content[content.rindex(b"\xff\xda") : -2]
    with pytest.raises(UnusableError, match=r"more than \d+ scans") as caught:
        decode(content[:-2] + last * 10_000 + content[-2:], SIZE)
    assert caught.value.reason == "too large"
    assert decode(content[:-2] + last * 100 + content[-2:], SIZE).width == LARGE.width


def test_a_film_behind_a_photo_does_not_count_as_scans() -> None:
    film = np.random.default_rng(0).bytes(20 << 20)
    assert decode(encoded(LARGE, "JPEG") + film, SIZE).width == LARGE.width


def test_broken_exif_does_not_spoil_the_photo() -> None:
    content = encoded(PICTURE, "JPEG", quality=95, exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\x01\x12")
    assert difference(content, PICTURE) < 6


def test_the_identity_is_of_the_pixels_not_of_the_file() -> None:
    one = decode(encoded(PICTURE, "PNG"), 32)
    same = decode(encoded(PICTURE, "WEBP", lossless=True), 64)
    assert one.photo == same.photo
    assert np.array_equal(one.thumbnail, same.thumbnail)
    changed = PICTURE.copy()
    changed.putpixel((63, 47), (1, 2, 3))
    assert decode(encoded(changed), 32).photo != one.photo


@pytest.mark.parametrize("kind", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("progressive", [False, True])
def test_a_large_jpeg_is_what_a_full_decode_gives(kind: str, progressive: bool) -> None:
    content = encoded(LARGE.convert(kind), "JPEG", quality=90, progressive=progressive)
    assert difference(content, Image.open(io.BytesIO(content)), 224) < 1.5


@pytest.mark.parametrize("image_size", [32, 224, 225, 600])
def test_the_identity_does_not_depend_on_the_size_that_is_asked_for(image_size: int) -> None:
    content = encoded(LARGE, "JPEG", quality=90)
    one, other = decode(content, 100), decode(content, image_size)
    assert one.photo == other.photo
    assert np.array_equal(one.thumbnail, other.thumbnail)
    assert other.pixels.shape == (image_size, image_size, 3)


def test_a_large_image_size_is_not_filled_from_a_smaller_decode() -> None:
    fine = Image.fromarray((np.indices((1200, 1200)).sum(axis=0) % 8 // 4 * 255).astype(np.uint8))
    content = encoded(fine, "JPEG", quality=95)
    sharp = decode(content, 600).pixels.astype(int)
    assert sharp.std() > 60  # 300 pixels, the scale for 224, could not show these stripes


def test_metadata_is_no_part_of_the_identity() -> None:
    exif = Image.Exif()
    exif[0x010E] = "a bear"
    plain = encoded(LARGE, "JPEG", quality=90)
    assert decode(encoded(LARGE, "JPEG", quality=90, exif=exif), SIZE).photo == (
        decode(plain, SIZE).photo
    )


def test_an_identity_stays_the_same_for_ever() -> None:
    """If this fails after an update, its decoder makes other pixels: photos would change splits."""
    pinned = decode(Path(__file__).with_name("pinned.jpg").read_bytes(), SIZE)
    assert pinned.photo == "09f66bc394146900aaaf0ff14174bf4bfbf7ae016fa78e59006572e3bf906f07"
    assert perceptual_hashes([pinned.thumbnail]) == [3738065425949048079]


def test_the_identity_tells_shapes_of_equal_bytes_apart() -> None:
    grey = [Image.new("RGB", size, "grey") for size in ((64, 48), (48, 64), (32, 96))]
    assert len({decode(encoded(image), SIZE).photo for image in grey}) == 3


def test_large_photos_are_read_in_strips_to_the_last_row() -> None:
    tall = picture(3, 40, 600)
    changed = tall.copy()
    changed.putpixel((39, 599), (1, 2, 3))
    assert decode(encoded(tall), SIZE).photo != decode(encoded(changed), SIZE).photo


def test_the_whole_photo_is_squeezed_into_the_square() -> None:
    decoded = decode(encoded(picture(4, 100, 50)), SIZE)
    assert decoded.pixels.shape == (SIZE, SIZE, 3)
    assert decoded.pixels.dtype == np.uint8
    assert (decoded.width, decoded.height) == (100, 50)


def test_a_crop_is_the_largest_square_of_the_middle() -> None:
    bars = Image.new("RGB", (100, 50), "red")
    bars.paste("blue", (25, 0, 75, 50))
    cropped = decode(encoded(bars), 50, "crop").pixels.reshape(-1, 3)
    assert np.array_equal(np.unique(cropped, axis=0), [[0, 0, 255]])
    squashed = decode(encoded(bars), 50, "squash").pixels.reshape(-1, 3)
    assert len(np.unique(squashed, axis=0)) > 1


def test_shrinking_does_not_turn_fine_patterns_into_noise() -> None:
    checks = (np.indices((512, 512)).sum(axis=0) % 2 * 255).astype(np.uint8)
    pixels = decode(encoded(Image.fromarray(checks)), SIZE).pixels.astype(int)
    assert np.abs(pixels - 127).max() <= 2


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds almost nothing."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + checksum

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = chunk(b"IDAT", zlib.compress(bytes(100)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + data + chunk(b"IEND", b"")


JPEG, PNG = encoded(PICTURE, "JPEG"), encoded(PICTURE, "PNG")


@pytest.mark.parametrize(
    ("content", "reason", "detail"),
    [
        (b"", "empty", "the file has no bytes"),
        (b"<!DOCTYPE html><html>", "not an image", 'begins with "<!DOCTYPE html><"'),
        (b"\0" * 50, "not an image", "none of JPEG, PNG, WEBP, GIF, BMP"),
        (encoded(PICTURE, "TIFF"), "not an image", "none of"),
        (JPEG[: len(JPEG) // 2], "truncated", "truncated"),
        (JPEG[:-30], "truncated", "truncated"),
        (JPEG[:8], "truncated", "Truncated"),
        (b"\xff\xd8\xff\x00" * 20, "damaged", "begins like a JPEG file"),
        (JPEG[:700] + b"\xff\x00" * 60 + JPEG[820:], "damaged", "Corrupt JPEG data"),
        (PNG[: len(PNG) // 2], "truncated", "truncated"),
        (PNG[:60] + b"garbage" * 9 + PNG[123:], "damaged", "broken data stream"),
        (encoded(picture(1, MIN_SIDE - 1, 99)), "too small", "31 x 99 pixels"),
        (encoded(picture(1, 99, MIN_SIDE - 1)), "too small", "99 x 31 pixels"),
        (png_header(10_000, 8_948), "too large", "10000 x 8948 pixels"),
        (png_header(60_000, 60_000), "too large", f"{MAX_PIXELS:,} pixels"),
    ],
)
def test_what_cannot_be_used_is_refused_with_a_reason(
    content: bytes, reason: str, detail: str
) -> None:
    with pytest.raises(UnusableError, match=detail) as caught:
        decode(content, SIZE)
    assert caught.value.reason == reason


def test_how_small_a_photo_may_be_is_an_option() -> None:
    small = encoded(picture(1, 20, 30))
    assert decode(small, SIZE, min_side=20).width == 20
    with pytest.raises(UnusableError, match="shorter than min_side 21"):
        decode(small, SIZE, min_side=21)


def test_the_smallest_allowed_photo_is_taken() -> None:
    assert decode(encoded(picture(1, MIN_SIDE, MIN_SIDE)), SIZE).width == MIN_SIDE


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(FORMATS)), st.data())
def test_damaged_files_are_refused_alike_each_time(kind: str, data: st.DataObject) -> None:
    content = bytearray(encoded(PICTURE, kind))
    place = st.integers(0, len(content) - 1)
    for at, value in data.draw(st.lists(st.tuples(place, st.integers(0, 255)), max_size=6)):
        content[at] = value
    content = bytes(content[: data.draw(st.none() | place)])

    def outcome() -> str:
        try:
            return decode(content, SIZE).photo
        except UnusableError as error:
            return str(error)

    first = outcome()
    assert outcome() == first
    assert "0x" not in first.split(":")[0]
    assert "\n" not in first


@given(st.binary(max_size=200))
def test_bytes_of_any_kind_are_refused_and_never_crash(content: bytes) -> None:
    with pytest.raises(UnusableError):
        decode(content, SIZE)


def test_a_complaint_holds_nothing_that_differs_between_executions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def complain(*_: object, **__: object) -> None:
        raise OSError("cannot read <_io.BytesIO object at 0x7f9dc5321c60>\nof this file")

    monkeypatch.setattr(Image, "open", complain)
    with pytest.raises(UnusableError) as caught:
        decode(PNG, SIZE)
    assert caught.value.detail == "cannot read <_io.BytesIO object> of this file"


def test_too_little_memory_is_not_the_photos_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(Image, "open", exhausted)
    with pytest.raises(MemoryError):
        decode(PNG, SIZE)
