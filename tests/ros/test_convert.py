"""Encodings, steps and byte order, against every image backend that is installed."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")

from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from virst_model.answer import TRACKING, QueryResult, StepResult
from virst_model.encodings import ImageError
from virst_ros import convert
from virst_ros.convert import BackendError, array_to_image, image_to_array


def installed() -> list[str]:
    names = []
    for name in ("auto", "cv_bridge", "rosbags"):
        try:
            convert.choose_backend(name)
            names.append(name)
        except BackendError:
            continue
    return names


@pytest.fixture(params=installed())
def backend(request) -> convert.Backend:
    return convert.choose_backend(request.param)


@pytest.fixture
def rgb_HW3() -> np.ndarray:
    """Smooth, so that what halves the colours' resolution comes back nearly the same."""
    y, x = np.mgrid[0:48, 0:64]
    return np.stack([x * 3 + 20, y * 4 + 20, (x + y) * 2], axis=-1).astype(np.uint8)


def message(array: np.ndarray, encoding: str, padding: int = 0, bigendian: bool = False) -> Image:
    """An image with `padding` bytes of 99 at the end of each row."""
    height, width = array.shape[:2]
    rows = np.ascontiguousarray(array).view(np.uint8).reshape(height, -1)
    rows = np.pad(rows, ((0, 0), (0, padding)), constant_values=99)
    image = Image(height=height, width=width, encoding=encoding, step=rows.shape[1])
    image.is_bigendian = int(bigendian)
    image.data.frombytes(np.ascontiguousarray(rows))
    return image


def bayer(rgb_HW3: np.ndarray, pattern: str) -> np.ndarray:
    """The mosaic that a sensor of that pattern sees; two rows of two letters."""
    mosaic_HW = np.empty(rgb_HW3.shape[:2], np.uint8)
    for index, letter in enumerate(pattern):
        at = np.s_[index // 2 :: 2, index % 2 :: 2]
        mosaic_HW[at] = rgb_HW3[..., "rgb".index(letter)][at]
    return mosaic_HW


def yuv(rgb_HW3: np.ndarray, order: str) -> np.ndarray:
    """YUV 4:2:2 (H, W, 2), ITU-R BT.601 video range; order of y, u and v in the bytes."""
    r, g, b = np.moveaxis(rgb_HW3.astype(float), -1, 0)
    y = 16 + 0.257 * r + 0.504 * g + 0.098 * b
    u = 128 - 0.148 * r - 0.291 * g + 0.439 * b
    v = 128 + 0.439 * r - 0.368 * g - 0.071 * b
    chroma = np.where(np.arange(y.shape[1]) % 2, np.roll(v, 1, axis=1), u)
    planes = (y, chroma) if order == "yuyv" else (chroma, y)
    return np.stack(planes, axis=-1).round().clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("padding", [0, 6])
@pytest.mark.parametrize("encoding", ["rgb8", "bgr8", "rgba8", "bgra8"])
def test_colour_is_exact(backend, rgb_HW3, encoding, padding):
    order = {"r": rgb_HW3[..., 0], "g": rgb_HW3[..., 1], "b": rgb_HW3[..., 2]}
    order["a"] = np.full_like(order["r"], 7)
    array = np.stack([order[letter] for letter in encoding[:-1]], axis=-1)

    frame_HW3 = image_to_array(message(array, encoding, padding), backend)

    assert frame_HW3.dtype == np.uint8
    assert np.array_equal(frame_HW3, rgb_HW3)


@pytest.mark.parametrize("padding", [0, 6])
def test_grey_becomes_grey(backend, rgb_HW3, padding):
    grey_HW = rgb_HW3[..., 0]
    frame_HW3 = image_to_array(message(grey_HW, "mono8", padding), backend)

    assert np.array_equal(frame_HW3, np.repeat(grey_HW[..., None], 3, axis=-1))


@pytest.mark.parametrize("bigendian", [False, True])
@pytest.mark.parametrize("padding", [0, 6])
def test_sixteen_bits_are_scaled(backend, rgb_HW3, bigendian, padding):
    grey_HW = rgb_HW3[..., 0].astype(np.uint16) * 257
    stored_HW = grey_HW.astype(">u2" if bigendian else "<u2")
    frame_HW3 = image_to_array(message(stored_HW, "mono16", padding, bigendian), backend)

    assert frame_HW3.dtype == np.uint8
    # Rounded down or to the nearest, as the backend likes.
    assert np.abs(frame_HW3[..., 1].astype(int) - rgb_HW3[..., 0]).max() <= 1


@pytest.mark.parametrize("padding", [0, 8])
@pytest.mark.parametrize("encoding, order", [("yuv422", "uyvy"), ("yuv422_yuy2", "yuyv")])
def test_yuv(backend, rgb_HW3, encoding, order, padding):
    frame_HW3 = image_to_array(message(yuv(rgb_HW3, order), encoding, padding), backend)

    # Neighbours share their colour: a smooth picture differs by one step.
    assert np.abs(frame_HW3.astype(int) - rgb_HW3).max() <= 8


@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
def test_bayer(backend, rgb_HW3, pattern):
    frame_HW3 = image_to_array(message(bayer(rgb_HW3, pattern), f"bayer_{pattern}8"), backend)

    inner = np.s_[2:-2, 2:-2]
    assert np.abs(frame_HW3[inner].astype(int) - rgb_HW3[inner]).max() <= 8


@pytest.mark.parametrize("bigendian", [False, True])
@pytest.mark.parametrize("padding", [0, 3])
@pytest.mark.parametrize("encoding", ["8UC1", "8UC3", "8UC4", "16UC1", "rgb16", "bgra16"])
def test_what_the_packages_may_refuse_is_read_with_any_backend(
    backend, rgb_HW3, encoding, padding, bigendian
):
    kinds = {"8UC1": "r", "16UC1": "r", "8UC3": "bgr", "8UC4": "bgra"}
    order = kinds.get(encoding, encoding[:-2])
    pixels = np.dstack([rgb_HW3, rgb_HW3[..., 0]])[..., ["rgba".index(c) for c in order]]
    if "16" in encoding:
        pixels = (pixels.astype(np.uint16) * 257).astype(">u2" if bigendian else "<u2")
    frame_HW3 = image_to_array(message(pixels, encoding, padding, bigendian), backend)

    wanted = np.repeat(rgb_HW3[..., :1], 3, axis=-1) if order == "r" else rgb_HW3
    assert np.abs(frame_HW3.astype(int) - wanted).max() <= 1


def test_an_odd_width_of_pairs(backend, rgb_HW3):
    image = message(yuv(rgb_HW3, "uyvy"), "yuv422")
    image.width = 63
    frame_HW3 = image_to_array(image, backend)

    assert frame_HW3.shape == (48, 63, 3)
    assert np.abs(frame_HW3.astype(int) - rgb_HW3[:, :63]).max() <= 8


def test_planes(backend, rgb_HW3):
    """nv12: a plane of brightness, and one of colours whose rows the height may count."""
    uyvy = yuv(rgb_HW3, "uyvy")
    planes = np.concatenate([uyvy[..., 1], uyvy[::2, :, 0]])
    image = message(planes, "nv12")
    counted = image_to_array(image, backend)
    image.height = 48

    assert np.array_equal(counted, image_to_array(image, backend))
    assert np.abs(counted.astype(int) - rgb_HW3).max() <= 8


def test_a_raw_image_of_too_many_pixels_is_refused(backend, rgb_HW3):
    image = message(rgb_HW3, "rgb8")
    small = convert.choose_backend(max_pixels=48 * 64 - 1)

    assert image_to_array(image, backend).shape == (48, 64, 3)
    with pytest.raises(ImageError, match=r"64x48.*max_pixels is 3071"):
        image_to_array(image, small)


def test_rgb_without_padding_is_not_copied(backend, rgb_HW3):
    image = message(rgb_HW3, "rgb8")
    frame_HW3 = image_to_array(image, backend)

    assert np.shares_memory(frame_HW3, np.frombuffer(image.data, np.uint8))


def test_rows_need_not_be_whole_pixels(backend, rgb_HW3):
    frame_HW3 = image_to_array(message(rgb_HW3, "rgb8", padding=1), backend)

    assert np.array_equal(frame_HW3, rgb_HW3)


@pytest.mark.parametrize(
    "change, numbers",
    [
        ({"height": 49}, ("9216", "49", "192", "9408")),
        ({"step": 100}, ("100", "64", "192")),
        ({"encoding": "nv24", "step": 191}, ("nv24", "9216", "191")),
        ({"encoding": "32FC1"}, ("32FC1", "numbers")),
        ({"encoding": "yuv411"}, ("yuv411", "rgb8")),
        ({"encoding": ""}, ("''",)),
        ({"width": 0}, ("0x48",)),
        ({"height": 0}, ("64x0",)),
        ({"width": 97, "encoding": "yuv422"}, ("97", "194")),
    ],
)
def test_what_does_not_fit_is_an_error_with_the_numbers(backend, rgb_HW3, change, numbers):
    image = message(rgb_HW3, "rgb8")
    for name, value in change.items():
        setattr(image, name, value)

    with pytest.raises(ImageError) as caught:
        image_to_array(image, backend)
    assert all(number in str(caught.value) for number in numbers), caught.value


def test_data_that_are_too_short_or_too_long(backend, rgb_HW3):
    for change in (lambda data: data.pop(), lambda data: data.append(0)):
        image = message(rgb_HW3, "bgr8")
        change(image.data)
        with pytest.raises(ImageError, match=r"48 \* 192"):
            image_to_array(image, backend)


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_compressed(backend, rgb_HW3, suffix):
    data = cv2.imencode(suffix, rgb_HW3[..., ::-1])[1].tobytes()
    frame_HW3 = image_to_array(CompressedImage(format="x", data=data), backend)

    assert np.abs(frame_HW3.astype(int) - rgb_HW3).max() <= (0 if suffix == ".png" else 16)


def test_our_own_jpeg_comes_back(backend, rgb_HW3):
    compressed = convert.array_to_compressed(rgb_HW3, Header(frame_id="eye"))

    assert compressed.header.frame_id == "eye"
    assert np.abs(image_to_array(compressed, backend).astype(int) - rgb_HW3).max() <= 16


def test_broken_compressed_images_are_errors(backend, rgb_HW3):
    jpeg = cv2.imencode(".jpg", rgb_HW3)[1].tobytes()
    for data in (b"", b"no picture", jpeg[: len(jpeg) // 2], b"\xff\xd8\xff\xd9"):
        with pytest.raises(ImageError, match=f"{len(data)} bytes"):
            image_to_array(CompressedImage(format="jpeg", data=data), backend)


def test_padding_after_a_jpeg_is_no_fault(backend, rgb_HW3):
    jpeg = cv2.imencode(".jpg", rgb_HW3)[1].tobytes()
    frame_HW3 = image_to_array(CompressedImage(format="jpeg", data=jpeg + b"\0" * 50), backend)

    assert frame_HW3.shape == rgb_HW3.shape


def test_arrays_become_messages(rgb_HW3):
    header = Header(frame_id="eye")
    image = array_to_image(rgb_HW3[:, ::2], "rgb8", header)  # not contiguous

    assert (image.height, image.width, image.step) == (48, 32, 96)
    assert image.header is header
    assert bytes(image.data) == rgb_HW3[:, ::2].tobytes()


def test_segmentations_have_all_fields():
    mask_HW = np.ones((4, 6), bool)
    answer = QueryResult(7, 2, "red", TRACKING, 0.5, 0.25, mask_HW, (1, 2, 3, 4), 24)
    union_HW = mask_HW.astype(np.uint8)
    array = convert.segmentations(
        StepResult(1, 2.0, (answer,), union_HW, union_HW), Header(frame_id="eye")
    )

    (one,) = array.segmentations
    assert array.header.frame_id == "eye"
    assert (one.id, one.label, one.text, one.state, one.area) == (7, 2, "red", "tracking", 24)
    assert (one.score, one.presence) == (0.5, 0.25)
    box = one.box
    assert (box.x_offset, box.y_offset, box.width, box.height) == (1, 2, 3, 4)


def test_stamps_keep_their_microseconds():
    header = Header()
    header.stamp.sec, header.stamp.nanosec = 1_800_000_000, 123_456_000

    assert convert.stamp_s(header) == pytest.approx(1_800_000_000.123456, abs=1e-6)


def test_an_unknown_backend_is_named(monkeypatch):
    def broken() -> None:
        raise ImportError("numpy.core.multiarray failed to import")

    monkeypatch.setattr(convert, "_cv_bridge", broken)
    with pytest.raises(BackendError, match=r"cv_bridge .* ImportError: numpy\.core.* auto"):
        convert.choose_backend("cv_bridge")


def test_a_backend_that_swaps_colours_is_not_taken(monkeypatch):
    monkeypatch.setattr(
        convert,
        "_cv_bridge",
        lambda: lambda image: np.frombuffer(image.data, np.uint8).reshape(2, 2, 3),
    )

    with pytest.raises(BackendError, match="2x2 bgr8"):
        convert.choose_backend("cv_bridge")


def test_without_a_name_no_package_is_needed(monkeypatch):
    def absent() -> None:
        raise ImportError("scripted")

    monkeypatch.setattr(convert, "_cv_bridge", absent)
    monkeypatch.setattr(convert, "_rosbags", absent)

    assert convert.choose_backend().name == "own"
