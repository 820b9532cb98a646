"""sensor_msgs to numpy and back: the one place that knows encodings, steps and byte order."""

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
from virst_model.answer import StepResult
from virst_model.errors import InputError
from virst_ros import complaints

# Bytes a pixel. yuv422 is UYVY, as sensor_msgs defines it.
PIXEL_BYTES = {
    "rgb8": 3,
    "bgr8": 3,
    "rgba8": 4,
    "bgra8": 4,
    "mono8": 1,
    "mono16": 2,
    "yuv422": 2,
    "yuv422_yuy2": 2,
    "bayer_rggb8": 1,
    "bayer_bggr8": 1,
    "bayer_gbrg8": 1,
    "bayer_grbg8": 1,
}
JPEG_START, JPEG_END = b"\xff\xd8", b"\xff\xd9"


class ImageError(ValueError):
    """An image cannot be read; `str()` has the numbers that do not fit."""


class BackendError(InputError):
    """No installed package can convert images; `str()` says what was tried and why it failed."""


@dataclass(frozen=True)
class Backend:
    """What turns an Image that fits together into uint8 RGB (H, W, 3)."""

    name: str
    to_rgb: Callable[[Image], np.ndarray]


def choose_backend(name: str = "auto") -> Backend:
    """The backend of that name, tried on a 2x2 image; auto takes the first one that works.

    Raises BackendError.
    """
    backends = {"cv_bridge": _cv_bridge, "rosbags": _rosbags}
    faults = []
    for candidate in backends if name == "auto" else (name,):
        try:
            backend = Backend(candidate, backends[candidate]())
            _try_out(backend)
            return backend
        # A cv_bridge whose C++ part was built for another numpy fails in any of these ways.
        except (ImportError, AttributeError, SystemError, RuntimeError, TypeError) as error:
            faults.append(f"{candidate}: {type(error).__name__}: {error}")
    raise BackendError("no image backend works: " + "; ".join(faults))


def image_to_array(message: Image | CompressedImage, backend: Backend) -> np.ndarray:
    """frame_HW3, uint8 RGB. An rgb8 image without padding is a view of the message's data.

    Raises ImageError.
    """
    if isinstance(message, CompressedImage):
        with complaints.kept_out():
            return _decode(message)
    _check(message)
    if message.encoding == "rgb8":
        return np.ascontiguousarray(_rows(message)).reshape(message.height, message.width, 3)
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
    _, jpeg = cv2.imencode(".jpg", bgr_HW3, [cv2.IMWRITE_JPEG_QUALITY, quality])
    message = CompressedImage(header=header, format="rgb8; jpeg compressed bgr8")
    message.data.frombytes(jpeg)
    return message


def segmentations(result: StepResult, header: Header) -> SegmentationArray:
    """The answers of one frame as a message; `header` is passed on as it is."""
    array = SegmentationArray(header=header)
    for answer in result.results:
        x, y, width, height = answer.box
        array.segmentations.append(
            Segmentation(
                id=answer.id,
                label=answer.label,
                text=answer.text,
                state=answer.state,
                score=answer.score,
                presence=answer.presence,
                box=RegionOfInterest(x_offset=x, y_offset=y, width=width, height=height),
                area=answer.area,
            )
        )
    return array


def stamp_s(header: Header) -> float:
    """The header's stamp in seconds; a float64 keeps it to a microsecond."""
    return header.stamp.sec + header.stamp.nanosec * 1e-9


def _check(message: Image) -> None:
    width, height, step = message.width, message.height, message.step
    if message.encoding not in PIXEL_BYTES:
        raise ImageError(
            f"encoding {message.encoding!r} is not one of {', '.join(sorted(PIXEL_BYTES))}"
        )
    if not width or not height:
        raise ImageError(f"the image is {width}x{height}: it has no pixels")
    if step < width * PIXEL_BYTES[message.encoding]:
        raise ImageError(
            f"step {step} is too small: {width} pixels of {message.encoding} have "
            f"{width * PIXEL_BYTES[message.encoding]} bytes"
        )
    if len(message.data) != height * step:
        raise ImageError(
            f"data has {len(message.data)} bytes, height * step = {height} * {step} = "
            f"{height * step}"
        )
    if message.encoding.startswith("yuv422") and width % 2:
        raise ImageError(f"{message.encoding} with an odd width of {width}")


def _rows(message: Image) -> np.ndarray:
    """The pixels' bytes, (H, bytes of a row), without the padding at the ends; a view."""
    bytes_HS = np.frombuffer(message.data, np.uint8).reshape(message.height, message.step)
    return bytes_HS[:, : message.width * PIXEL_BYTES[message.encoding]]


def _decode(message: CompressedImage) -> np.ndarray:
    data = np.frombuffer(message.data, np.uint8)
    fault = f"{data.size} bytes of format {message.format!r}"
    if not data.size:
        raise ImageError(f"the compressed image is empty: {fault}")
    # A JPEG that was cut off would decode to a frame that is grey from there on.
    if data[:2].tobytes() == JPEG_START and not data.tobytes().rstrip(b"\0").endswith(JPEG_END):
        raise ImageError(f"the JPEG is cut off: {fault}")
    try:
        bgr_HW3 = cv2.imdecode(data, cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise ImageError(f"the compressed image cannot be read: {fault}: {error}") from error
    if bgr_HW3 is None:
        raise ImageError(f"the compressed image cannot be read: {fault}")
    return cv2.cvtColor(bgr_HW3, cv2.COLOR_BGR2RGB)


def _try_out(backend: Backend) -> None:
    """Raises RuntimeError where a 2x2 bgr8 image does not come out as RGB."""
    bgr_HW3 = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    rgb_HW3 = backend.to_rgb(array_to_image(bgr_HW3, "bgr8", Header()))
    if not np.array_equal(rgb_HW3, bgr_HW3[..., ::-1]):
        raise RuntimeError(f"a 2x2 bgr8 image came out as {np.asarray(rgb_HW3).tolist()}")


def _cv_bridge() -> Callable[[Image], np.ndarray]:
    from cv_bridge import CvBridge

    bridge = CvBridge()
    return lambda message: bridge.imgmsg_to_cv2(message, "rgb8")


def _rosbags() -> Callable[[Image], np.ndarray]:
    from rosbags.image import ImageError as UnsupportedError
    from rosbags.image import image_to_cvimage

    def to_rgb(message: Image) -> np.ndarray:
        # It reads neither step nor, for its own byte swap, anything but the machine's order.
        packed = SimpleNamespace(
            encoding=message.encoding,
            height=message.height,
            width=message.width,
            is_bigendian=message.is_bigendian if _is_wide(message) else sys.byteorder != "little",
            data=np.ascontiguousarray(_rows(message)),
        )
        try:
            return image_to_cvimage(packed, "rgb8")
        except UnsupportedError as error:
            raise ImageError(str(error)) from error

    return to_rgb


def _is_wide(message: Image) -> bool:
    """Whether a channel has two bytes, so that their order matters."""
    return message.encoding.endswith("16")
