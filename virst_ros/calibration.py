"""What a camera's lens does: from its field of view, or a file of camera_calibration. Knows no
ROS."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
import math
from pathlib import Path
from typing import Any

import yaml

from virst_model.errors import FileError
from virst_model.text_file import read_text

PLUMB_BOB = "plumb_bob"
_URL = "file://"
# Key of the file -> its rows and columns; the number of coefficients is the model's.
_MATRICES = {"camera_matrix": (3, 3), "rectification_matrix": (3, 3), "projection_matrix": (3, 4)}
_COEFFICIENTS = "distortion_coefficients"
_EYE = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


@dataclass(frozen=True)
class Calibration:
    """Of pictures of one size, as sensor_msgs/CameraInfo has it; matrices row by row.

    Attributes:
        width, height: in pixels.
        model: of the distortion.
        d: its coefficients.
        k: camera matrix, 3x3; the middle of the first pixel is at 0.
        r: rectification, 3x3.
        p: projection, 3x4.
    """

    width: int
    height: int
    model: str
    d: tuple[float, ...]
    k: tuple[float, ...]
    r: tuple[float, ...]
    p: tuple[float, ...]

    def scaled(self, width: int, height: int) -> Calibration:
        """Of the same pictures at another size."""
        if (width, height) == (self.width, self.height):
            return self
        x, y = width / self.width, height / self.height
        k, p = (_scaled(matrix, x, y) for matrix in (self.k, self.p))
        return Calibration(width, height, self.model, self.d, k, self.r, p)

    def has_shape_of(self, width: int, height: int) -> bool:
        """Whether pictures of that size are of its shape, to a pixel."""
        return abs(self.width * height - self.height * width) <= max(self.width, self.height)


def of_field_of_view(width: int, height: int, degrees: float) -> Calibration:
    """A lens without distortion and square pixels, which sees so far from left to right."""
    focal = width / 2 / math.tan(math.radians(degrees) / 2)
    x, y = (width - 1) / 2, (height - 1) / 2
    k = (focal, 0.0, x, 0.0, focal, y, 0.0, 0.0, 1.0)
    return Calibration(width, height, PLUMB_BOB, (0.0,) * 5, k, _EYE, _projection(k))


def read_calibration(path: str) -> Calibration:
    """A YAML file as camera_calibration and camera_info_manager write it; a path or file:///PATH.

    Without rectification and projection, which one camera does not need, these do nothing.

    Raises:
        FileError: it cannot be read, or a value in it, which is named, cannot be used.
    """
    file = Path(path.removeprefix(_URL))
    try:
        content = yaml.safe_load(read_text(file))
    except (yaml.YAMLError, RecursionError) as error:
        raise FileError(file, f"is not YAML ({error})") from None
    if not isinstance(content, Mapping):
        raise FileError(file, "is no calibration: it has no camera_matrix")
    k = _matrix(file, content, "camera_matrix")
    if min(k[0], k[4]) <= 0:
        raise FileError(file, f"camera_matrix has focal lengths of {k[0]:g} and {k[4]:g}")
    return Calibration(
        _length(file, content, "image_width"),
        _length(file, content, "image_height"),
        str(content.get("distortion_model") or PLUMB_BOB),
        _coefficients(file, content),
        k,
        _matrix(file, content, "rectification_matrix", _EYE),
        _matrix(file, content, "projection_matrix", _projection(k)),
    )


def _length(file: Path, content: Mapping[str, Any], key: str) -> int:
    value = content.get(key)
    if type(value) is not int or value < 1:
        raise FileError(file, f"{key} must be a number of pixels, not {value!r}")
    return value


def _matrix(
    file: Path, content: Mapping[str, Any], key: str, otherwise: tuple[float, ...] | None = None
) -> tuple[float, ...]:
    """Its numbers; `otherwise` where the file has no such key."""
    if key not in content and otherwise is not None:
        return otherwise
    rows, columns = _MATRICES[key]
    numbers = _numbers(content.get(key))
    if numbers is None or len(numbers) != rows * columns:
        found, count = content.get(key), rows * columns
        raise FileError(file, f"{key} must have data of {count} numbers, not {found!r}")
    return numbers


def _coefficients(file: Path, content: Mapping[str, Any]) -> tuple[float, ...]:
    if _COEFFICIENTS not in content:
        return (0.0,) * 5
    numbers = _numbers(content[_COEFFICIENTS])
    if numbers is None:
        found = content[_COEFFICIENTS]
        raise FileError(file, f"{_COEFFICIENTS} must have data of numbers, not {found!r}")
    return numbers


def _numbers(matrix: Any) -> tuple[float, ...] | None:
    """The finite numbers of {data: [...]}; None where it has others."""
    data = matrix.get("data") if isinstance(matrix, Mapping) else None
    if not isinstance(data, list):
        return None
    if not all(type(value) in (int, float) and math.isfinite(value) for value in data):
        return None
    return tuple(map(float, data))


def _projection(k: tuple[float, ...]) -> tuple[float, ...]:
    return (*k[:3], 0.0, *k[3:6], 0.0, *k[6:], 0.0)


def _scaled(matrix: tuple[float, ...], x: float, y: float) -> tuple[float, ...]:
    """Of a 3x3 or 3x4 matrix to pixels. A pixel's middle, not its corner, is at a whole number."""
    columns = len(matrix) // 3
    across, down, rest = (matrix[row * columns :][:columns] for row in range(3))
    moved_x = tuple(value * x + w * (x - 1) / 2 for value, w in zip(across, rest))
    moved_y = tuple(value * y + w * (y - 1) / 2 for value, w in zip(down, rest))
    return (*moved_x, *moved_y, *rest)
