"""Bytes of a compressed image to RGB, as image_transport's `format` describes them.

    ENCODING; jpeg|png compressed TARGET

ENCODING is the camera's; TARGET is what was given to OpenCV's encoder, which takes it for bgr8 or
bgr16. A picture's size is read, and may be refused, before anything is decoded.
"""

from __future__ import annotations

import io
import re
import struct
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

from virst_model.encodings import (
    Bytes,
    EncodingError,
    ImageError,
    check_pixels,
    eight_bits,
    mosaic_or_grey_to_rgb,
    refuse_numbers,
)

JPEG_START, PNG_START = b"\xff\xd8", b"\x89PNG\r\n\x1a\n"
# Other kinds of file that are taken; by Pillow's names.
OTHERS = ("BMP", "GIF", "JPEG2000", "PPM", "TIFF", "WEBP")
# A JPEG's marker. Escaped bytes and restarts (D0 to D7) belong to the pixels' data.
_MARKER = re.compile(rb"\xff[\xc0-\xcf\xd8-\xfe]")
_SOI, _EOI = 0xD8, 0xD9
_SIZES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # start of a frame, with its height and width


class _Head(NamedTuple):
    """What can be known of a picture without decoding it.

    Attributes:
        end: of its bytes; what comes after is not the picture's.
    """

    width: int
    height: int
    end: int


def compressed_to_rgb(format: str, data: Bytes, max_pixels: int) -> np.ndarray:
    """frame_HW3, uint8 RGB; 16 bits are scaled, a mosaic is made a picture.

    Args:
        format: of sensor_msgs/CompressedImage; without a `;` it says nothing of colours.
        data: a JPEG, a PNG or one of OTHERS.
        max_pixels: a larger picture is refused, by its header.

    Raises:
        EncodingError: no picture, by its format: compressedDepth, numbers.
        ImageError: cut off, too large or not to be read.
    """
    encoding, is_rgb = _read_format(format)
    picture = bytes(data)
    fault = f"{len(picture)} bytes of format {format[:80]!r}"
    if not picture:
        raise ImageError(f"the compressed image is empty: {fault}")
    head = _read_head(picture, fault)
    check_pixels(head.width, head.height, max_pixels)
    values = _decode(np.frombuffer(picture, np.uint8)[: head.end], fault)
    if values.ndim == 2:
        return mosaic_or_grey_to_rgb(encoding, values)
    return eight_bits(values if is_rgb else cv2.cvtColor(values, cv2.COLOR_BGR2RGB))


def _read_format(format: str) -> tuple[str, bool]:
    """The camera's encoding, and whether OpenCV's encoder was given RGB in place of BGR."""
    if "compressedDepth" in format:
        raise EncodingError(
            f"format {format[:80]!r} is depth and no picture: take the camera's topic of pictures"
        )
    encoding, _, how = (part.strip() for part in format.partition(";"))
    refuse_numbers(encoding)
    _, compressed, target = (part.strip() for part in how.partition("compressed"))
    # Without a target the camera's own order was left as it is.
    return encoding, bool(compressed) and (target or encoding).startswith("rgb")


def _read_head(picture: bytes, fault: str) -> _Head:
    if picture.startswith(JPEG_START):
        return _read_jpeg(picture, fault)
    if picture.startswith(PNG_START) and len(picture) >= 24:
        return _Head(*struct.unpack_from(">II", picture, 16), len(picture))
    try:
        with Image.open(io.BytesIO(picture), formats=OTHERS) as other:
            return _Head(*other.size, len(picture))
    # An OSError is its own; the others come from its readers of single formats.
    except (
        *(OSError, ValueError, RuntimeError, SyntaxError),
        Image.DecompressionBombError,
    ) as error:
        raise ImageError(f"the compressed image cannot be read: {fault}: {error}") from error


def _read_jpeg(picture: bytes, fault: str) -> _Head:
    """Goes from marker to marker: thumbnails in a header have ends of their own.

    Decoders stop at the end marker; without one they draw a frame that is grey from some row on.
    """
    size = None
    marker = _MARKER.search(picture, len(JPEG_START))
    while marker:
        code, at = marker[0][1], marker.end()
        if code == _EOI and size:
            return _Head(*size, at)
        if code in (_SOI, _EOI) or at + 2 > len(picture):
            break
        if code in _SIZES and not size and at + 7 <= len(picture):
            height, width = struct.unpack_from(">HH", picture, at + 3)
            size = width, height
        length = int.from_bytes(picture[at : at + 2], "big")
        marker = _MARKER.search(picture, at + length)
    raise ImageError(f"the JPEG is cut off: {fault}")


def _decode(picture: np.ndarray, fault: str) -> np.ndarray:
    """(H, W) or BGR (H, W, 3), of 8 or 16 bits."""
    try:
        values = cv2.imdecode(picture, cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH)
    except cv2.error as error:
        raise ImageError(f"the compressed image cannot be read: {fault}: {error}") from error
    if values is None:
        raise ImageError(f"the compressed image cannot be read: {fault}")
    if values.dtype not in (np.uint8, np.uint16):
        raise EncodingError(f"the compressed image holds {values.dtype}, no picture: {fault}")
    return values
