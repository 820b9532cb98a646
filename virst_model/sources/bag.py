"""The images of a bag of ROS 2 as a video: rosbag2 of sqlite3 or MCAP, read without ROS."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
import functools
import logging
import math
import os
from pathlib import Path
import re
from typing import TYPE_CHECKING, Any

import numpy as np

from virst_model.compressed import compressed_to_rgb
from virst_model.encodings import MAX_PIXELS, ImageError, bytes_to_rgb, check_pixels
from virst_model.errors import FileError, visible
from virst_model.frames import DEFAULT_RATE_HZ, Clock, Frame, list_folder
from virst_model.video_writer import openable

if TYPE_CHECKING:
    from rosbags.rosbag2 import Reader

RAW, COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
# What a recorder writes into; behind it, where the file was compressed as a whole.
_STORAGES, _PACKED = (".db3", ".mcap"), ".zstd"
_METADATA, _ITS_KEY = "metadata.yaml", "rosbag2_bagfile_information"
_NS = 1e-9
# rosbags hands sqlite a path as an address, in which these are no letters.
_NO_LETTERS = re.compile(r"[?#]|%[0-9a-fA-F]{2}")

_log = logging.getLogger(__name__)


def is_bag(path: Path) -> bool:
    """Whether that is a bag: a folder of rosbag2, or a file of its storage.

    Raises FileError where a folder cannot be read.
    """
    if not os.path.isdir(path):
        return os.path.isfile(path) and (_is_storage(path) or path.suffix == ".bag")
    return _has_metadata(path) or any(map(_is_storage, list_folder(path)))


class Bag:
    """The images of one topic, in the order of their recording; names are numbers in five digits.

    A frame's time is its header's stamp, that of the recording where a header has none. A damaged
    message keeps its place, as a damaged frame of a video does.

    Attributes:
        topic: the images'.
    """

    def __init__(self, path: str | os.PathLike[str], topic: str = "") -> None:
        """`topic`: which images; empty where the bag has those of one topic only.

        Raises:
            FileError: it cannot be read, has no images, no such topic, or several without a
                choice: these are named.
        """
        self.path = str(path)
        openable(path)
        self._storages = _storages(Path(path))
        kinds: dict[str, str] = {}
        counts: dict[str, int] = {}
        seconds = 0.0
        for storage in self._storages:
            with _opened(storage, self.path) as reader:
                for connection in reader.connections:
                    name = connection.topic
                    kinds[name] = connection.msgtype
                    counts[name] = counts.get(name, 0) + connection.msgcount
                seconds += reader.duration * _NS
        self.topic = _choose(self.path, kinds, counts, topic)
        self.length = counts[self.topic]
        rate_hz = (self.length - 1) / seconds if seconds else 0.0
        self.rate_hz = rate_hz if rate_hz > 0 else DEFAULT_RATE_HZ

    def __iter__(self) -> Iterator[Frame]:
        clock = Clock(self.rate_hz)
        index, time_s = 0, 0.0
        try:
            for kind, recorded_s, data in self._messages():
                message = _Message(self.path, index, kind, data)
                time_s = clock.tick(message.stamp_s(recorded_s))
                yield Frame(index, time_s, f"{index:05d}", message.to_rgb)
                index += 1
        except FileError as error:
            if not index:
                raise
            _log.warning("%s; what comes before it is used", error)
        if index < self.length:
            _log.warning(
                "%s: ends after %d frames; its header says %d", self.path, index, self.length
            )
        self.length = index
        if time_s > 0:
            self.rate_hz = (index - 1) / time_s

    def _messages(self) -> Iterator[tuple[str, float, bytes]]:
        """Type, time of the recording in seconds, and bytes of each; FileError where they end."""
        for storage in self._storages:
            with _opened(storage, self.path) as reader:
                ours = [c for c in reader.connections if c.topic == self.topic]
                messages = reader.messages(ours) if ours else iter(())
                while True:
                    with _named(self.path):
                        message = next(messages, None)
                    if message is None:
                        break
                    connection, recorded_ns, data = message
                    yield connection.msgtype, recorded_ns * _NS, data


class _Message:
    """An image that has not been made a picture yet."""

    def __init__(self, path: str, index: int, kind: str, data: bytes) -> None:
        self._path, self._index = path, index
        self._message: Any = None
        self._fault = ""
        try:
            with _named(path):
                self._message = _types().deserialize_cdr(data, kind)
        except FileError as error:
            self._fault = error.reason

    def stamp_s(self, recorded_s: float) -> float:
        """The header's; `recorded_s` where that is 0, NaN where it cannot be read."""
        if self._message is None:
            return math.nan
        stamp = self._message.header.stamp
        return stamp.sec + stamp.nanosec * _NS or recorded_s

    def to_rgb(self) -> np.ndarray:
        """uint8 RGB (H, W, 3). Raises FileError."""
        message = self._message
        if message is None:
            raise self._error(self._fault)
        try:
            if hasattr(message, "format"):
                return compressed_to_rgb(message.format, message.data, MAX_PIXELS)
            check_pixels(message.width, message.height, MAX_PIXELS)
            frame_HW3 = bytes_to_rgb(
                message.encoding,
                message.width,
                message.height,
                message.step,
                bool(message.is_bigendian),
                message.data,
            )
        except ImageError as error:
            raise self._error(str(error)) from None
        return np.require(frame_HW3, requirements=["W"])  # not a view of the bag's bytes

    def _error(self, reason: str) -> FileError:
        return FileError(self._path, f"frame {self._index} cannot be decoded ({visible(reason)})")


def _choose(path: str, kinds: dict[str, str], counts: dict[str, int], topic: str) -> str:
    """The topic that is read, of all (name -> type, name -> number of messages)."""
    images = sorted(name for name, kind in kinds.items() if kind in (RAW, COMPRESSED))
    if not images:
        all_of_them = ", ".join(f"{name} ({kinds[name]})" for name in sorted(kinds)) or "none"
        raise FileError(path, f"holds no images that can be read; its topics: {all_of_them}")
    listed = ", ".join(images)
    if topic:
        name = "/" + topic.lstrip("/")
        if name in images:
            return name
        if name in kinds:
            what = f"topic {name} holds {kinds[name]}, which cannot be read as pictures"
        else:
            what = f"has no topic {name}"
        raise FileError(path, f"{what}; its images: {listed}")
    filled = [name for name in images if counts[name]] or images
    if len(filled) > 1:
        reason = (
            f"has images on {len(filled)} topics; --topic (of virst-camera: topic:=) says which"
        )
        raise FileError(path, f"{reason}: {listed}")
    return filled[0]


def _is_storage(path: Path) -> bool:
    name = path.name.removesuffix(_PACKED)
    return name.endswith(_STORAGES)


def _has_metadata(folder: Path) -> bool:
    try:
        with open(folder / _METADATA, "rb") as file:
            return _ITS_KEY.encode() in file.read(1000)
    except OSError:
        return False


def _storages(path: Path) -> list[Path]:
    """What is opened: the folder with its metadata, a file, or a folder's files in their order."""
    if path.suffix == ".bag":
        reason = (
            "is a bag of ROS 1; `rosbags-convert` of the package rosbags makes it one of ROS 2"
        )
        raise FileError(path, reason)
    if path.name.endswith(_PACKED):
        raise FileError(path, f"is compressed as a whole; give its folder, with {_METADATA}")
    files = list_folder(path) if path.is_dir() else [path]
    if _NO_LETTERS.search(str(path)) and any(file.suffix == ".db3" for file in files):
        raise FileError(path, "has ?, # or % in its path, which sqlite cannot open; rename it")
    if not path.is_dir() or _has_metadata(path):
        return [path]
    # A recorder that was killed writes no metadata.
    return [file for file in files if file.name.endswith(_STORAGES)]


@contextmanager
def _opened(storage: Path, path: str) -> Iterator[Reader]:
    """A reader of rosbags. Raises FileError with `path`, that of the bag."""
    try:
        from rosbags.rosbag2 import Reader
    except ImportError:
        reason = "is a bag, which the package rosbags reads; pip install 'virst_ros[bags]'"
        raise FileError(path, reason) from None
    with _named(path):
        reader = Reader(storage)
        reader.open()
    try:
        yield reader
    finally:
        reader.close()


@contextmanager
def _named(path: str) -> Iterator[None]:
    """What rosbags raises, as a FileError of that path. Entered around calls of rosbags only.

    For damage it raises what its parsers do: of sqlite, YAML, zstd, lz4 and struct, by version.
    """
    try:
        yield
    except Exception as error:
        reason = str(error) or type(error).__name__
        raise FileError(path, f"cannot be read ({visible(reason)})") from error


@functools.lru_cache
def _types() -> Any:
    """Of rosbags, how messages are written. Images are the same in each ROS 2."""
    from rosbags.typesys import Stores, get_typestore

    return get_typestore(Stores.ROS2_HUMBLE)
