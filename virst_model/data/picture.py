"""Pictures of a data set: whether a mask fits them, labels in them, which are there."""

import os
from pathlib import Path

import numpy as np

from virst_model.errors import FileError
from virst_model.frames import is_left_by_people
from virst_model.image_file import open_image, picture_size


def read_labels(path: Path) -> np.ndarray:
    """The values of a label picture, integers (H, W), as a viewer would turn them.

    Palette pictures give their indices. Raises FileError where it has more than one channel.
    """
    with open_image(path) as image:
        labels = np.asarray(image)
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

    Those that systems leave behind are not among them. Raises FileError where it is not a folder;
    `what` says what should be there.
    """
    try:
        return frozenset(filter(is_left_by_people, os.listdir(folder)))
    except OSError as error:
        reason = error.strerror or str(error)
        raise FileError(folder, f"{reason}; {what} should be there") from None
