"""Frames of a video file, of images in files or in memory: in order, as often as asked."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
import itertools
import logging
import math
import os
from pathlib import Path
import re
from typing import Protocol

import cv2
import numpy as np

from virst_model.errors import FileError
from virst_model.image_file import read_image
from virst_model.video_writer import openable

IMAGE_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
# Rate of a folder, which has none of its own; that of the data sets' validation frames is 5 or 6.
FOLDER_RATE_HZ = 10.0
DEFAULT_RATE_HZ = 30.0
# What systems leave in folders and archives, beside all that begins with a dot.
_LEFT_BEHIND = ("__MACOSX", "@eaDir", "Thumbs.db", "desktop.ini")
# So many frames of a video may be damaged one after the other; a header may promise any number.
_MOST_DAMAGED = 10_000

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Frame:
    """A frame that has not been decoded yet.

    Attributes:
        index: its place in the video, from 0.
        time_s: seconds after the first frame; they increase.
        name: what its mask file is called, without a suffix.
        read: gives the pixels, uint8 RGB (H, W, 3); raises FileError where they cannot be read.
            To be called before the video's iteration goes on.
    """

    index: int
    time_s: float
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
            yield Frame(index, index / self.rate_hz, path.stem, partial(read_image, path))


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
            read = lambda image_HW3=image_HW3: image_HW3  # noqa: E731
            yield Frame(index, index / self.rate_hz, f"{index:05d}", read)


class VideoFile:
    """What OpenCV can read, turned as the file says; names are the frame numbers in five digits.

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
            self._count()

    def __iter__(self) -> Iterator[Frame]:
        capture, clock = self._open(), Clock(self.rate_hz)
        index = lost = 0
        try:
            while True:
                if capture.grab():
                    for damaged in range(index, index + lost):
                        yield self._frame(damaged, clock.tick(), None)
                    index, lost = index + lost, 0
                    time_s = clock.tick(capture.get(cv2.CAP_PROP_POS_MSEC) / 1000)
                    yield self._frame(index, time_s, capture)
                    index += 1
                elif index + lost < self.length and lost < _MOST_DAMAGED:
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

    def _count(self) -> None:
        """Length and rate of a recording whose header does not say them: that of a browser.

        No pixel is converted for it.
        """
        self.length = 0
        times_s = [frame.time_s for frame in self]
        if len(times_s) > 1:
            self.rate_hz = (len(times_s) - 1) / times_s[-1]
        elif times_s:
            self.rate_hz = DEFAULT_RATE_HZ

    def _open(self) -> cv2.VideoCapture:
        capture = cv2.VideoCapture(openable(self.path))
        if not capture.isOpened():
            raise FileError(self.path, "is not a video that can be read")
        capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
        return capture

    def _frame(self, index: int, time_s: float, capture: cv2.VideoCapture | None) -> Frame:
        return Frame(index, time_s, f"{index:05d}", partial(self._read, index, capture))

    def _read(self, index: int, capture: cv2.VideoCapture | None) -> np.ndarray:
        decoded, bgr_HW3 = (False, None) if capture is None else capture.retrieve()
        if not decoded or bgr_HW3 is None:
            raise FileError(self.path, f"frame {index} cannot be decoded")
        return cv2.cvtColor(bgr_HW3, cv2.COLOR_BGR2RGB)


class Clock:
    """Seconds after the first frame, which increase whatever a file says of them."""

    def __init__(self, rate_hz: float) -> None:
        self._period_s = 1 / rate_hz
        self._start_s: float | None = None
        self._last_s = -self._period_s

    def tick(self, stamp_s: float = math.nan) -> float:
        """The next frame's time, from its stamp; a period after the last where that has none."""
        expected_s = self._last_s + self._period_s
        if self._start_s is None and math.isfinite(stamp_s):
            self._start_s = stamp_s - expected_s
        time_s = expected_s if self._start_s is None else stamp_s - self._start_s
        self._last_s = time_s if time_s > self._last_s else expected_s
        return self._last_s


def first_image(frames: Frames) -> np.ndarray:
    """The first picture of a video that can be read, uint8 RGB; FileError where none can."""
    for frame in frames:
        try:
            return frame.read()
        except FileError:
            continue  # the first one's reason is in what is raised
    raise unreadable(frames)


def unreadable(frames: Frames) -> FileError:
    """What to raise where no frame of a video can be read: it says why the first cannot."""
    why = ""
    for frame in itertools.islice(frames, 1):
        try:
            frame.read()
        except FileError as error:
            why = f" ({error.reason if error.path == frames.path else error})"
    return FileError(frames.path, f"holds no frame that can be read{why}")


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


def list_folder(folder: Path) -> list[Path]:
    """What lies in a folder, in the order of the numbers in the names.

    Left out is what systems leave behind: `._NAME` and `__MACOSX` of a Mac, `Thumbs.db`.

    Raises:
        FileError: it is no folder that can be read.
    """
    try:
        paths = [path for path in folder.iterdir() if is_left_by_people(path.name)]
    except OSError as error:
        raise FileError(folder, error.strerror or str(error)) from None
    return sorted(paths, key=natural)


def is_left_by_people(name: str) -> bool:
    """Whether a file or a folder of that name is somebody's, and not a system's."""
    return not name.startswith(".") and name not in _LEFT_BEHIND


def list_images(folder: Path, suffixes: Sequence[str] = IMAGE_SUFFIXES) -> list[Path]:
    """The images of a folder, not of those below it, as `list_folder` has them.

    Whoever takes a folder for a video, or for its masks, has this order.

    Raises:
        FileError: it holds none, or is no folder that can be read.
    """
    images = [path for path in list_folder(folder) if path.suffix.lower() in suffixes]
    if not images:
        raise FileError(folder, f"holds no images ({', '.join(suffixes)})")
    return images


def natural(path: Path) -> list[tuple[int, int, str]]:
    """Sort key that takes digits as numbers: 9 before 10, with or without leading zeros."""
    parts = re.split(r"([0-9]+)", path.name)
    return [(0, int(p), p) if p.isdecimal() else (1, 0, p) for p in parts]
