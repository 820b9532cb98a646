"""Bytes of a raw image to RGB: the encodings of ROS that have colour or brightness.

Names are those of sensor_msgs/image_encodings.hpp; no type of ROS is known here.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
import re

import cv2
import numpy as np

Bytes = bytes | bytearray | memoryview | array


class ImageError(ValueError):
    """An image cannot be read; `str()` has the numbers that do not fit."""


class EncodingError(ImageError):
    """No image of this encoding can be read; `str()` names it."""


@dataclass(frozen=True)
class _Packed:
    """An encoding whose pixels lie one after the other.

    Attributes:
        dtype: of a channel, without its byte order.
        channels: of a pixel.
        to_rgb: OpenCV's conversion; None: it is RGB.
    """

    dtype: str
    channels: int
    to_rgb: int | None

    @property
    def pixel_bytes(self) -> int:
        return np.dtype(self.dtype).itemsize * self.channels


# OpenCV names a mosaic by its second row.
_COLOURS = {
    "mono": (1, cv2.COLOR_GRAY2RGB),
    "rgb": (3, None),
    "bgr": (3, cv2.COLOR_BGR2RGB),
    "rgba": (4, cv2.COLOR_RGBA2RGB),
    "bgra": (4, cv2.COLOR_BGRA2RGB),
    "bayer_rggb": (1, cv2.COLOR_BayerBG2RGB),
    "bayer_bggr": (1, cv2.COLOR_BayerRG2RGB),
    "bayer_gbrg": (1, cv2.COLOR_BayerGR2RGB),
    "bayer_grbg": (1, cv2.COLOR_BayerGB2RGB),
}
_PACKED = {
    f"{name}{bits}": _Packed(f"u{bits // 8}", channels, to_rgb)
    for name, (channels, to_rgb) in _COLOURS.items()
    for bits in (8, 16)
}
# Two pixels share a colour, in four bytes; the long names are the older ones.
_PACKED |= dict.fromkeys(("yuv422", "uyvy"), _Packed("u1", 2, cv2.COLOR_YUV2RGB_UYVY))
_PACKED |= dict.fromkeys(("yuv422_yuy2", "yuyv"), _Packed("u1", 2, cv2.COLOR_YUV2RGB_YUYV))
# OpenCV's types, as its own programs and RViz show them.
_ALIASES = {"8UC1": "mono8", "8UC3": "bgr8", "8UC4": "bgra8"}
_ALIASES |= {"16UC1": "mono16", "16UC3": "bgr16", "16UC4": "bgra16"}
_PACKED |= {alias: _PACKED[name] for alias, name in _ALIASES.items()}
# A plane of brightness, then one of colours, of which nv24 has one for each pixel.
_PLANAR = {"nv12": cv2.COLOR_YUV2RGB_NV12, "nv21": cv2.COLOR_YUV2RGB_NV21, "nv24": None}

ENCODINGS = (*_PACKED, *_PLANAR)
# Grey pictures of infrared cameras have it, and so have millimetres of depth cameras.
DEPTH_LIKE = "16UC1"
_NUMBERS = re.compile(r"(8|16|32|64)[USF]C\d+")
# What anybody takes who is not told otherwise.
MAX_PIXELS = 100_000_000
_MOSAIC_SIDE = 3  # OpenCV's least; of a smaller one it makes black
# Of a 16-bit value its 8-bit one, rounded down as rosbags-image does it.
_EIGHT_BITS = (np.arange(65536) * (255.0 / 65535.0)).astype(np.uint8)


def bytes_to_rgb(
    encoding: str, width: int, height: int, step: int, bigendian: bool, data: Bytes
) -> np.ndarray:
    """frame_HW3, uint8 RGB; 16 bits are scaled, an alpha channel is left out.

    An rgb8 image without padding is a view of `data`.

    Args:
        encoding: one of ENCODINGS.
        width, height: pixels; of an nv12, nv21 or nv24 image the height may count the rows of
            colours, too.
        step: bytes of a row, with its padding; a row of nv24's colours has twice as many.
        bigendian: order of the bytes of a 16-bit value.
        data: the rows' bytes, neither more nor fewer.

    Raises:
        EncodingError: not one of ENCODINGS.
        ImageError: sizes that do not fit together.
    """
    check_encoding(encoding)
    if encoding in _PLANAR:
        return _planar(encoding, width, height, step, np.frombuffer(data, np.uint8))
    check_rows(encoding, width, height, step, memoryview(data).nbytes)
    packed = _PACKED[encoding]
    rows_HS = np.frombuffer(data, np.uint8).reshape(height, step)
    if packed.to_rgb in (cv2.COLOR_YUV2RGB_UYVY, cv2.COLOR_YUV2RGB_YUYV):
        return _pairs(packed, width, rows_HS)
    rows_HS = np.ascontiguousarray(rows_HS[:, : width * packed.pixel_bytes])
    pixels = rows_HS.view(f"{'>' if bigendian else '<'}{packed.dtype}")
    return _to_rgb(encoding, pixels.reshape(height, width, packed.channels))


def mosaic_or_grey_to_rgb(encoding: str, values_HW: np.ndarray) -> np.ndarray:
    """frame_HW3, uint8 RGB, of one value a pixel, uint8 or uint16 whatever the encoding says.

    `encoding`: a mosaic's (bayer_...), or anything else for grey. Raises ImageError.
    """
    name = encoding.rstrip("0123456789")
    name = name if name.startswith("bayer_") and name in _COLOURS else "mono"
    return _to_rgb(f"{name}{values_HW.dtype.itemsize * 8}", values_HW[..., None])


def eight_bits(values: np.ndarray) -> np.ndarray:
    """uint8 values of uint8 or uint16 ones; 65535 is 255."""
    return values if values.dtype == np.uint8 else np.take(_EIGHT_BITS, values)


def check_pixels(width: int, height: int, max_pixels: int) -> None:
    """Raises ImageError where a picture of that size is too large to be taken."""
    if width * height > max_pixels:
        raise ImageError(
            f"the image is {width}x{height}, {width * height} pixels: max_pixels is {max_pixels}"
        )


def check_encoding(encoding: str) -> None:
    """Raises EncodingError where no image of that encoding can be read."""
    refuse_numbers(encoding)
    if encoding not in ENCODINGS:
        raise EncodingError(
            f"encoding {encoding[:40]!r} is not one of {', '.join(sorted(ENCODINGS))}"
        )


def refuse_numbers(encoding: str) -> None:
    """Raises EncodingError for 32FC1 and the like: depth, disparities, labels."""
    if _NUMBERS.fullmatch(encoding) and encoding not in ENCODINGS:
        raise EncodingError(
            f"encoding {encoding[:40]!r} holds numbers, neither colours nor brightness: take the "
            "camera's topic of pictures"
        )


def pixel_bytes(encoding: str) -> int:
    """Bytes of a pixel, of an encoding that has no planes."""
    return _PACKED[encoding].pixel_bytes


def check_rows(encoding: str, width: int, height: int, step: int, size: int) -> None:
    """Raises ImageError where `size` bytes are no image of these measures; not for planes."""
    _check_step(encoding, width, height, step, _PACKED[encoding].pixel_bytes)
    if size != height * step:
        raise ImageError(
            f"data has {size} bytes, height * step = {height} * {step} = {height * step}"
        )


def _check_step(encoding: str, width: int, height: int, step: int, pixel_bytes: int) -> None:
    if not width or not height:
        raise ImageError(f"the image is {width}x{height}: it has no pixels")
    if step < width * pixel_bytes:
        raise ImageError(
            f"step {step} is too small: {width} pixels of {encoding} have "
            f"{width * pixel_bytes} bytes"
        )


def _to_rgb(encoding: str, pixels_HWC: np.ndarray) -> np.ndarray:
    height, width = pixels_HWC.shape[:2]
    if encoding.startswith("bayer_") and min(height, width) < _MOSAIC_SIDE:
        raise ImageError(
            f"the image is {width}x{height}: a mosaic has at least {_MOSAIC_SIDE} rows and columns"
        )
    if pixels_HWC.dtype != np.uint8:
        pixels_HWC = pixels_HWC.astype(np.uint16)  # the machine's order of bytes
    if not encoding.startswith("bayer_"):
        pixels_HWC = eight_bits(pixels_HWC)  # fewer values than afterwards
    to_rgb = _PACKED[encoding].to_rgb
    return eight_bits(pixels_HWC if to_rgb is None else cv2.cvtColor(pixels_HWC, to_rgb))


def _pairs(packed: _Packed, width: int, rows_HS: np.ndarray) -> np.ndarray:
    """yuv422; the last pixel of an odd row may lack its partner and half of its colour."""
    even = width + width % 2
    rows_HS = rows_HS[:, : 2 * even]
    if rows_HS.shape[1] < 2 * even:
        rows_HS = rows_HS[:, : 2 * width]
        # What the pair before has in their place; a lone pixel is grey.
        neighbours = rows_HS[:, -4:-2] if width > 1 else np.full_like(rows_HS, 128)
        rows_HS = np.concatenate([rows_HS, neighbours], axis=1)
    pixels_HW2 = np.ascontiguousarray(rows_HS).reshape(-1, even, 2)
    return np.ascontiguousarray(cv2.cvtColor(pixels_HW2, packed.to_rgb)[:, :width])


def _planar(encoding: str, width: int, height: int, step: int, data: np.ndarray) -> np.ndarray:
    _check_step(encoding, width, height, step, 1)
    luma_HW, colours_hw2 = _planes(encoding, width, height, step, data)
    if _PLANAR[encoding] is None:
        return _one_colour_each(luma_HW, colours_hw2)
    odd = [(0, length % 2) for length in luma_HW.shape]
    even_HW = np.pad(luma_HW, odd, "edge")
    rgb_HW3 = cv2.cvtColorTwoPlane(even_HW, np.ascontiguousarray(colours_hw2), _PLANAR[encoding])
    return np.ascontiguousarray(rgb_HW3[: luma_HW.shape[0], :width])


def _planes(
    encoding: str, width: int, height: int, step: int, data: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Brightness (H, W) and colours (h, w, 2), of which one stands for each pixel, or for 2x2."""
    shared = 1 if encoding == "nv24" else 2
    columns = -(-width // shared)
    colour_step = 2 * step // shared
    layouts = [(height, step, colour_step)]
    if step == width or data.size == height * step:  # no padding; the step may count both planes
        layouts.append((height, width, 2 * columns))
    if data.size == height * step:  # the height counts both planes
        layouts.append((2 * height // 3 if shared == 2 else height // 3, step, colour_step))
    for rows, luma_step, colour_step in layouts:
        end, colour_rows = rows * luma_step, -(-rows // shared)
        if end + colour_rows * colour_step == data.size and colour_step >= 2 * columns:
            luma_HW = data[:end].reshape(rows, luma_step)[:, :width]
            colours_hS = data[end:].reshape(colour_rows, colour_step)[:, : 2 * columns]
            return luma_HW, colours_hS.reshape(colour_rows, columns, 2)
    raise ImageError(
        f"data has {data.size} bytes: no {width}x{height} {encoding} image of step {step}, "
        "whether or not its height counts the rows of colours"
    )


def _one_colour_each(luma_HW: np.ndarray, colours_HW2: np.ndarray) -> np.ndarray:
    """By way of yuyv, for the same colours as the others have: each pixel is a pair of its own."""
    height, width = luma_HW.shape
    pairs_HW4 = np.empty((height, width, 4), np.uint8)
    pairs_HW4[..., ::2] = luma_HW[..., None]
    pairs_HW4[..., 1::2] = colours_HW2
    rgb = cv2.cvtColor(pairs_HW4.reshape(height, 2 * width, 2), cv2.COLOR_YUV2RGB_YUYV)
    return np.ascontiguousarray(rgb[:, ::2])
