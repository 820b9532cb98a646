"""Where the pictures of `virst-camera` come from. Knows no ROS."""

from __future__ import annotations

from dataclasses import dataclass, replace
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import cv2
import numpy as np

from virst_model.errors import FileError, InputError
from virst_model.synthetic.camera import Picture
from virst_model.synthetic.scenes import Scene, demo_scene, make_scene

# What reads files brings Pillow, which a scene does not need: a tenth of the time of a start. So
# it is imported where a file is read.
if TYPE_CHECKING:
    from virst_model.frames import Frame, Frames

SCENE_SIZE = 640, 480

_log = logging.getLogger(__name__)


class PictureError(InputError):
    """A source cannot be read; `str()` names it and says why."""


@dataclass(frozen=True)
class CameraFrame:
    """What a camera sees: uint8 RGB (H, W, 3).

    Attributes:
        ids_HW: uint8, the id of the object that is seen there, 0 for none; None without a truth.
    """

    frame_HW3: np.ndarray
    ids_HW: np.ndarray | None = None


class CameraSource(Protocol):
    """Frames by time."""

    def read(self, t_s: float) -> CameraFrame:
        """The frame at `t_s` seconds, which never decreases. Raises InputError without one."""

    def close(self) -> None:
        """Gives back files and devices."""


def open_source(
    source: str,
    split: str = "demo",
    seed: int = 0,
    width: int = 0,
    height: int = 0,
    photographs: str = "",
) -> CameraSource:
    """`scene`, a video file, a folder of images or the number of a webcam.

    Args:
        source: which one.
        split: of a scene: demo, train, valid or test.
        seed: of a scene.
        width: of the pictures, in pixels; 0 with height 0 is the source's own size.
        height: as width.
        photographs: a folder; a scene is filmed before the one that `choose_photograph` names.
            Empty: before what the scene has.

    Raises:
        PictureError: it cannot be opened.
        virst_model.frames.FileError: the photograph cannot be read.
    """
    if bool(width) != bool(height):
        raise PictureError(f"width {width} and height {height}: give both or none")
    if source == "scene":
        try:
            scene = demo_scene(seed) if split == "demo" else make_scene(seed, split)
        except ValueError as error:
            raise PictureError(str(error)) from None
        size = (width, height) if width else SCENE_SIZE
        behind = _photograph(Path(photographs), seed, size) if photographs else None
        return SceneSource(scene, *size, behind)
    if photographs:
        raise PictureError(f"photographs {photographs}: belong to a scene, not to {source}")
    if source.isdecimal():
        return WebcamSource(int(source), width, height)
    from virst_model.frames import open_frames

    try:
        return FileSource(open_frames(source), width, height)
    except FileError as error:
        what = "a source is `scene`, a file, a folder or the number of a webcam"
        raise PictureError(f"{error}; {what}") from None


def choose_photograph(folder: Path, seed: int) -> Path:
    """The image of a seed: seeds take turns through the numbers in the names of a folder's images.

    Raises PictureError where there is none.
    """
    from virst_model.frames import list_images

    try:
        paths = list_images(folder)
    except FileError as error:
        raise PictureError(str(error)) from None
    return paths[seed % len(paths)]


class SceneSource:
    """Films a synthetic scene; knows the truth.

    Attributes:
        scene: what is filmed, also where a photograph stands in place of its backdrop.
    """

    def __init__(
        self, scene: Scene, width: int, height: int, behind_HW3: np.ndarray | None = None
    ) -> None:
        """`behind_HW3` is uint8 RGB, None the scene's own backdrop."""
        self.scene = self._filmed = scene
        if behind_HW3 is not None:
            view = replace(scene.view, backdrop=Picture(behind_HW3))
            self._filmed = replace(scene, view=view)
        self._width, self._height = width, height

    def read(self, t_s: float) -> CameraFrame:
        """The scene at `t_s`, with its ids."""
        return CameraFrame(*self._filmed.render(t_s, self._height, self._width))

    def close(self) -> None:
        """Has nothing to give back."""


class FileSource:
    """Plays a video at its own speed, or a folder one picture a frame, again and again.

    A picture that cannot be read is named once, and the one before it is shown in its place.
    """

    def __init__(self, frames: Frames, width: int = 0, height: int = 0) -> None:
        """Raises FileError where no picture can be read."""
        from virst_model.frames import VideoFile, first_image

        self._frames, self._size = frames, (width, height)
        # A folder has no speed of its own.
        self._rate_hz = frames.rate_hz if isinstance(frames, VideoFile) else None
        self._shown_HW3 = first_image(frames)
        self._damaged: set[int] = set()
        self._reads = 0
        self._count = -1  # the current frame's number, counted through all rounds
        self._round = iter(frames)
        self._frame = self._advance()

    def read(self, t_s: float) -> CameraFrame:
        """The video's frame at `t_s`, or a folder's next. Raises FileError where it is gone."""
        wanted = self._reads if self._rate_hz is None else int(t_s * self._rate_hz)
        self._reads += 1
        while self._count < wanted:
            self._frame = self._advance()
        try:
            self._shown_HW3 = self._frame.read()
        except FileError as error:
            if self._frame.index not in self._damaged:
                self._damaged.add(self._frame.index)
                _log.warning("%s; the picture before it is shown instead", error)
        return CameraFrame(_resized(self._shown_HW3, self._size))

    def close(self) -> None:
        """Gives back the file."""
        self._round = iter(())

    def _advance(self) -> Frame:
        self._count += 1
        frame = next(self._round, None)
        if frame is None:
            # The end. Opening it again works where seeking does not.
            self._round = iter(self._frames)
            frame = next(self._round, None)
        if frame is None:
            raise FileError(self._frames.path, "cannot be read a second time")
        return frame


class WebcamSource:
    """A camera of this machine."""

    def __init__(self, number: int, width: int = 0, height: int = 0) -> None:
        self._number = number
        self._capture = cv2.VideoCapture(number)
        if not self._capture.isOpened():
            raise PictureError(f"webcam {number} cannot be opened")
        if width:
            self._capture.set(cv2.CAP_PROP_FRAME_WIDTH, width)
            self._capture.set(cv2.CAP_PROP_FRAME_HEIGHT, height)
        # The newest picture, not the driver's queue of old ones.
        self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)

    def read(self, t_s: float) -> CameraFrame:
        """What the camera sees now. Raises PictureError where it gives nothing."""
        decoded, bgr_HW3 = self._capture.read()
        if not decoded:
            raise PictureError(f"webcam {self._number} gives no picture")
        return CameraFrame(cv2.cvtColor(bgr_HW3, cv2.COLOR_BGR2RGB))

    def close(self) -> None:
        """Gives back the capture."""
        self._capture.release()


def _resized(frame_HW3: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """At (width, height); (0, 0) keeps the size."""
    if not size[0] or frame_HW3.shape[1::-1] == size:
        return frame_HW3
    return cv2.resize(frame_HW3, size, interpolation=cv2.INTER_AREA)


def _photograph(folder: Path, seed: int, size: tuple[int, int]) -> np.ndarray:
    """The photograph of a seed, its middle, as large as (width, height) takes it."""
    from virst_model.image_file import read_image

    image_HW3 = read_image(choose_photograph(folder, seed))
    height, width = image_HW3.shape[:2]
    scale = max(size[0] / width, size[1] / height)
    wide, tall = (max(1, round(length / scale)) for length in size)
    left, top = (width - wide) // 2, (height - tall) // 2
    middle_HW3 = image_HW3[top : top + tall, left : left + wide]
    return cv2.resize(middle_HW3, size, interpolation=cv2.INTER_AREA)
