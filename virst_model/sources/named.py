"""What a name of a source stands for."""

from argparse import ArgumentParser
import os
from pathlib import Path

from virst_model.errors import UsageError, visible
from virst_model.frames import Frames, open_frames
from virst_model.sources.bag import Bag, is_bag
from virst_model.sources.live import is_live, public


def add_source(parser: ArgumentParser) -> None:
    """The arguments `video` and `topic`, for `open_recorded`."""
    parser.add_argument(
        "video", help="a video file, a folder of images, an image, or a bag (folder, .db3, .mcap)"
    )
    parser.add_argument("--topic", default="", help="of a bag with images on several")


def open_recorded(name: str, topic: str = "") -> Frames:
    """A video file, a folder of images, an image or a bag.

    Args:
        name: its path.
        topic: of a bag, the images'; empty where it has images on one only.

    Raises:
        FileError: it cannot be read, or a bag has no such topic, or several and none is named.
        UsageError: it is no recording but a camera, or a topic is named of what is no bag.
    """
    path = Path(name)
    if is_live(name) and not (os.path.isfile(name) or os.path.isdir(name)):
        raise UsageError(
            f"{public(name)}: a camera has no end; record it first, or start the node and "
            "`virst-camera`"
        )
    if is_bag(path):
        return Bag(path, topic)
    if topic:
        raise UsageError(f"topic {topic}: belongs to a bag, not to {visible(name)}")
    return open_frames(path)
