"""Where the pictures of `virst-camera` come from. Knows no ROS."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from virst_model.errors import InputError
from virst_model.synthetic.camera import Picture
from virst_model.synthetic.scenes import Scene, demo_scene, make_scene

SCENE_SIZE = 640, 480


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
    path = Path(source)
    if path.is_dir():
        return FolderSource(path, width, height)
    if path.is_file():
        return VideoSource(path, width, height)
    raise PictureError(f"{source}: not `scene`, a file, a folder or the number of a webcam")


def choose_photograph(folder: Path, seed: int) -> Path:
    """The image of a seed: seeds take turns through the numbers in the names of a folder's images.

    Raises PictureError where there is none.
    """
    paths = _images(folder)
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


class VideoSource:
    """Plays a video at its own speed, again and again."""

    def __init__(self, path: Path, width: int = 0, height: int = 0) -> None:
        self._path, self._size = path, (width, height)
        self._capture = cv2.VideoCapture(str(path))
        if not self._capture.isOpened() or not self._capture.grab():
            raise PictureError(f"{path}: not a video that OpenCV can read")
        self._rate_hz = self._capture.get(cv2.CAP_PROP_FPS) or 30.0
        self._index = 0  # of the frame that was grabbed last, counted through all rounds

    def read(self, t_s: float) -> CameraFrame:
        """The video's frame at `t_s`. Raises PictureError where it cannot be decoded."""
        wanted = int(t_s * self._rate_hz)
        while self._index < wanted:
            self._grab()
        decoded, bgr_HW3 = self._capture.retrieve()
        if not decoded:
            raise PictureError(f"{self._path}: frame {self._index} cannot be decoded")
        return CameraFrame(_resized(cv2.cvtColor(bgr_HW3, cv2.COLOR_BGR2RGB), self._size))

    def close(self) -> None:
        """Gives back the capture."""
        self._capture.release()

    def _grab(self) -> None:
        if not self._capture.grab():
            # The end. Opening it again works where seeking does not.
            self._capture.release()
            self._capture = cv2.VideoCapture(str(self._path))
            if not self._capture.grab():
                raise PictureError(f"{self._path}: cannot be read a second time")
        self._index += 1


class FolderSource:
    """The images of a folder in the order of the numbers in their names, one a frame, again and
    again.
    """

    def __init__(self, folder: Path, width: int = 0, height: int = 0) -> None:
        # Brings Pillow, which no other source needs: a tenth of the time of a start.
        from virst_model import frames

        self._size = width, height
        self._read_image = frames.read_image
        self._paths = _images(folder)
        self._next = 0

    def read(self, t_s: float) -> CameraFrame:
        """The next image. Raises virst_model.frames.FileError where it cannot be read."""
        path = self._paths[self._next % len(self._paths)]
        self._next += 1
        return CameraFrame(_resized(self._read_image(path), self._size))

    def close(self) -> None:
        """Has nothing to give back."""


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


def _images(folder: Path) -> list[Path]:
    """A folder's images in the order of the numbers in their names; PictureError without any."""
    from virst_model import frames

    if not folder.is_dir():
        raise PictureError(f"{folder}: no such folder")
    images = (path for path in folder.iterdir() if path.suffix.lower() in frames.IMAGE_SUFFIXES)
    paths = sorted(images, key=frames.natural)
    if not paths:
        raise PictureError(f"{folder}: no images ({', '.join(frames.IMAGE_SUFFIXES)})")
    return paths


def _photograph(folder: Path, seed: int, size: tuple[int, int]) -> np.ndarray:
    """The photograph of a seed, its middle, as large as (width, height) takes it."""
    from virst_model import frames

    image_HW3 = frames.read_image(choose_photograph(folder, seed))
    height, width = image_HW3.shape[:2]
    scale = max(size[0] / width, size[1] / height)
    wide, tall = (max(1, round(length / scale)) for length in size)
    left, top = (width - wide) // 2, (height - tall) // 2
    middle_HW3 = image_HW3[top : top + tall, left : left + wide]
    return cv2.resize(middle_HW3, size, interpolation=cv2.INTER_AREA)
