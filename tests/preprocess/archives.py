"""Small archives of drawn photos for the tests of fetch and preprocess."""

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image


def picture(seed: int, width: int = 64, height: int = 48) -> Image.Image:
    """A smooth random picture; pictures of different seeds are no near duplicates."""
    cells = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return Image.fromarray(cells).resize((width, height), Image.Resampling.BICUBIC)


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def photo(seed: int) -> bytes:
    return encoded(picture(seed), "JPEG", quality=90)


def class_folders(photos_per_class: int = 12, classes: str = "abc") -> dict[str, bytes]:
    """``pets/<class>/<number>.jpg``, every photo different."""
    return {
        f"pets/{name}/{number:03}.jpg": photo(1000 * place + number)
        for place, name in enumerate(classes)
        for number in range(photos_per_class)
    }


def zip_of(files: dict[str, bytes], path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path
