"""Frames of a video file as images in a folder, taken out once."""

import logging
from pathlib import Path
import tempfile

from PIL import Image
from tqdm import tqdm

from virst_model.errors import FileError
from virst_model.frames import list_images, open_frames

# In the folder: how many bytes the video had. Times change where a data set is copied.
_SIZE = "video_size.txt"
# JPEG: nearly nothing is lost beside what the video's own compression did.
_QUALITY = 95

_log = logging.getLogger(__name__)


def cached_frames(video: Path, folder: Path) -> list[Path]:
    """The frames of `video` as `folder`/00000.jpg, ... in order, written if they are not there.

    The folder appears whole or not at all. Frames that cannot be decoded have no file; the others
    keep their numbers.

    Raises:
        FileError: the video cannot be read, the folder cannot be written or is of another video.
    """
    try:
        if not folder.is_dir():
            _extract(video, folder)
        size = folder / _SIZE
        if size.exists() and size.read_bytes() != str(video.stat().st_size).encode():
            raise FileError(folder, f"{video} was another when it was made; delete the folder")
    except OSError as error:
        raise FileError(
            folder,
            f"cannot be written ({error.strerror or error}); frames of {video} belong there",
        ) from None
    try:
        return list_images(folder, (".jpg",))
    except FileError as error:
        reason = f"{error.reason}; frames of {video} belong there: delete the folder"
        raise FileError(folder, reason) from None


def _extract(video: Path, folder: Path) -> None:
    """Raises FileError or OSError."""
    frames = open_frames(video)
    folder.parent.mkdir(exist_ok=True)
    # Beside its place, so that it can be moved there in one step.
    with tempfile.TemporaryDirectory(prefix=".", dir=folder.parent) as beside:
        unfinished = Path(beside) / folder.name
        unfinished.mkdir()
        lost = 0
        for frame in tqdm(frames, video.name, frames.length, unit="frame", disable=None):
            try:
                Image.fromarray(frame.read()).save(
                    unfinished / f"{frame.index:05d}.jpg", quality=_QUALITY
                )
            except FileError:
                lost += 1
        if lost:
            _log.warning("%s: %d frames cannot be decoded and are left out", video, lost)
        if lost == frames.length:
            raise FileError(video, "none of its frames can be decoded")
        (unfinished / _SIZE).write_text(str(video.stat().st_size))
        try:
            unfinished.rename(folder)
        except OSError:
            if not folder.is_dir():  # else another process was faster
                raise
