"""COCO's annotation form: segmentations as polygons and run-length codes."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from pycocotools import mask as rle

from virst_model.data.picture import check_size
from virst_model.errors import FileError

# Polygons, or a run-length code {size, counts}, or a list of such codes.
Segmentation = list | dict

# A polygon of two corners has no area; pycocotools takes its four numbers for a box.
_LEAST_NUMBERS = 6


@contextmanager
def form_of(path: Path) -> Iterator[None]:
    """Turns what goes wrong where fields are missing or of another type into a FileError."""
    try:
        yield
    except KeyError as error:
        raise FileError(path, f"has an entry without {error}; get the file again") from None
    except (TypeError, AttributeError, ValueError, IndexError, OverflowError) as error:
        raise FileError(path, f"is not of its data set's form ({error})") from None


def is_empty(segmentation: object) -> bool:
    """Whether it is no Segmentation, or one that marks nothing that could be drawn."""
    parts = segmentation if isinstance(segmentation, list) else [segmentation]
    return not any(map(_is_drawn, parts))


def read_union(
    picture: Path, segmentations: list[Segmentation], size: tuple[int, int], frame: int
) -> np.ndarray:
    """A MaskReader of a still `picture`: everything that the segmentations mark.

    `size` is the (H, W) that they are made for. Raises FileError where it is not the picture's, or
    where pycocotools cannot read them.
    """
    check_size(size, picture)
    try:
        codes = [code for part in segmentations for code in _codes(part, size)]
        mask = rle.decode(rle.merge(codes)) if codes else np.zeros(size, np.uint8)
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise FileError(picture, f"its segmentation cannot be read ({error})") from None
    return mask.astype(bool)


def near(points: list, size: tuple[int, int]) -> np.ndarray:
    """Coordinates as an array; ValueError where one is further off a picture of `size` (H, W) than
    annotators slip. What draws polygons walks along every pixel of their edges."""
    coordinates = np.array(points, np.float64)
    if not np.all(np.abs(coordinates) <= 2 * max(size)):
        raise ValueError(f"polygon far outside of {size[1]}x{size[0]}")
    return coordinates


def _is_drawn(part: object) -> bool:
    """Whether it is a run-length code or a polygon with an area."""
    return isinstance(part, dict) or (isinstance(part, list) and len(part) >= _LEAST_NUMBERS)


def _codes(segmentation: Segmentation, size: tuple[int, int]) -> list[dict]:
    parts = [segmentation] if isinstance(segmentation, dict) else segmentation
    polygons = [near(p, size).tolist() for p in parts if isinstance(p, list) and _is_drawn(p)]
    codes = rle.frPyObjects(polygons, *size) if polygons else []
    for code in parts:
        if isinstance(code, dict):
            _check_code(code, size)
            # Counts are a list where nobody compressed them.
            listed = isinstance(code["counts"], list)
            codes.append(rle.frPyObjects(code, *size) if listed else code)
    return codes


def _check_code(code: dict, size: tuple[int, int]) -> None:
    """Raises ValueError where a code does not mean every pixel of a picture of `size` (H, W).

    pycocotools would give what was in memory before for those that it does not mean.
    """
    if tuple(code["size"]) != size:
        raise ValueError(f"run-length code of size {code['size']}, must be {list(size)}")
    counts = code["counts"]
    runs = counts if isinstance(counts, list) else _decompress(counts)
    if sum(runs) != size[0] * size[1] or min(runs) < 0:
        raise ValueError(f"run-length code of {sum(runs)} pixels, must be {size[0] * size[1]}")


def _decompress(counts: str | bytes) -> list[int]:
    """Lengths of the runs, as COCO's `rleFrString` (maskApi.c) has them: five bits a character,
    and from the fourth run on the difference to the one before the last."""
    runs: list[int] = []
    value = shift = 0
    for character in counts.encode() if isinstance(counts, str) else counts:
        bits = character - 48
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            value -= (bits & 16) << (shift - 4)
            runs.append(value + (runs[-2] if len(runs) > 2 else 0))
            value = shift = 0
    return runs
