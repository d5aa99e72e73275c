"""One photo, from the bytes of a file to pixels. What a file is, its content says, not its name.

Nearly all photos are JPEGs of many more pixels than a network takes. Those are decoded at a scale:
every coefficient is read, so that damage anywhere is found, but the inverse transform makes only as
many pixels as are needed (libjpeg's scaled inverse DCT). That takes half the time of a full decode.
What it costs in pixels, and what the step as a whole takes, ``make bench`` measures.
"""

import hashlib
import io
import re
from dataclasses import dataclass

import numpy as np
import simplejpeg
from PIL import Image, UnidentifiedImageError

from tasks.contract.config import Fit
from tasks.contract.photos import Pixels
from tasks.preprocess.near_duplicates import thumbnail
from tasks.preprocess.resize import resized

#: The only decoders that bytes from outside may reach, each with how its files begin.
FORMATS = {
    "JPEG": re.compile(rb"\xff\xd8\xff"),
    "PNG": re.compile(rb"\x89PNG\r\n\x1a\n"),
    "WEBP": re.compile(rb"RIFF....WEBP", re.DOTALL),
    "GIF": re.compile(rb"GIF8[79]a"),
    "BMP": re.compile(rb"BM"),
}
#: Larger photos are refused before they are decoded, so that memory stays bounded (Pillow's limit).
MAX_PIXELS = 89_478_485

#: A scaled decode has at least so many pixels each way, whatever size is asked for: a photo's
#: identity and its thumbnail must not depend on that. Never change it: splits follow.
_SCALED_SIDE = 224
#: Pictures that were decoded whole are averaged down to no less than this many times
#: ``_SCALED_SIDE``; Pillow's documentation calls such a gap nearly indistinguishable from none.
_GAP = 3

#: Each scan of a progressive JPEG costs a pass over all pixels; programs write about ten.
_MOST_SCANS = 200
#: How libjpeg's complaints begin that tell of wrong pixels.
_CORRUPT = "Corrupt JPEG data"
_EXIF_ORIENTATION = 0x0112
#: A JPEG's segments begin with any number of bytes of ones and a marker: of EXIF, which has a sign
#: of its own besides, or of the coded pixels.
_FILLING = re.compile(rb"\xff+")
_EXIF, _EXIF_SIGN = b"\xe1", b"Exif\0\0"
_SCAN = b"\xda"
#: So far is EXIF looked for; colour profiles, the largest metadata, have 255 segments at most.
_MOST_SEGMENTS = 10_000
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True)
class Decoded:
    """A photo that can be used.

    Attributes:
        photo: SHA-256 (hex) of the upright RGB pixels: its identity.
        width, height: of the file's picture, in pixels, upright.
        thumbnail: what near duplicates are found by.
        pixels: uint8 (image_size, image_size, 3), RGB.
    """

    photo: str
    width: int
    height: int
    thumbnail: Pixels
    pixels: Pixels


class UnusableError(Exception):
    """A file that cannot be used; ``reason`` is a word or two to count by."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


def decode(content: bytes, image_size: int, fit: Fit = "squash", min_side: int = 32) -> Decoded:
    """Decode a whole file and make it a square.

    Args:
        fit: ``squash`` the whole photo into the square, or ``crop`` its middle out.
        min_side: a photo with a shorter side (pixels) is refused.

    Raises:
        UnusableError: why it is refused.
    """
    if not content:
        raise UnusableError("empty", "the file has no bytes")
    if FORMATS["JPEG"].match(content):
        _require_sensible_scans(content)
    picture = _scaled_jpeg(content, _SCALED_SIDE, min_side) or _whole(content, min_side)
    source = picture
    if picture.is_scaled and image_size > _SCALED_SIDE:
        source = _scaled_jpeg(content, image_size, min_side) or picture
    return Decoded(
        photo=picture.identity,
        width=picture.width,
        height=picture.height,
        thumbnail=thumbnail(picture.pixels),
        pixels=resized(source.pixels, image_size, fit),
    )


def _require_sensible_scans(content: bytes) -> None:
    # Bytes behind the picture, such as a telephone's film, have the marker once in 64 KB by chance.
    most = _MOST_SCANS + len(content) // 8192
    codes = np.frombuffer(content, np.uint8)  # bytes.count takes five times as long
    if np.count_nonzero((codes[:-1] == 0xFF) & (codes[1:] == _SCAN[0])) > most:
        raise UnusableError("too large", f"a JPEG of more than {most} scans")


@dataclass(frozen=True)
class _Picture:
    """Upright RGB ``pixels`` (rows, columns, 3) of a photo of ``width`` x ``height``."""

    identity: str
    width: int
    height: int
    pixels: Pixels
    is_scaled: bool


def _scaled_jpeg(content: bytes, side: int, min_side: int) -> _Picture | None:
    """A JPEG at the smallest scale whose sides are at least ``side``, or its own if shorter.

    None for everything else, and for a JPEG that its decoder has anything to complain about: then
    the other way has the verdict.

    Raises:
        UnusableError: a side is too short, or the coded pixels are damaged, of which Pillow, which
            fills in grey and noise, would not say a word.
    """
    if not FORMATS["JPEG"].match(content):
        return None
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(content)
        _require_sensible_size(width, height, min_side)
        if colours not in ("YCbCr", "Gray", "RGB"):
            return None  # inks, which only Pillow turns into light
        pixels = simplejpeg.decode_jpeg(content, "RGB", min_height=side, min_width=side)
    except ValueError as error:
        if not str(error).startswith(_CORRUPT):
            return None
        _whole(content, min_side)  # it may be cut short as well, which says more
        raise UnusableError("damaged", str(error)) from error
    is_scaled = pixels.shape[0] < height
    turn = _turn(_exif_of_jpeg(content))
    if turn is not None:
        pixels = np.asarray(Image.fromarray(pixels).transpose(turn))
        if turn in (  # those that lay a standing photo down
            Image.Transpose.TRANSPOSE,
            Image.Transpose.TRANSVERSE,
            Image.Transpose.ROTATE_90,
            Image.Transpose.ROTATE_270,
        ):
            width, height = height, width
    digest = _digest(width, height)
    digest.update(pixels)
    return _Picture(digest.hexdigest(), width, height, pixels, is_scaled)


def _exif_of_jpeg(content: bytes) -> bytes:
    """Its EXIF, if a segment before the coded pixels is that; Pillow would take longer to look."""
    place = 2
    for _ in range(_MOST_SEGMENTS):
        filled = _FILLING.match(content, place)
        if filled is None:
            break
        marker = filled.end()
        size = int.from_bytes(content[marker + 1 : marker + 3])
        if content.startswith(_SCAN, marker):
            break
        if content.startswith(_EXIF, marker) and content.startswith(_EXIF_SIGN, marker + 3):
            return content[marker + 3 : marker + 1 + size]
        place = marker + 1 + size
    return b""


def _whole(content: bytes, min_side: int) -> _Picture:
    """Any photo, decoded at full size by Pillow."""
    image = _upright_rgb(_decoded(content, min_side))
    digest = _digest(*image.size)
    for top in range(0, image.height, 256):  # a copy of a large photo would double its memory
        strip = image.crop((0, top, image.width, min(top + 256, image.height)))
        digest.update(strip.tobytes())
    width, height = image.size
    factor = min(image.size) // (_GAP * _SCALED_SIDE)
    if factor > 1:
        image = image.reduce(factor)
    return _Picture(digest.hexdigest(), width, height, np.asarray(image), is_scaled=False)


def _digest(width: int, height: int) -> "hashlib._Hash":
    """The beginning of an identity: pictures of equal bytes and another shape are others."""
    return hashlib.sha256(f"{width}x{height} RGB\n".encode())


def _decoded(content: bytes, min_side: int) -> Image.Image:
    """The first frame, wholly decoded, in the file's own colours."""
    try:
        image = Image.open(io.BytesIO(content), formats=tuple(FORMATS))
        _require_sensible_size(image.width, image.height, min_side)
        image.load()
    except (UnusableError, MemoryError):
        raise  # too little memory says nothing about the photo
    except Image.DecompressionBombError:
        raise UnusableError("too large", f"more than {MAX_PIXELS:,} pixels") from None
    except UnidentifiedImageError:
        raise _unidentified(content) from None
    except Exception as error:  # decoders raise anything on hostile bytes
        raise _stopped(error) from error
    return image


def _require_sensible_size(width: int, height: int, min_side: int) -> None:
    size = f"{width} x {height} pixels"
    if width * height > MAX_PIXELS:
        raise UnusableError("too large", f"{size}, more than {MAX_PIXELS:,} in all")
    if min(width, height) < min_side:
        raise UnusableError("too small", f"{size}, a side is shorter than min_side {min_side}")


def _unidentified(content: bytes) -> UnusableError:
    for name, beginning in FORMATS.items():
        if beginning.match(content):
            return UnusableError("damaged", f"begins like a {name} file, but has no valid header")
    first = content[:16]
    text = first.decode("ascii", "replace")
    shown = f'"{text}"' if first.isascii() and text.isprintable() else f"bytes {first.hex(' ')}"
    return UnusableError("not an image", f"begins with {shown}: none of {', '.join(FORMATS)}")


def _stopped(error: Exception) -> UnusableError:
    """A decoder's complaint, without anything that differs from one execution to the next."""
    complaint = re.sub(r" at 0x[0-9a-f]+", "", str(error)).replace("\n", " ")[:200]
    cut_short = "truncated" in complaint.lower() or isinstance(error, EOFError)
    return UnusableError("truncated" if cut_short else "damaged", complaint or type(error).__name__)


def _upright_rgb(image: Image.Image) -> Image.Image:
    """8-bit RGB: transparency on white, 16-bit grey scaled down, the camera's rotation applied."""
    turn = _turn(image.info.get("exif", b""))
    if image.mode.startswith("I"):
        image = _eight_bits(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    image = image.convert("RGB")
    return image if turn is None else image.transpose(turn)


def _eight_bits(image: Image.Image) -> Image.Image:
    """16-bit grey, which Pillow would clip to white, in 8 bits, its transparent shade in white."""
    shades = np.asarray(image)
    grey = (shades >> 8).astype(np.uint8)
    grey[shades == image.info.get("transparency")] = 255
    return Image.fromarray(grey)


def _turn(exif: bytes) -> Image.Transpose | None:
    """What makes a photo upright.

    Pillow's own ``getexif`` heeds XMP where EXIF is silent. Browsers and other viewers do not, so
    that whoever made the archive saw such a photo as it is stored.
    """
    found = Image.Exif()
    try:
        found.load(exif)
        return _UPRIGHT.get(int(found.get(_EXIF_ORIENTATION, 1)))
    except Exception:  # noqa: BLE001 broken EXIF raises anything, and does not spoil the pixels
        return None
