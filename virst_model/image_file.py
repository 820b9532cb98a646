"""A picture in a file: its pixels as a viewer shows them, its size, what a mask marks."""

from collections.abc import Iterator
from contextlib import contextmanager
import functools
import logging
import os
from pathlib import Path
import struct
import zlib

import numpy as np
from PIL import Image

from virst_model.encodings import eight_bits
from virst_model.errors import FileError

# What is transparent is shown on it, as browsers do.
BACKGROUND = (255, 255, 255, 255)
# How much of a cut-out's pixel has to be there, of 255.
HALF = 128
# What Pillow's readers raise for damaged files.
DAMAGE = (
    *(OSError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, EOFError),
    *(RuntimeError, struct.error, zlib.error, Image.DecompressionBombError),
)
# EXIF: how a viewer turns what the camera held otherwise.
_ORIENTATION = 0x0112
_TURNED = {
    2: Image.FLIP_LEFT_RIGHT,
    3: Image.ROTATE_180,
    4: Image.FLIP_TOP_BOTTOM,
    5: Image.TRANSPOSE,
    6: Image.ROTATE_270,
    7: Image.TRANSVERSE,
    8: Image.ROTATE_90,
}
_ON_ITS_SIDE = (5, 6, 7, 8)

_log = logging.getLogger(__name__)


def read_image(path: Path) -> np.ndarray:
    """Pixels as a viewer shows them, uint8 RGB (H, W, 3), turned as the file says.

    16-bit grey is scaled as mono16 is. Other numbers (floating point, 32 bits) have no scale: each
    picture is shown from its lowest, black, to its highest, white, and a warning says so. What is
    transparent is shown on BACKGROUND; an alpha channel that is empty says nothing.

    Pillow and not OpenCV, which fills the rest of a truncated JPEG with grey and says nothing.

    Raises:
        FileError: no such file, no image, or a damaged one.
    """
    with open_image(path) as image:
        if _is_numbers(image):
            grey_HW = _grey(image, path)
            return np.repeat(grey_HW[..., None], 3, axis=2)
        if "A" in image.getbands() or "transparency" in image.info:
            return _on_background(image.convert("RGBA"))
        return np.asarray(image.convert("RGB"))


def read_mask(path: Path) -> np.ndarray:
    """What a mask marks, bool (H, W): whatever is not black; of a cut-out, what is there.

    A cut-out has an alpha channel, and one colour where it is not transparent.

    Raises:
        FileError: no such file, no image, or a damaged one.
    """
    with open_image(path) as image:
        if _is_numbers(image):
            return np.asarray(image) != 0
        pixels_HW4 = np.asarray(image.convert("RGBA"))
    there_HW = pixels_HW4[..., 3] >= HALF
    marked_HW = pixels_HW4[..., :3].any(axis=2)
    if there_HW.all() or not there_HW.any():
        return marked_HW
    colours = pixels_HW4[there_HW, :3]
    return there_HW if (colours == colours[0]).all() else marked_HW & there_HW


def picture_size(path: Path) -> tuple[int, int]:
    """(H, W) as a viewer shows it, from the file's header. Raises FileError."""
    with _opened(path) as image:
        on_its_side = _orientation(image) in _ON_ITS_SIDE
        return image.size if on_its_side else image.size[::-1]


@contextmanager
def open_image(path: Path) -> Iterator[Image.Image]:
    """A picture of Pillow's, whole and turned as a viewer turns it; FileError as `read_image`."""
    with _opened(path) as image:
        image.load()
        method = _TURNED.get(_orientation(image))
        # A turned copy does not know where it is from.
        turned = image if method is None else image.transpose(method)
        turned.format = image.format
        yield turned


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    try:
        with Image.open(path) as image:
            yield image
    except DAMAGE as error:
        reason = str(error).replace(f"'{path}'", "it") or type(error).__name__
        if isinstance(error, OSError) and error.errno:
            reason = os.strerror(error.errno)
        raise FileError(path, f"cannot be read ({reason})") from None


def _orientation(image: Image.Image) -> int:
    """Of the picture as it was held, 1 to 8; 1 where the EXIF data is damaged."""
    try:
        return image.getexif().get(_ORIENTATION, 1)
    except DAMAGE:
        return 1


def _is_numbers(image: Image.Image) -> bool:
    """Whether a pixel is one number of more than 8 bits."""
    return image.mode == "F" or image.mode.startswith("I")


def _grey(image: Image.Image, path: Path) -> np.ndarray:
    """uint8 (H, W)."""
    values_HW = np.asarray(image)
    # Older Pillows have 32 bits for a PNG's 16.
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PNG"):
        return eight_bits(values_HW.astype(np.uint16))
    _say_that_it_is_scaled(path.parent)
    finite = values_HW[np.isfinite(values_HW)].astype(np.float64)
    lowest, highest = (finite.min(), finite.max()) if finite.size else (0.0, 0.0)
    share_HW = (values_HW - lowest) / (highest - lowest or 1.0)
    return (255 * np.nan_to_num(share_HW, nan=0.0, posinf=1.0, neginf=0.0)).astype(np.uint8)


@functools.lru_cache
def _say_that_it_is_scaled(folder: Path) -> None:
    """Once for a folder, which may hold a video."""
    _log.warning(
        "%s: pictures of numbers that have no scale; each is shown from its lowest, black, to its "
        "highest, white",
        folder,
    )


def _on_background(image: Image.Image) -> np.ndarray:
    """uint8 RGB of an RGBA picture."""
    if image.getchannel("A").getbbox() is None:
        return np.asarray(image)[..., :3]
    ground = Image.new("RGBA", image.size, BACKGROUND)
    return np.asarray(Image.alpha_composite(ground, image).convert("RGB"))
