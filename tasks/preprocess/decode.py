"""One photo, from the bytes of a file to pixels. What a file is, its content says, not its name."""

import hashlib
import io
import re
from dataclasses import dataclass

import numpy as np
from PIL import Image, UnidentifiedImageError

from tasks.contract.photos import Pixels
from tasks.preprocess.near_duplicates import perceptual_hash

#: The only decoders that bytes from outside may reach, each with how its files begin.
FORMATS = {
    "JPEG": re.compile(rb"\xff\xd8\xff"),
    "PNG": re.compile(rb"\x89PNG\r\n\x1a\n"),
    "WEBP": re.compile(rb"RIFF....WEBP", re.DOTALL),
    "GIF": re.compile(rb"GIF8[79]a"),
    "BMP": re.compile(rb"BM"),
}
#: A photo with a shorter side is a placeholder or an icon; there is nothing in it to learn.
MIN_SIDE = 32
#: Larger photos are refused before they are decoded, so that memory stays bounded (Pillow's limit).
MAX_PIXELS = 89_478_485

_EXIF_ORIENTATION = 0x0112
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
        photo: SHA-256 (hex) of the upright RGB pixels at full size.
        width, height: in pixels, upright.
        perceptual_hash: 64 bits that near duplicates nearly share.
        pixels: uint8 (image_size, image_size, 3), RGB.
    """

    photo: str
    width: int
    height: int
    perceptual_hash: int
    pixels: Pixels


class UnusableError(Exception):
    """A file that cannot be used; ``reason`` is a word or two to count by."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


def decode(content: bytes, image_size: int) -> Decoded:
    """Decode a whole file and resize it to a square, as the reference lab does (no cropping).

    Bicubic, widened for antialiasing, because EfficientNet's ImageNet weights were trained on
    bicubic pixels and a photo shrunk without antialiasing turns fur into noise.

    Raises:
        UnusableError: why it is refused.
    """
    image = _upright_rgb(_decoded(content))
    # Boxes first where there are many times more pixels than needed: three times as fast, and
    # Pillow's own documentation calls a gap of 3 nearly indistinguishable.
    square = image.resize((image_size, image_size), Image.Resampling.BICUBIC, reducing_gap=3.0)
    return Decoded(
        photo=_identity(image),
        width=image.width,
        height=image.height,
        perceptual_hash=perceptual_hash(image),
        pixels=np.asarray(square),
    )


def _decoded(content: bytes) -> Image.Image:
    """The first frame, wholly decoded, in the file's own colours."""
    if not content:
        raise UnusableError("empty", "the file has no bytes")
    try:
        image = Image.open(io.BytesIO(content), formats=tuple(FORMATS))
        _require_sensible_size(image)
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


def _require_sensible_size(image: Image.Image) -> None:
    size = f"{image.width} x {image.height} pixels"
    if image.width * image.height > MAX_PIXELS:
        raise UnusableError("too large", f"{size}, more than {MAX_PIXELS:,} in all")
    if min(image.size) < MIN_SIDE:
        raise UnusableError("too small", f"{size}, a side is shorter than {MIN_SIDE}")


def _unidentified(content: bytes) -> UnusableError:
    for name, beginning in FORMATS.items():
        if beginning.match(content):
            return UnusableError("damaged", f"begins like a {name} file, but has no valid header")
    return UnusableError(
        "not an image", f"begins with {content[:16]!r}: none of {', '.join(FORMATS)}"
    )


def _stopped(error: Exception) -> UnusableError:
    """A decoder's complaint, without anything that differs from one execution to the next."""
    complaint = re.sub(r" at 0x[0-9a-f]+", "", str(error)).replace("\n", " ")[:200]
    cut_short = "truncated" in complaint.lower() or isinstance(error, EOFError)
    return UnusableError("truncated" if cut_short else "damaged", complaint or type(error).__name__)


def _upright_rgb(image: Image.Image) -> Image.Image:
    """8-bit RGB: transparency on white, 16-bit grey scaled down, the camera's rotation applied."""
    orientation = _orientation(image)
    if image.mode.startswith("I"):  # 16-bit grey, which Pillow would clip to white
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    image = image.convert("RGB")
    return image.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else image


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_EXIF_ORIENTATION, 1))
    except Exception:  # noqa: BLE001 broken EXIF raises anything, and does not spoil the pixels
        return 1


def _identity(image: Image.Image) -> str:
    """Digest of the pixels, strip by strip: a copy of a large photo would double its memory."""
    digest = hashlib.sha256(f"{image.width}x{image.height} RGB\n".encode())
    for top in range(0, image.height, 256):
        strip = image.crop((0, top, image.width, min(top + 256, image.height)))
        digest.update(strip.tobytes())
    return digest.hexdigest()
