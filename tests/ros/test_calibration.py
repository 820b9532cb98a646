"""Calibrations of cameras: a picture's corner stays a corner at every size."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import yaml

from virst_model.errors import FileError
from virst_ros.calibration import of_field_of_view, read_calibration

K = [500.0, 0.0, 319.5, 0.0, 510.0, 239.5, 0.0, 0.0, 1.0]


def written(path, **changed) -> str:
    content = {
        "image_width": 640,
        "image_height": 480,
        "camera_matrix": {"rows": 3, "cols": 3, "data": K},
        "distortion_model": "rational_polynomial",
        "distortion_coefficients": {"rows": 1, "cols": 8, "data": [0.1] * 8},
    } | changed
    path.write_text(yaml.safe_dump({key: v for key, v in content.items() if v is not None}))
    return str(path)


def project(matrix, point):
    across, down, depth = np.reshape(matrix, (3, -1))[:, :3] @ point
    return np.array([across, down]) / depth


def test_a_point_is_seen_at_the_same_place_of_a_smaller_picture(tmp_path):
    """By OpenCV's resize, which puts the middle of the first pixel at 0."""
    point = (0.31, -0.17, 1.0)
    whole = read_calibration(written(tmp_path / "lens.yaml"))
    picture = np.zeros((480, 640), np.float32)
    x, y = project(whole.k, point)
    rows, columns = np.mgrid[:480, :640]
    picture += np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 200)
    for size in ((320, 240), (160, 240), (1280, 960)):
        small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
        rows, columns = np.mgrid[: size[1], : size[0]]
        seen = np.array([(columns * small).sum(), (rows * small).sum()]) / small.sum()
        scaled = whole.scaled(*size)
        assert project(scaled.k, point) == pytest.approx(seen, abs=0.02)
        assert project(scaled.p, point) == pytest.approx(seen, abs=0.02)
        assert (scaled.width, scaled.height) == size and scaled.d == whole.d


def test_what_a_lens_sees_at_its_edges():
    calibration = of_field_of_view(641, 481, 60.0)
    left = np.array([-np.tan(np.radians(30.0)), 0.0, 1.0])
    assert project(calibration.k, left) == pytest.approx([-0.5, 240.0])
    assert project(calibration.k, left * (-1, 0, 1)) == pytest.approx([640.5, 240.0])


def test_what_one_camera_does_not_need_does_nothing(tmp_path):
    calibration = read_calibration(written(tmp_path / "lens.yaml"))
    assert calibration.model == "rational_polynomial" and len(calibration.d) == 8
    assert calibration.r == tuple(np.eye(3).ravel())
    assert calibration.p == (500.0, 0.0, 319.5, 0.0, 0.0, 510.0, 239.5, 0.0, 0.0, 0.0, 1.0, 0.0)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"image_width": "640"}, "image_width must be a number of pixels, not '640'"),
        ({"image_height": None}, "image_height must be a number of pixels, not None"),
        ({"camera_matrix": None}, "camera_matrix must have data of 9 numbers, not None"),
        ({"camera_matrix": {"data": K[:8]}}, "camera_matrix must have data of 9 numbers"),
        ({"camera_matrix": {"data": [0.0] * 9}}, "camera_matrix has focal lengths of 0 and 0"),
        ({"projection_matrix": {"data": K}}, "projection_matrix must have data of 12 numbers"),
        ({"rectification_matrix": 7}, "rectification_matrix must have data of 9 numbers, not 7"),
        (
            {"distortion_coefficients": {"data": [float("nan")]}},
            "distortion_coefficients must have data of numbers",
        ),
    ],
)
def test_a_value_that_cannot_be_used_is_named(tmp_path, changed, said):
    path = written(tmp_path / "lens.yaml", **changed)
    with pytest.raises(FileError) as caught:
        read_calibration(path)
    assert str(caught.value).startswith(f"{path}: {said}") and "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["[a", "7", "- 1\n- 2", "# ost.txt\n[image]\nwidth\n640", ""])
def test_what_is_no_calibration_is_one_line(tmp_path, text):
    (tmp_path / "lens.yaml").write_text(text)
    with pytest.raises(FileError, match=r"is not YAML|it has no camera_matrix") as caught:
        read_calibration(str(tmp_path / "lens.yaml"))
    assert "\n" not in str(caught.value)
