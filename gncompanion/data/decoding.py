"""How an image file becomes pixels: one rule for every set that is a folder.

    turned        as its EXIF orientation says, as every viewer shows it
    grey, 1-bit, palette, CMYK, YCbCr     to RGB by Pillow's formulas, without colour profiles
    16 bits       the high byte: 0xABCD becomes 0xAB (of a PPM in colour, whose samples may end at any number,
                  Pillow scales to 255)
    transparent   laid on white: round((α · colour + (255 − α) · 255) / 255)
    animated      the first frame; of a TIFF the first page
    refused       by name: floating point, 32-bit and signed integers, since nothing says which is white; what
                  is damaged, empty, cut off, another kind of file, or larger than Pillow takes for safe

What a decoder finds odd but can read is a warning that names the file.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFile import ImageFile

__all__ = ["RULE", "decoded", "read_alike_before"]

RULE = 2  # raised when a change of the rule reads the same files to something else
FORMATS = ("BMP", "DIB", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")  # no PostScript: it runs a program
WHITE = (255, 255, 255, 255)
ORIENTATION, UPRIGHT = 0x0112, 1  # EXIF's tag, and the value of an image that need not be turned
TRANSPARENT = ("LA", "La", "PA", "RGBA", "RGBa")
EIGHT_BITS = ("1", "L", "P", "RGB", "CMYK", "YCbCr")
SIXTEEN_BITS = ("I;16", "I;16L", "I;16B", "I;16N")


def decoded(file: Path) -> Image:
    """Read one image file.

    Args:
        file: The file.

    Returns:
        The image, RGB, 8 bits a channel.

    Raises:
        ValueError: It cannot be read, or its values are of a kind that the rule refuses; names the file.
    """
    from PIL import Image

    with warnings.catch_warnings(record=True) as odd:
        warnings.simplefilter("always", UserWarning)
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            image = _read(file)
        except Exception as error:  # decoders raise whatever they come upon, and rarely name the file
            reason = " ".join(str(error).split()) or type(error).__name__
            raise ValueError(f"{file} cannot be read as an image: {reason}") from error
    for message in dict.fromkeys(str(warning.message) for warning in odd):
        warnings.warn(f"{file}: {message}", stacklevel=2)
    return image


def read_alike_before(file: Path) -> bool:
    """Tell from a file's header whether the first rule, which knew only Pillow's RGB, read the same pixels.

    Args:
        file: The file.

    Returns:
        True for sound files that are upright, opaque and of 8 bits a channel.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            with _opened(file) as image:
                upright = image.getexif().get(ORIENTATION, UPRIGHT) == UPRIGHT
                return upright and image.mode in EIGHT_BITS and "transparency" not in image.info
        except Exception:  # as above: it is read again, and refused there
            return False


def _opened(file: Path) -> ImageFile:
    from PIL import Image

    Image.init()
    return Image.open(file, formats=[name for name in FORMATS if name in Image.OPEN])


def _read(file: Path) -> Image:
    from PIL import Image, ImageOps

    with _opened(file) as image:
        sixteen = image.mode in SIXTEEN_BITS or (image.mode == "I" and image.format in ("PNG", "PPM"))
        if "transparency" in image.info and any("16" in str(tile[3]) for tile in image.tile):
            raise ValueError("one of its 16-bit colours is transparent: save it with 8 bits")
        turned = ImageOps.exif_transpose(image)
    if sixteen:
        return _high_byte(turned).convert("RGB")
    if turned.mode == "F" or turned.mode.startswith("I"):
        kind = "floating point" if turned.mode == "F" else "signed or of 32 bits"
        raise ValueError(f"its values are {kind}, and nothing says which is white: save it with 8 or 16 bits")
    if turned.mode in TRANSPARENT or "transparency" in turned.info:
        above = turned.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", above.size, WHITE), above).convert("RGB")
    return turned.convert("RGB")


def _high_byte(image: Image) -> Image:
    import numpy as np
    from PIL import Image

    return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
