"""The sample archive: photos drawn by this project, for a first run without any data.

Six "species" are drawn in a few strokes on a noisy landscape, and among them lies one of each
thing that makes real archives hard: duplicates, mislabelled copies, truncated files, pages named
.jpg, odd colour modes. The archive says of itself that it is synthetic (``dataset.json``), and so
does every report made from it. The same seed gives the same bytes with the same Pillow.
"""

import io
import json
import math
import random
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

SAMPLE_NAME = "Synthetic sample (drawn by the project, not photographs)"
SPECIES_PHOTOS = 40
_SUPERSAMPLING = 2
_FOLDER = "synthetic_sample/synthetic_sample"

Draw = Callable[[ImageDraw.ImageDraw, random.Random, float, float, float], None]


def write_sample(path: Path, photos_per_species: int = SPECIES_PHOTOS, seed: int = 20) -> None:
    """Write the archive as a zip file."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, content in _files(photos_per_species, random.Random(seed)):
            archive.writestr(zipfile.ZipInfo(name, date_time=(2020, 1, 1, 0, 0, 0)), content)


def _files(photos_per_species: int, rng: random.Random) -> Iterator[tuple[str, bytes]]:
    card = {
        "name": SAMPLE_NAME,
        "synthetic": True,
        "note": "Drawn in code for a first run. Its accuracies say nothing about real photos.",
    }
    yield "dataset.json", json.dumps(card, indent=1).encode()
    yield "README.txt", b"Synthetic pictures drawn by embedded/sample.py of this project.\n"
    first: dict[str, Image.Image] = {}
    for species, draw in _SPECIES.items():
        for number in range(photos_per_species):
            picture = _picture(draw, rng)
            first.setdefault(species, picture)
            yield f"{_FOLDER}/{species}/{species}_{number:03}.jpg", _encoded(picture, "JPEG")
    yield from _oddities({name: first[name] for name in list(first)[:4]}, rng)


def _oddities(pictures: dict[str, Image.Image], rng: random.Random) -> Iterator[tuple[str, bytes]]:
    """What a scraped archive has beside good photos. Each name says what the file is."""
    (one, a), (two, _), (three, c), (four, d) = pictures.items()
    jpeg = _encoded(a, "JPEG")
    yield f"{_FOLDER}/{one}/exact_copy.jpg", jpeg
    yield f"{_FOLDER}/{two}/copy_under_another_class.jpg", _encoded(c, "JPEG")
    smaller = d.resize((d.width * 3 // 4, d.height * 3 // 4))
    yield f"{_FOLDER}/{four}/near_copy.jpg", _encoded(smaller, "JPEG", quality=60)
    yield f"{_FOLDER}/{one}/truncated.jpg", jpeg[: len(jpeg) // 2]
    yield f"{_FOLDER}/{two}/empty.jpg", b""
    yield f"{_FOLDER}/{three}/page.jpg", b"<!DOCTYPE html><title>404</title><p>Not found</p>\n"
    yield f"{_FOLDER}/{four}/tiny.jpg", _encoded(d.resize((7, 5)), "JPEG")
    fresh = [_picture(draw, rng) for draw in list(_SPECIES.values())[:4]]
    yield f"{_FOLDER}/{one}/png_with_alpha.jpg", _encoded(fresh[0].convert("RGBA"), "PNG")
    yield f"{_FOLDER}/{two}/cmyk.JPEG", _encoded(fresh[1].convert("CMYK"), "JPEG")
    yield f"{_FOLDER}/{three}/grey.jpeg", _encoded(fresh[2].convert("L"), "JPEG")
    exif = Image.Exif()
    exif[0x0112] = 6  # Orientation: turn a quarter clockwise to view
    turned = fresh[3].transpose(Image.Transpose.ROTATE_90)
    yield f"{_FOLDER}/{four}/exif_rotated.jpg", _encoded(turned, "JPEG", exif=exif)
    yield f"{_FOLDER}/{one}/webp.jpg", _encoded(_picture(_SPECIES[one], rng), "WEBP")
    yield f"{_FOLDER}/{one}/Thumbs.db", b"\xd0\xcf\x11\xe0"
    yield f"{_FOLDER}/.DS_Store", b"\0\0\0\1Bud1"
    yield f"__MACOSX/{_FOLDER}/{one}/._exact_copy.jpg", b"\0\5\x16\7"


def _encoded(picture: Image.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


def _picture(draw: Draw, rng: random.Random) -> Image.Image:
    """One animal somewhere in a landscape, with grain and blur like a photo's."""
    width, height = rng.choice([(400, 300), (360, 300), (300, 360), (420, 280)])
    scale = _SUPERSAMPLING
    canvas = _landscape(width * scale, height * scale, rng)
    size = min(width, height) * scale * rng.uniform(0.28, 0.42)
    x = width * scale * rng.uniform(0.38, 0.62)
    y = height * scale * rng.uniform(0.45, 0.65)
    draw(ImageDraw.Draw(canvas), rng, x, y, size)
    if rng.random() < 0.5:
        canvas = canvas.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    canvas = canvas.resize((width, height), Image.Resampling.LANCZOS)
    canvas = canvas.filter(ImageFilter.GaussianBlur(rng.uniform(0.2, 1.2)))
    grain = np.random.default_rng(rng.getrandbits(32)).normal(0, 9, (height, width, 1))
    pixels = np.clip(np.asarray(canvas, dtype=np.float32) + grain, 0, 255)
    return Image.fromarray(pixels.astype(np.uint8))


def _landscape(width: int, height: int, rng: random.Random) -> Image.Image:
    sky = np.array([rng.randint(120, 220), rng.randint(150, 225), rng.randint(170, 245)])
    ground = np.array([rng.randint(60, 150), rng.randint(80, 160), rng.randint(40, 110)])
    horizon = rng.uniform(0.3, 0.6)
    rows = np.linspace(0, 1, height)[:, None]
    blend = 1 / (1 + np.exp((horizon - rows) * 25))
    column = sky * (1 - blend) + ground * blend * (1.15 - 0.3 * rows)
    pixels = np.broadcast_to(column[:, None, :], (height, width, 3)).clip(0, 255)
    canvas = Image.fromarray(np.ascontiguousarray(pixels.astype(np.uint8)))
    pen = ImageDraw.Draw(canvas)
    for _ in range(rng.randint(60, 140)):  # grass and twigs
        x, y = rng.uniform(0, width), rng.uniform(horizon, 1) * height
        tone = tuple(int(value * rng.uniform(0.6, 1.3)) for value in ground)
        pen.line([(x, y), (x + rng.uniform(-15, 15), y - rng.uniform(8, 45))], tone, 3)
    return canvas


def _tone(rng: random.Random, red: int, green: int, blue: int) -> tuple[int, int, int]:
    light = rng.uniform(0.7, 1.25)
    values = (int(min(255, c * light + rng.uniform(-18, 18))) for c in (red, green, blue))
    return tuple(max(0, value) for value in values)  # type: ignore[return-value]


def _oval(
    pen: ImageDraw.ImageDraw, x: float, y: float, rx: float, ry: float, fill: tuple[int, int, int]
) -> None:
    pen.ellipse([x - rx, y - ry, x + rx, y + ry], fill)


def _owl(pen: ImageDraw.ImageDraw, rng: random.Random, x: float, y: float, s: float) -> None:
    body, pale = _tone(rng, 130, 95, 60), _tone(rng, 225, 200, 150)
    _oval(pen, x, y + 0.35 * s, 0.55 * s, 0.8 * s, body)
    _oval(pen, x, y - 0.5 * s, 0.5 * s, 0.45 * s, body)
    for side in (-1, 1):
        ear = [(x + side * 0.45 * s, y - 1.1 * s), (x + side * 0.5 * s, y - 0.6 * s)]
        pen.polygon([*ear, (x + side * 0.15 * s, y - 0.85 * s)], body)
        _oval(pen, x + side * 0.2 * s, y - 0.5 * s, 0.18 * s, 0.18 * s, (245, 205, 60))
        _oval(pen, x + side * 0.2 * s, y - 0.5 * s, 0.08 * s, 0.08 * s, (15, 15, 15))
    for row in range(4):
        _oval(pen, x, y + (0.1 + 0.2 * row) * s, 0.3 * s, 0.05 * s, pale)


def _deer(pen: ImageDraw.ImageDraw, rng: random.Random, x: float, y: float, s: float) -> None:
    coat = _tone(rng, 160, 110, 65)
    for leg in (-0.6, -0.4, 0.35, 0.55):
        pen.line([(x + leg * s, y + 0.1 * s), (x + leg * s, y + s)], coat, max(3, int(0.09 * s)))
    _oval(pen, x, y, 0.75 * s, 0.32 * s, coat)
    pen.line([(x + 0.55 * s, y), (x + 0.85 * s, y - 0.65 * s)], coat, int(0.2 * s))
    _oval(pen, x + 0.95 * s, y - 0.7 * s, 0.22 * s, 0.13 * s, coat)
    horn = _tone(rng, 90, 70, 50)
    for lean in (-0.3, 0.1):
        tip = (x + (0.85 + lean) * s, y - 1.35 * s)
        pen.line([(x + 0.85 * s, y - 0.8 * s), tip], horn, max(2, int(0.05 * s)))
        fork = (x + (0.85 + lean / 2) * s, y - 1.05 * s)
        pen.line([fork, (fork[0] + 0.2 * s, fork[1] - 0.2 * s)], horn, max(2, int(0.04 * s)))


def _fox(pen: ImageDraw.ImageDraw, rng: random.Random, x: float, y: float, s: float) -> None:
    coat = _tone(rng, 205, 105, 40)
    _oval(pen, x, y + 0.3 * s, 0.7 * s, 0.3 * s, coat)
    for leg in (-0.45, 0.4):
        pen.line([(x + leg * s, y + 0.3 * s), (x + leg * s, y + 0.85 * s)], coat, int(0.13 * s))
    _oval(pen, x - 0.95 * s, y + 0.15 * s, 0.45 * s, 0.17 * s, coat)
    _oval(pen, x - 1.3 * s, y + 0.12 * s, 0.14 * s, 0.11 * s, (240, 235, 225))
    head = (x + 0.7 * s, y - 0.1 * s)
    pen.polygon(
        [
            (head[0] - 0.35 * s, head[1] - 0.3 * s),
            (head[0] + 0.35 * s, head[1] - 0.3 * s),
            (head[0] + 0.05 * s, head[1] + 0.4 * s),
        ],
        coat,
    )
    for side in (-1, 1):
        pen.polygon(
            [
                (head[0] + side * 0.35 * s, head[1] - 0.7 * s),
                (head[0] + side * 0.38 * s, head[1] - 0.2 * s),
                (head[0] + side * 0.05 * s, head[1] - 0.3 * s),
            ],
            coat,
        )


def _snake(pen: ImageDraw.ImageDraw, rng: random.Random, x: float, y: float, s: float) -> None:
    skin, band = _tone(rng, 90, 120, 60), _tone(rng, 200, 180, 90)
    waves, phase = rng.uniform(1.5, 2.5), rng.uniform(0, 6)
    for step in range(120):
        t = step / 119
        px = x + (t - 0.5) * 2.6 * s
        py = y + 0.5 * s + 0.3 * s * math.sin(waves * 2 * math.pi * t + phase)
        thick = s * (0.06 + 0.09 * math.sin(math.pi * min(1, t + 0.12)))
        _oval(pen, px, py, thick, thick, band if step % 12 < 4 else skin)


def _heron(pen: ImageDraw.ImageDraw, rng: random.Random, x: float, y: float, s: float) -> None:
    plume, bill = _tone(rng, 125, 145, 170), _tone(rng, 215, 160, 50)
    for leg in (-0.08, 0.12):
        pen.line([(x + leg * s, y + 0.2 * s), (x + leg * s, y + 1.15 * s)], bill, int(0.06 * s))
    _oval(pen, x - 0.1 * s, y + 0.1 * s, 0.55 * s, 0.27 * s, plume)
    neck = [
        (x + 0.3 * s, y),
        (x + 0.5 * s, y - 0.4 * s),
        (x + 0.3 * s, y - 0.75 * s),
        (x + 0.45 * s, y - 1.05 * s),
    ]
    pen.line(neck, plume, int(0.13 * s), joint="curve")
    _oval(pen, x + 0.5 * s, y - 1.08 * s, 0.16 * s, 0.1 * s, plume)
    pen.polygon(
        [(x + 0.6 * s, y - 1.15 * s), (x + 0.6 * s, y - 1.02 * s), (x + 1.1 * s, y - 1.05 * s)],
        bill,
    )


def _bear(pen: ImageDraw.ImageDraw, rng: random.Random, x: float, y: float, s: float) -> None:
    fur, muzzle = _tone(rng, 70, 55, 45), _tone(rng, 150, 115, 80)
    _oval(pen, x, y + 0.25 * s, 0.95 * s, 0.55 * s, fur)
    for leg in (-0.65, -0.3, 0.3, 0.65):
        _oval(pen, x + leg * s, y + 0.75 * s, 0.17 * s, 0.35 * s, fur)
    for side in (-1, 1):
        _oval(pen, x + (0.85 + side * 0.25) * s, y - 0.55 * s, 0.13 * s, 0.13 * s, fur)
    _oval(pen, x + 0.85 * s, y - 0.2 * s, 0.42 * s, 0.4 * s, fur)
    _oval(pen, x + 0.95 * s, y - 0.08 * s, 0.2 * s, 0.15 * s, muzzle)


_SPECIES: dict[str, Draw] = {
    "synthetic_bear": _bear,
    "synthetic_deer": _deer,
    "synthetic_fox": _fox,
    "synthetic_heron": _heron,
    "synthetic_owl": _owl,
    "synthetic_snake": _snake,
}
