"""Raw images of known colours, in every encoding that can be read, and what is refused."""

from __future__ import annotations

from itertools import product
from types import SimpleNamespace

import numpy as np
import pytest

from virst_model.encodings import ENCODINGS, EncodingError, ImageError, bytes_to_rgb

# One in each corner; where an encoding has no colour, the red is the brightness.
CORNERS = ((200, 30, 40), (40, 170, 60), (50, 60, 210), (120, 110, 20))
SIZES = ((16, 20), (15, 19), (16, 19), (15, 20))  # height, width
ORDERS = {"8UC3": "bgr", "8UC4": "bgra", "16UC3": "bgr", "16UC4": "bgra"}
GREY = ("mono8", "mono16", "8UC1", "16UC1")
PAIRS = {"yuv422": "uyvy", "uyvy": "uyvy", "yuv422_yuy2": "yuyv", "yuyv": "yuyv"}
PLANAR = ("nv12", "nv21", "nv24")
# What rosbags-image converts, and to colours.
OF_ROSBAGS = [e for e in ENCODINGS if e not in PLANAR and "UC" not in e]


def quarters(height: int, width: int) -> np.ndarray:
    """A colour in each corner, (H, W, 3)."""
    picture = np.empty((height, width, 3), np.uint8)
    for corner, colour in enumerate(CORNERS):
        rows = slice(0, 8) if corner < 2 else slice(8, None)
        columns = slice(0, 10) if corner % 2 == 0 else slice(10, None)
        picture[rows, columns] = colour
    return picture


def middles(picture: np.ndarray) -> np.ndarray:
    """The pixels of each corner that are far from another colour, (4, 4, 4, 3)."""
    places = product((2, 10), (3, 13))
    return np.stack([picture[y : y + 4, x : x + 4] for y, x in places])


def yuv(rgb: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """ITU-R BT.601, video range."""
    r, g, b = np.moveaxis(rgb.astype(float), -1, 0)
    y = 16 + 0.257 * r + 0.504 * g + 0.098 * b
    u = 128 - 0.148 * r - 0.291 * g + 0.439 * b
    v = 128 + 0.439 * r - 0.368 * g - 0.071 * b
    return tuple(plane.round().astype(np.uint8) for plane in (y, u, v))


def padded(rows: np.ndarray, step: int) -> bytes:
    """Bytes of rows with 99 at their ends."""
    flat = rows.reshape(len(rows), -1)
    return np.pad(flat, ((0, 0), (0, step - flat.shape[1])), constant_values=99).tobytes()


def packed_rows(encoding: str, rgb: np.ndarray, bigendian: bool) -> np.ndarray:
    """The picture's bytes, (H, bytes of a row), of an encoding without planes."""
    wide = encoding.endswith("16") or encoding.startswith("16UC")
    name = ORDERS.get(encoding, encoding.rstrip("0123456789"))
    if encoding in GREY:
        values = rgb[..., 0]
    elif name.startswith("bayer_"):
        values = np.empty(rgb.shape[:2], np.uint8)
        for index, letter in enumerate(name[-4:]):
            at = np.s_[index // 2 :: 2, index % 2 :: 2]
            values[at] = rgb[..., "rgb".index(letter)][at]
    else:
        planes = {"r": rgb[..., 0], "g": rgb[..., 1], "b": rgb[..., 2], "a": rgb[..., 0] // 3}
        values = np.stack([planes[letter] for letter in name], axis=-1)
    if wide:
        values = (values.astype(np.uint16) * 257).astype(">u2" if bigendian else "<u2")
    return np.ascontiguousarray(values).reshape(len(rgb), -1).view(np.uint8)


def pair_rows(order: str, rgb: np.ndarray) -> np.ndarray:
    """yuv422 whose last pair is whole, also where the width is odd."""
    even = np.pad(rgb, ((0, 0), (0, rgb.shape[1] % 2), (0, 0)), "edge")
    y, u, v = yuv(even)
    first, second = {"y": y[:, ::2], "u": u[:, ::2], "v": v[:, ::2]}, {"y": y[:, 1::2]}
    letters = [first[c] if i < 2 else (second | {"v": first["v"]})[c] for i, c in enumerate(order)]
    return np.stack(letters, axis=-1).reshape(len(rgb), -1)


def planes(encoding: str, rgb: np.ndarray, padding: int) -> tuple[int, bytes]:
    """Step and bytes."""
    y, u, v = yuv(rgb)
    every = 1 if encoding == "nv24" else 2
    pair = (v, u) if encoding == "nv21" else (u, v)
    colours = np.stack([plane[::every, ::every] for plane in pair], axis=-1)
    colours = colours.reshape(len(colours), -1)
    step = max(y.shape[1], colours.shape[1] * every // 2) + padding
    return step, padded(y, step) + padded(colours, 2 * step // every)


def encoded(encoding: str, rgb: np.ndarray, padding: int, bigendian: bool) -> tuple[int, bytes]:
    """Step and bytes of the picture."""
    if encoding in PLANAR:
        return planes(encoding, rgb, padding)
    if encoding in PAIRS:
        rows = pair_rows(PAIRS[encoding], rgb)
    else:
        rows = packed_rows(encoding, rgb, bigendian)
    return rows.shape[1] + padding, padded(rows, rows.shape[1] + padding)


@pytest.mark.parametrize("bigendian", [False, True])
@pytest.mark.parametrize("padding", [0, 6, 7])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_known_colours(encoding, size, padding, bigendian):
    rgb_HW3 = quarters(*size)
    step, data = encoded(encoding, rgb_HW3, padding, bigendian)
    frame_HW3 = bytes_to_rgb(encoding, size[1], size[0], step, bigendian, data)

    wanted = np.repeat(rgb_HW3[..., :1], 3, axis=-1) if encoding in GREY else rgb_HW3
    tolerance = 3 if encoding in PLANAR or encoding in PAIRS else 1
    assert frame_HW3.shape == (*size, 3) and frame_HW3.dtype == np.uint8
    assert frame_HW3.flags.c_contiguous
    assert np.abs(middles(frame_HW3).astype(int) - middles(wanted)).max() <= tolerance


@pytest.mark.parametrize("encoding", PAIRS)
def test_a_last_pixel_without_its_partner(encoding):
    rgb_HW3 = quarters(15, 19)
    data = padded(pair_rows(PAIRS[encoding], rgb_HW3)[:, : 2 * 19], 2 * 19)
    frame_HW3 = bytes_to_rgb(encoding, 19, 15, 2 * 19, False, data)

    assert np.abs(frame_HW3[2:6, -3:].astype(int) - CORNERS[1]).max() <= 3
    assert bytes_to_rgb(encoding, 1, 1, 2, False, bytes((128, 128))).tolist() == [[[130] * 3]]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("padding", [0, 6])
@pytest.mark.parametrize("encoding", PLANAR)
def test_a_height_that_counts_the_rows_of_colours_is_the_same_picture(encoding, padding, size):
    height, width = size
    step, data = planes(encoding, quarters(*size), padding)
    plain = bytes_to_rgb(encoding, width, height, step, False, data)

    assert len(data) % step == 0
    assert np.array_equal(
        bytes_to_rgb(encoding, width, len(data) // step, step, False, data), plain
    )
    assert plain.shape == (height, width, 3)


@pytest.mark.parametrize("encoding, pixel_bytes", [("nv12", 1.5), ("nv21", 1.5), ("nv24", 3)])
def test_a_step_that_counts_the_bytes_of_all_planes(encoding, pixel_bytes):
    rgb_HW3 = quarters(16, 20)
    _, data = planes(encoding, rgb_HW3, 0)
    frame_HW3 = bytes_to_rgb(encoding, 20, 16, int(20 * pixel_bytes), False, data)

    assert np.abs(middles(frame_HW3).astype(int) - middles(rgb_HW3)).max() <= 3


@pytest.mark.parametrize("encoding", ["nv12", "nv21"])
def test_planes_of_an_odd_width_without_padding(encoding):
    """A row of colours is a byte longer than one of brightness."""
    rgb_HW3 = quarters(15, 19)
    step, data = planes(encoding, rgb_HW3, 0)
    rows = np.frombuffer(data, np.uint8).reshape(-1, step)
    data = rows[:15, :19].tobytes() + rows[15:].tobytes()
    frame_HW3 = bytes_to_rgb(encoding, 19, 15, 19, False, data)

    assert np.abs(middles(frame_HW3).astype(int) - middles(rgb_HW3)).max() <= 3


@pytest.mark.parametrize("encoding", OF_ROSBAGS)
def test_the_same_bytes_as_rosbags_image(encoding):
    image = pytest.importorskip("rosbags.image")
    rng = np.random.default_rng(0)
    wide = encoding.endswith("16")
    step = 20 * (2 if encoding in PAIRS else (2 if wide else 1) * _channels(encoding))
    data = rng.integers(0, 256, 16 * step, np.uint8)
    message = SimpleNamespace(encoding=encoding, height=16, width=20, is_bigendian=0, data=data)

    theirs = image.image_to_cvimage(message, "rgb8")

    assert np.array_equal(bytes_to_rgb(encoding, 20, 16, step, False, data), theirs)


def _channels(encoding: str) -> int:
    name = encoding.rstrip("0123456789")
    return 1 if name == "mono" or name.startswith("bayer_") else len(name)


@pytest.mark.parametrize("encoding", ["8SC1", "16SC1", "32SC1", "32FC1", "64FC1", "32FC3", "8UC2"])
def test_numbers_are_no_picture_and_named(encoding):
    with pytest.raises(EncodingError, match=rf"{encoding}.*numbers"):
        bytes_to_rgb(encoding, 4, 3, 100, False, bytes(300))


@pytest.mark.parametrize("name", ["", "rgb", "RGB8", "mono32", "bayer_rggb", "x"])
@pytest.mark.parametrize("times", [1, 100_000])
def test_an_encoding_that_nobody_knows_is_named_in_a_short_line(name, times):
    encoding = name * times
    with pytest.raises(EncodingError, match=r"is not one of .*rgb8") as caught:
        bytes_to_rgb(encoding, 4, 3, 12, False, bytes(36))
    assert repr(encoding[:40]) in str(caught.value)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize(
    "encoding, width, height, step, size, numbers",
    [
        ("rgb8", 0, 4, 12, 48, ("0x4",)),
        ("nv12", 4, 0, 4, 0, ("4x0",)),
        ("rgb8", 4, 3, 11, 33, ("11", "12")),
        ("mono16", 4, 3, 7, 21, ("7", "8")),
        ("nv21", 4, 3, 3, 18, ("3", "4")),
        ("bgr8", 4, 3, 12, 35, ("35", "3 * 12")),
        ("bgr8", 4, 3, 12, 37, ("37", "36")),
        ("nv12", 4, 4, 4, 23, ("23", "4x4")),
        ("nv12", 4, 7, 4, 24, ("24", "4x7")),  # the height of neither one plane nor of both
        ("nv12", 3, 4, 3, 18, ("18", "3x4")),  # a pair of colours has two bytes
        ("nv24", 4, 4, 4, 47, ("47", "4x4")),
        ("bayer_rggb8", 2, 4, 2, 8, ("2x4",)),
        ("bayer_grbg16", 4, 2, 8, 16, ("4x2",)),
    ],
)
def test_what_does_not_fit_is_an_error_with_the_numbers(
    encoding, width, height, step, size, numbers
):
    with pytest.raises(ImageError) as caught:
        bytes_to_rgb(encoding, width, height, step, False, bytes(size))
    assert all(number in str(caught.value) for number in numbers), caught.value


def test_rgb_without_padding_is_not_copied():
    data = np.arange(36, dtype=np.uint8)

    assert np.shares_memory(bytes_to_rgb("rgb8", 4, 3, 12, False, data.data), data)
