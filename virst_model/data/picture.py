"""Pictures of a data set: their size without decoding them, labels in them, which are there."""

import os
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from virst_model.errors import FileError

# EXIF orientations that lie on their side.
_ORIENTATION = 0x0112
_ON_ITS_SIDE = (5, 6, 7, 8)


def picture_size(path: Path) -> tuple[int, int]:
    """(H, W) as a viewer shows it, from the file's header. Raises FileError."""
    with _opened(path) as image:
        turned = image.getexif().get(_ORIENTATION) in _ON_ITS_SIDE
        return image.size if turned else image.size[::-1]


def read_labels(path: Path) -> np.ndarray:
    """The values of a label picture, integers (H, W), as a viewer would turn them.

    Palette pictures give their indices. Raises FileError where it has more than one channel.
    """
    with _opened(path) as image:
        try:
            labels = np.asarray(ImageOps.exif_transpose(image))
        except (OSError, SyntaxError, ValueError) as error:
            raise FileError(path, f"cannot be read ({error})") from None
    if labels.ndim != 2:
        raise FileError(path, f"is no label picture: mode {image.mode}, must be one channel")
    return labels


def check_size(size: tuple[int, int], picture: Path) -> None:
    """Raises FileError where masks of `size` (H, W) do not fit `picture`."""
    real = picture_size(picture)
    if size != real:
        theirs, its = (f"{width}x{height}" for height, width in (size, real))
        raise FileError(picture, f"is {its}, but its mask is {theirs}")


def fitting(mask: np.ndarray, picture: Path) -> np.ndarray:
    """`mask` (H, W) itself; raises FileError where it has not the size of `picture`."""
    check_size(mask.shape, picture)
    return mask


def names_in(folder: Path, what: str) -> frozenset[str]:
    """The names of the files in `folder`, asked for once: a look at each would take minutes.

    Raises FileError where it is not a folder; `what` says what should be there.
    """
    try:
        return frozenset(os.listdir(folder))
    except OSError as error:
        reason = error.strerror or str(error)
        raise FileError(folder, f"{reason}; {what} should be there") from None


def _opened(path: Path) -> Image.Image:
    try:
        return Image.open(path)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        reason = error.strerror if isinstance(error, FileNotFoundError) else "is no picture"
        raise FileError(path, str(reason)) from None
