"""Where the pictures of `virst-camera` come from. Knows no ROS."""

from __future__ import annotations

from dataclasses import dataclass, replace
import os
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import cv2
import numpy as np

from virst_model.errors import InputError
from virst_model.synthetic.camera import Picture
from virst_model.synthetic.scenes import Scene, demo_scene, make_scene
from virst_model.synthetic.splits import SPLITS

# What reads files brings Pillow, which a scene does not need: a tenth of the time of a start. So
# it is imported where a file is read.
if TYPE_CHECKING:
    from virst_model.sources.live import LiveVideo
    from virst_model.sources.playback import Playback

SCENE = "scene"
SCENE_SIZE = 640, 480
DEMO = "demo"
KINDS = (
    "a source is scene, a video file, a folder of images, a bag, a webcam (its number or "
    "/dev/videoN) or an address, rtsp://..."
)


class PictureError(InputError):
    """A source cannot be read; `str()` names it and says why."""


@dataclass(frozen=True)
class CameraFrame:
    """What a camera sees: uint8 RGB (H, W, 3).

    Attributes:
        ids_HW: uint8, the id of the object that is seen there, 0 for none; None without a truth.
        age_s: how long ago it was seen.
    """

    frame_HW3: np.ndarray
    ids_HW: np.ndarray | None = None
    age_s: float = 0.0


class CameraSource(Protocol):
    """Frames by time."""

    def read(self, t_s: float) -> CameraFrame | None:
        """The frame at `t_s` seconds, which never decreases; None behind the end.

        Raises InputError where there is none.
        """

    def close(self) -> None:
        """Gives back files and devices."""


def open_source(
    source: str,
    split: str = DEMO,
    seed: int = 0,
    width: int = 0,
    height: int = 0,
    photographs: str = "",
    topic: str = "",
    loop: bool = True,
) -> CameraSource:
    """`scene`, or what `virst_model.sources` knows: a recording, or a camera that is there.

    Args:
        source: which one.
        split: of a scene: demo, train, valid or test.
        seed: of a scene.
        width: of the pictures, in pixels; 0: the source's own, or what the height makes of it.
        height: as width.
        photographs: a folder; a scene is filmed before the one that `choose_photograph` names.
            Empty: before what the scene has.
        topic: of a bag, the images'.
        loop: a recording begins anew after its end.

    Raises:
        PictureError: it cannot be opened.
        virst_model.frames.FileError: the photograph cannot be read.
    """
    size = width, height
    if source == SCENE:
        _check_topic(topic, source)
        size = fitted(SCENE_SIZE, size)
        behind = _photograph(Path(photographs), seed, size) if photographs else None
        return SceneSource(_scene(split, seed), *size, behind)
    from virst_model.sources.live import is_live, public

    if photographs:
        name = public(source)
        raise PictureError(f"photographs {photographs}: belong to a scene, not to {name}")
    try:
        if is_live(source):
            return _open_camera(source, topic, size)
        return _open_recording(source, topic, loop, size)
    except InputError as error:
        hint = "" if is_live(source) or os.path.exists(source) else f"; {KINDS}"
        raise PictureError(f"{error}{hint}") from None


def choose_photograph(folder: Path, seed: int) -> Path:
    """The image of a seed: seeds take turns through the numbers in the names of a folder's images.

    Raises PictureError where there is none.
    """
    from virst_model.frames import FileError, list_images

    try:
        paths = list_images(folder)
    except FileError as error:
        raise PictureError(str(error)) from None
    return paths[seed % len(paths)]


def fitted(own: tuple[int, int], wanted: tuple[int, int]) -> tuple[int, int]:
    """(width, height) as wanted; where one is 0 the shape of `own` is kept, where both are, `own`.

    At least one pixel each.
    """
    width, height = wanted
    if width and not height:
        return width, max(1, round(own[1] * width / own[0]))
    if height and not width:
        return max(1, round(own[0] * height / own[1])), height
    return wanted if width else own


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


class RecordingSource:
    """Plays a recording, at a size of its own or another.

    Attributes:
        start_ns: of a bag, its first image's time; None of what knows only seconds.
    """

    def __init__(
        self, playback: Playback, size: tuple[int, int], start_ns: int | None = None
    ) -> None:
        self._playback, self._size, self.start_ns = playback, size, start_ns

    def read(self, t_s: float) -> CameraFrame | None:
        """As `Playback.read`."""
        frame_HW3 = self._playback.read(t_s)
        return None if frame_HW3 is None else CameraFrame(_resized(frame_HW3, self._size))

    def close(self) -> None:
        """Gives back the file."""
        self._playback.close()


class LiveSource:
    """What a camera sees now, at a size of its own or another."""

    def __init__(self, video: LiveVideo, size: tuple[int, int]) -> None:
        self._video, self._size = video, size

    def read(self, t_s: float) -> CameraFrame:
        """The next picture. Raises LiveError."""
        shot = self._video.read()
        return CameraFrame(_resized(shot.frame_HW3, self._size), age_s=shot.age_s)

    def close(self) -> None:
        """Gives back the camera."""
        self._video.close()


def _scene(split: str, seed: int) -> Scene:
    if split != DEMO and split not in SPLITS:
        raise PictureError(f"split {split!r} is not one of {', '.join((DEMO, *SPLITS))}")
    return demo_scene(seed) if split == DEMO else make_scene(seed, split)


def _check_topic(topic: str, name: str) -> None:
    if topic:
        raise PictureError(f"topic {topic}: belongs to a bag, not to {name}")


def _open_camera(source: str, topic: str, size: tuple[int, int]) -> LiveSource:
    from virst_model.sources.live import LiveVideo, public

    _check_topic(topic, public(source))
    return LiveSource(LiveVideo(source, *size), size)


def _open_recording(source: str, topic: str, loop: bool, size: tuple[int, int]) -> RecordingSource:
    from virst_model.sources.bag import Bag
    from virst_model.sources.named import open_recorded
    from virst_model.sources.playback import Playback

    frames = open_recorded(source, topic)
    start_ns = frames.start_ns if isinstance(frames, Bag) else None
    return RecordingSource(Playback(frames, loop), size, start_ns)


def bag_start_ns(source: CameraSource, name: str) -> int:
    """The time of a bag's first image; `name` is the source's, for people.

    Raises PictureError where it is no bag.
    """
    start_ns = source.start_ns if isinstance(source, RecordingSource) else None
    if start_ns is None:
        raise PictureError(f"clock: is that of a bag, and {name} is none")
    return start_ns


def _resized(frame_HW3: np.ndarray, wanted: tuple[int, int]) -> np.ndarray:
    own = frame_HW3.shape[1::-1]
    size = fitted(own, wanted)
    return frame_HW3 if size == own else cv2.resize(frame_HW3, size, interpolation=cv2.INTER_AREA)


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
