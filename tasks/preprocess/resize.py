"""Photos of any shape made square, and small.

Bicubic (Catmull-Rom), widened for antialiasing: EfficientNet's ImageNet weights were trained on
bicubic pixels, and a photo shrunk without antialiasing turns fur into noise. The same filter as
Pillow's ``BICUBIC``, from a library whose vector code takes a fifth of the time; results differ
by a grey level or two at most.
"""

import numpy as np
from cykooz_resizer import (
    CropBox,
    FilterType,
    ImageData,
    PixelType,
    ResizeAlg,
    ResizeOptions,
    Resizer,
)

from tasks.contract.config import Fit
from tasks.contract.photos import Pixels

_BICUBIC = ResizeAlg.convolution(FilterType.catmull_rom)


def resized(pixels: Pixels, side: int, fit: Fit = "squash") -> Pixels:
    """RGB pixels (rows, columns, 3) as uint8 (side, side, 3).

    Args:
        fit: ``squash`` takes the whole picture, ``crop`` the largest square in its middle.
    """
    height, width = pixels.shape[:2]
    options = ResizeOptions(resize_alg=_BICUBIC, use_alpha=False)
    if fit == "crop":
        square = min(width, height)
        options.crop_box = CropBox((width - square) / 2, (height - square) / 2, square, square)
    source = ImageData(width, height, PixelType.U8x3, pixels.tobytes())
    target = ImageData(side, side, PixelType.U8x3)
    Resizer().resize(source, target, options)
    return np.frombuffer(target.get_buffer(), np.uint8).reshape(side, side, 3)
