"""Frames of a video file, of images in files or in memory: in order, as often as asked."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
import logging
import math
import os
from pathlib import Path
import re
import struct
from typing import Protocol

import cv2
import numpy as np
from PIL import Image, ImageOps

from virst_model.errors import FileError

IMAGE_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
# Rate of a folder, which has none of its own; that of the data sets' validation frames is 5 or 6.
FOLDER_RATE_HZ = 10.0
DEFAULT_RATE_HZ = 30.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Frame:
    """A frame that has not been decoded yet.

    Attributes:
        index: its place in the video, from 0.
        name: what its mask file is called, without a suffix.
        read: gives the pixels, uint8 RGB (H, W, 3); raises FileError where they cannot be read.
            To be called before the video's iteration goes on.
    """

    index: int
    name: str
    read: Callable[[], np.ndarray]


class Frames(Protocol):
    """A video. Each iteration starts again at frame 0 and holds one frame at a time.

    Attributes:
        path: for messages.
        length: number of frames; a video file's is what the file says until an iteration has
            come to the end.
        rate_hz: frames a second.
    """

    path: str
    length: int
    rate_hz: float

    def __iter__(self) -> Iterator[Frame]: ...


class ImageFiles:
    """Images as frames, in the given order; a mask has the name of its image."""

    def __init__(self, path: str | os.PathLike[str], images: list[Path]) -> None:
        """Raises FileError where two masks would have one name."""
        self.path = str(path)
        self.length = len(images)
        self.rate_hz = FOLDER_RATE_HZ
        self._images = images
        names = set()
        for image in images:
            if image.stem in names:
                raise FileError(path, f"two images are called {image.stem}")
            names.add(image.stem)

    def __iter__(self) -> Iterator[Frame]:
        for index, path in enumerate(self._images):
            yield Frame(index, path.stem, partial(read_image, path))


class StillImage(ImageFiles):
    """An image, T = 1: not a video of one frame, which is padded to a clip."""

    def __init__(self, path: str | os.PathLike[str], image: Path) -> None:
        super().__init__(path, [image])


class ImageArrays:
    """Pictures in memory as a video; names are the frame numbers in five digits."""

    def __init__(
        self, images: Sequence[np.ndarray], rate_hz: float, path: str = "pictures"
    ) -> None:
        """`images`: uint8 RGB (H, W, 3) each, not copied; `rate_hz`: frames a second."""
        self.path, self.length, self.rate_hz = path, len(images), rate_hz
        self.images = images

    def __iter__(self) -> Iterator[Frame]:
        for index, image_HW3 in enumerate(self.images):
            yield Frame(index, f"{index:05d}", lambda image_HW3=image_HW3: image_HW3)


class VideoFile:
    """What OpenCV can read; names are the frame numbers in five digits.

    A damaged frame fails to be decoded and the next one may not: it keeps its place. Where nothing
    comes after it, the file is shorter than its header says, which many are by a frame or two.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Opens the file, to see that it can be read, and closes it.

        Raises:
            FileError: no such file, or not a video.
        """
        self.path = str(path)
        capture = self._open()
        rate_hz = capture.get(cv2.CAP_PROP_FPS)
        promised = capture.get(cv2.CAP_PROP_FRAME_COUNT)
        capture.release()
        self.rate_hz = rate_hz if math.isfinite(rate_hz) and rate_hz > 0 else DEFAULT_RATE_HZ
        if math.isfinite(promised) and promised >= 1:
            self.length = int(promised)
        else:
            self.length = 0
            for _ in self:  # some containers do not say: counts, without converting a pixel
                pass

    def __iter__(self) -> Iterator[Frame]:
        capture = self._open()
        index = lost = 0
        try:
            while True:
                if capture.grab():
                    for damaged in range(index, index + lost):
                        yield self._frame(damaged, None)
                    index, lost = index + lost, 0
                    yield self._frame(index, capture)
                    index += 1
                elif index + lost < self.length:
                    lost += 1
                else:
                    break
        finally:
            capture.release()
        if index < self.length:
            _log.warning(
                "%s: ends after %d frames; its header says %d", self.path, index, self.length
            )
        self.length = index

    def _open(self) -> cv2.VideoCapture:
        capture = cv2.VideoCapture(self.path)
        if not capture.isOpened():
            raise FileError(self.path, "is not a video that can be read")
        return capture

    def _frame(self, index: int, capture: cv2.VideoCapture | None) -> Frame:
        return Frame(index, f"{index:05d}", partial(self._read, index, capture))

    def _read(self, index: int, capture: cv2.VideoCapture | None) -> np.ndarray:
        decoded, bgr_HW3 = (False, None) if capture is None else capture.retrieve()
        if not decoded or bgr_HW3 is None:
            raise FileError(self.path, f"frame {index} cannot be decoded")
        return cv2.cvtColor(bgr_HW3, cv2.COLOR_BGR2RGB)


def open_frames(path: str | os.PathLike[str]) -> Frames:
    """A video file, a folder of images in the order of the numbers in their names, or an image.

    Raises:
        FileError: there is no such file, or nothing in it that could be read.
    """
    path = Path(path)
    try:
        if path.is_dir():
            return ImageFiles(path, list_images(path))
        if not path.exists():
            raise FileError(path, "no such file or folder")
        path.open("rb").close()
    except OSError as error:
        raise FileError(path, error.strerror or str(error)) from None
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return StillImage(path, path)
    return VideoFile(path)


def list_images(folder: Path, suffixes: Sequence[str] = IMAGE_SUFFIXES) -> list[Path]:
    """The images of a folder, not of those below it, in the order of the numbers in their names.

    Whoever takes a folder for a video, or for its masks, has this order.

    Raises:
        FileError: it holds none, or is no folder that can be read.
    """
    try:
        images = [path for path in folder.iterdir() if path.suffix.lower() in suffixes]
    except OSError as error:
        raise FileError(folder, error.strerror or str(error)) from None
    if not images:
        raise FileError(folder, f"holds no images ({', '.join(suffixes)})")
    return sorted(images, key=natural)


def natural(path: Path) -> list[tuple[int, int, str]]:
    """Sort key that takes digits as numbers: 9 before 10, with or without leading zeros."""
    parts = re.split(r"([0-9]+)", path.name)
    return [(0, int(p), p) if p.isdecimal() else (1, 0, p) for p in parts]


def read_image(path: Path) -> np.ndarray:
    """Pixels as a viewer shows them, uint8 RGB (H, W, 3), turned as the file says.

    Pillow and not OpenCV, which fills the rest of a truncated JPEG with grey and says nothing.

    Raises:
        FileError: no such file, no image, or a truncated one.
    """
    try:
        with Image.open(path) as image:
            return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    except (OSError, SyntaxError, ValueError, struct.error, Image.DecompressionBombError) as error:
        reason = str(error).replace(f"'{path}'", "it")
        raise FileError(path, f"cannot be read ({reason})") from None
