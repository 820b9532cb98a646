"""sensor_msgs to numpy and back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
import sys
from types import SimpleNamespace

import cv2
import numpy as np
from sensor_msgs.msg import CompressedImage, Image, RegionOfInterest
from std_msgs.msg import Header

from virst_interfaces.msg import Segmentation, SegmentationArray
from virst_model.answer import QueryResult, StepResult
from virst_model.compressed import compressed_to_rgb
from virst_model.encodings import (
    MAX_PIXELS,
    ImageError,
    bytes_to_rgb,
    check_pixels,
    check_rows,
    pixel_bytes,
)
from virst_model.errors import InputError
from virst_ros import complaints

# What both packages convert; for anything else there is our own conversion.
PACKAGED = {
    *("rgb8", "bgr8", "rgba8", "bgra8", "mono8", "mono16", "yuv422", "yuv422_yuy2"),
    *("bayer_rggb8", "bayer_bggr8", "bayer_gbrg8", "bayer_grbg8"),
}


class BackendError(InputError):
    """No installed package can convert images; `str()` says what was tried and why it failed."""


@dataclass(frozen=True)
class Backend:
    """What turns an Image into uint8 RGB (H, W, 3).

    Attributes:
        to_rgb: raises ImageError, and for what fits together anything that its package raises.
        max_pixels: a larger image is refused.
    """

    name: str
    to_rgb: Callable[[Image], np.ndarray]
    max_pixels: int = MAX_PIXELS


def choose_backend(name: str = "auto", max_pixels: int = MAX_PIXELS) -> Backend:
    """The backend of that name, tried on a 2x2 image; auto is our own, which needs no package.

    Raises BackendError.
    """
    backends = {"auto": lambda: _own, "cv_bridge": _cv_bridge, "rosbags": _rosbags}
    try:
        backend = Backend("own" if name == "auto" else name, backends[name](), max_pixels)
        _try_out(backend)
        return backend
    # A cv_bridge whose C++ part was built for another numpy fails in any of these ways.
    except (ImportError, AttributeError, SystemError, RuntimeError, TypeError) as error:
        raise BackendError(
            f"image backend {name} does not work: {type(error).__name__}: {error}; "
            "auto needs no package"
        ) from error


def image_to_array(message: Image | CompressedImage, backend: Backend) -> np.ndarray:
    """frame_HW3, uint8 RGB. An rgb8 image without padding is a view of the message's data.

    Raises ImageError, and EncodingError where no image of that encoding or format can be read.
    """
    if isinstance(message, CompressedImage):
        with complaints.kept_out():
            return compressed_to_rgb(message.format, message.data, backend.max_pixels)
    check_pixels(message.width, message.height, backend.max_pixels)
    if message.encoding not in PACKAGED or message.encoding == "rgb8" or message.width % 2:
        return _own(message)
    check_rows(message.encoding, message.width, message.height, message.step, len(message.data))
    try:
        return backend.to_rgb(message)
    except (cv2.error, ValueError, TypeError, RuntimeError) as error:
        raise ImageError(
            f"{backend.name} cannot convert {message.width}x{message.height} "
            f"{message.encoding}: {error}"
        ) from error


def array_to_image(array: np.ndarray, encoding: str, header: Header) -> Image:
    """A message of uint8 (H, W) or (H, W, channels); `header` is passed on as it is."""
    array = np.ascontiguousarray(array, np.uint8)
    height, width = array.shape[:2]
    message = Image(height=height, width=width, encoding=encoding, step=array.nbytes // height)
    message.header = header
    # Appends to the empty array.array of a fresh message: far faster than assigning data.
    message.data.frombytes(array)
    return message


def array_to_compressed(
    frame_HW3: np.ndarray, header: Header, quality: int = 90
) -> CompressedImage:
    """A JPEG message of a uint8 RGB frame; quality is JPEG's, 1..100."""
    bgr_HW3 = cv2.cvtColor(frame_HW3, cv2.COLOR_RGB2BGR)
    return _jpeg(bgr_HW3, "rgb8", header, quality)


def bgr_to_jpeg(bgr_HW3: np.ndarray, header: Header, quality: int = 90) -> CompressedImage:
    """A JPEG message of a uint8 BGR picture; quality is JPEG's, 1..100."""
    return _jpeg(bgr_HW3, "bgr8", header, quality)


def array_to_png(array_HW: np.ndarray, header: Header) -> CompressedImage:
    """A PNG message of uint8 (H, W), every value as it is."""
    _, png = cv2.imencode(".png", array_HW, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    # compressed_image_transport names what a colour image was turned into; grey is not turned.
    return _compressed("mono8; png compressed ", png, header)


def _jpeg(bgr_HW3: np.ndarray, encoding: str, header: Header, quality: int) -> CompressedImage:
    _, jpeg = cv2.imencode(".jpg", bgr_HW3, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return _compressed(f"{encoding}; jpeg compressed bgr8", jpeg, header)


def _compressed(format: str, data: np.ndarray, header: Header) -> CompressedImage:
    message = CompressedImage(header=header, format=format)
    message.data.frombytes(data)
    return message


def segmentations(result: StepResult, header: Header) -> SegmentationArray:
    """The answers of one frame as a message; `header` is passed on as it is."""
    answers = [segmentation(answer) for answer in result.results]
    return SegmentationArray(header=header, segmentations=answers)


def segmentation(answer: QueryResult) -> Segmentation:
    """One query's answer, without its mask."""
    x, y, width, height = answer.box
    return Segmentation(
        id=answer.id,
        label=answer.label,
        text=answer.text,
        state=answer.state,
        score=answer.score,
        presence=answer.presence,
        box=RegionOfInterest(x_offset=x, y_offset=y, width=width, height=height),
        area=answer.area,
    )


def stamp_s(header: Header) -> float:
    """The header's stamp in seconds; a float64 keeps it to a microsecond."""
    return header.stamp.sec + header.stamp.nanosec * 1e-9


def _try_out(backend: Backend) -> None:
    """Raises RuntimeError where a 2x2 bgr8 image does not come out as RGB."""
    bgr_HW3 = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    rgb_HW3 = backend.to_rgb(array_to_image(bgr_HW3, "bgr8", Header()))
    if not np.array_equal(rgb_HW3, bgr_HW3[..., ::-1]):
        raise RuntimeError(f"a 2x2 bgr8 image came out as {np.asarray(rgb_HW3).tolist()}")


def _own(message: Image) -> np.ndarray:
    return bytes_to_rgb(
        message.encoding,
        message.width,
        message.height,
        message.step,
        bool(message.is_bigendian),
        message.data,
    )


def _cv_bridge() -> Callable[[Image], np.ndarray]:
    from cv_bridge import CvBridge

    bridge = CvBridge()
    return lambda message: bridge.imgmsg_to_cv2(message, "rgb8")


def _rosbags() -> Callable[[Image], np.ndarray]:
    from rosbags.image import ImageError as UnsupportedError
    from rosbags.image import image_to_cvimage

    def to_rgb(message: Image) -> np.ndarray:
        # It reads neither step nor, for its own byte swap, anything but the machine's order.
        rows_HS = np.frombuffer(message.data, np.uint8).reshape(message.height, message.step)
        row_bytes = message.width * pixel_bytes(message.encoding)
        packed = SimpleNamespace(
            encoding=message.encoding,
            height=message.height,
            width=message.width,
            is_bigendian=message.is_bigendian if _is_wide(message) else sys.byteorder != "little",
            data=np.ascontiguousarray(rows_HS[:, :row_bytes]),
        )
        try:
            return image_to_cvimage(packed, "rgb8")
        except UnsupportedError as error:
            raise ImageError(str(error)) from error

    return to_rgb


def _is_wide(message: Image) -> bool:
    """Whether a channel has two bytes, so that their order matters."""
    return message.encoding.endswith("16")
