"""COCO's annotation form: the JSON file and its segmentations (polygons, run-length codes)."""

from collections.abc import Iterator
from contextlib import contextmanager
import json
from pathlib import Path

import numpy as np
from pycocotools import mask as rle

from virst_model.data.picture import fitting
from virst_model.data.record import DataError

# Polygons, or a run-length code {size, counts}, or a list of such codes.
Segmentation = list | dict

# A polygon of two corners has no area; pycocotools takes its four numbers for a box.
_LEAST_NUMBERS = 6


def read_json(path: Path) -> object:
    """What a JSON file holds. Raises DataError where it is not there or damaged."""
    try:
        with path.open(encoding="utf-8") as file:
            return json.load(file)
    except OSError as error:
        raise DataError(path, error.strerror or str(error)) from None
    except ValueError as error:
        raise DataError(path, f"is not JSON ({error}); get the file again") from None


@contextmanager
def form_of(path: Path) -> Iterator[None]:
    """Turns what goes wrong where fields are missing or of another type into a DataError."""
    try:
        yield
    except KeyError as error:
        raise DataError(path, f"has an entry without {error}; get the file again") from None
    except (TypeError, AttributeError, ValueError, IndexError) as error:
        raise DataError(path, f"is not of its data set's form ({error})") from None


def is_empty(segmentation: Segmentation) -> bool:
    """Whether it marks nothing that could be drawn."""
    return not isinstance(segmentation, dict) and not any(map(_is_drawn, segmentation))


def read_union(
    picture: Path, segmentations: list[Segmentation], size: tuple[int, int], frame: int
) -> np.ndarray:
    """A MaskReader of a still `picture`: everything that the segmentations mark.

    `size` is the (H, W) that they are made for. Raises DataError where it is not the picture's, or
    where pycocotools cannot read them.
    """
    try:
        codes = [code for one in segmentations for code in _codes(one, *size)]
        wrong = [code["size"] for code in codes if tuple(code["size"]) != size]
        if wrong:
            raise ValueError(f"run-length code of size {wrong[0]}, must be {list(size)}")
        mask = rle.decode(rle.merge(codes)) if codes else np.zeros(size, np.uint8)
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(picture, f"its segmentation cannot be read ({error})") from None
    return fitting(mask.astype(bool), picture)


def _is_drawn(part: object) -> bool:
    return isinstance(part, dict) or (isinstance(part, list) and len(part) >= _LEAST_NUMBERS)


def _codes(segmentation: Segmentation, height: int, width: int) -> list[dict]:
    parts = [segmentation] if isinstance(segmentation, dict) else segmentation
    polygons = [p for p in parts if isinstance(p, list) and _is_drawn(p)]
    codes = rle.frPyObjects(polygons, height, width) if polygons else []
    for code in parts:
        if isinstance(code, dict):
            # Counts are a list where nobody compressed them.
            listed = isinstance(code["counts"], list)
            codes.append(rle.frPyObjects(code, *code["size"]) if listed else code)
    return codes
