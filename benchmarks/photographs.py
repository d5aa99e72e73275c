"""Synthetic photos of the real ones' size: 1.5 megapixels, about 300 KB of JPEG each.

Smooth colours that differ from photo to photo, under texture with the spectrum of natural pictures
(amplitude falling nearly as one over frequency; Field 1987, "Relations between the statistics of
natural images and the response properties of cortical cells"), so that a decoder has as much to do.
"""

import functools
import io
import os
import zipfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

#: Landscape, landscape, portrait: (rows, columns).
_SHAPES = ((1060, 1414), (1000, 1500), (1414, 1060))
_CANVAS = 2048
_FALLOFF = 1.25
_CONTRAST = 40
_QUALITY = 82


def photograph(seed: int) -> bytes:
    """A JPEG; each seed gives another photo."""
    random = np.random.default_rng(seed)
    rows, columns = _SHAPES[seed % len(_SHAPES)]
    cells = random.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    colours = Image.fromarray(cells).resize((columns, rows), Image.Resampling.BICUBIC)
    top, left = random.integers(0, _CANVAS - rows), random.integers(0, _CANVAS - columns)
    texture = _texture()[top : top + rows, left : left + columns, np.newaxis]
    pixels = np.clip(np.asarray(colours) // 2 + texture, 0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=_QUALITY)
    return buffer.getvalue()


def photographs(count: int) -> Iterator[bytes]:
    """So many photos, made on all cores."""
    with ProcessPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        # In rounds, because ``map`` would make and keep them all at once.
        for start in range(0, count, 256):
            yield from pool.map(photograph, range(start, min(start + 256, count)), chunksize=16)


def write_archive(path: Path, count: int, classes: int) -> None:
    """A zip of class folders, nested as Oregon Wildlife's is; photos are stored as they are."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for number, content in enumerate(photographs(count)):
            name = f"animals/animals/species_{number % classes:02}/{number:05}.jpg"
            archive.writestr(name, content)


@functools.cache
def _texture() -> NDArray[np.int16]:
    """Noise with the spectrum of natural pictures: int16 (canvas, canvas), about 64."""
    frequencies = np.fft.fftfreq(_CANVAS)
    radius = np.hypot(frequencies[:, np.newaxis], frequencies)
    radius[0, 0] = 1
    noise = np.random.default_rng(0).standard_normal((_CANVAS, _CANVAS))
    field = np.fft.ifft2(np.fft.fft2(noise) / radius**_FALLOFF).real
    return np.asarray(64 + _CONTRAST * field / field.std(), dtype=np.int16)
