"""The images of a bag of ROS 2 as a video: rosbag2 of sqlite3 or MCAP, read without ROS."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
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
    from rosbags.interfaces import Connection
    from rosbags.rosbag2 import Reader

RAW, COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
# What a recorder writes into; behind it, where the file was compressed as a whole.
_STORAGES, _PACKED = (".db3", ".mcap"), ".zstd"
_METADATA, _ITS_KEY = "metadata.yaml", "rosbag2_bagfile_information"
_MCAP = b"\x89MCAP0\r\n"  # the first bytes of its files, and the last
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


@dataclass(frozen=True)
class Record:
    """A message as it lies in a bag.

    Attributes:
        kind: its type.
        recorded_ns: when it was recorded, in ns since 1970.
        data: CDR.
    """

    topic: str
    kind: str
    recorded_ns: int
    data: bytes


class Bag:
    """The images of one topic, in the order of their recording; names are numbers in five digits.

    A frame's time is its header's stamp, that of the recording where a header has none. A damaged
    message keeps its place, as a damaged frame of a video does.

    Attributes:
        topic: the images'.
        connections: rosbags' words on all topics: names, types, definitions and QoS.
        is_mcap: how it is stored; else it is sqlite3.
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
        self.connections: list[Connection] = []
        for storage in self._storages:
            with _opened(storage, self.path) as reader:
                for connection in reader.connections:
                    name = connection.topic
                    kinds[name] = connection.msgtype
                    counts[name] = counts.get(name, 0) + connection.msgcount
                    self.connections.append(connection)
                seconds += reader.duration * _NS
        self.is_mcap = any(_suffix(file) == ".mcap" for file in _files(Path(path)))
        self.topic = _choose(self.path, kinds, counts, topic)
        self.length = counts[self.topic]
        rate_hz = (self.length - 1) / seconds if seconds else 0.0
        self.rate_hz = rate_hz if rate_hz > 0 else DEFAULT_RATE_HZ

    def __iter__(self) -> Iterator[Frame]:
        clock = Clock(self.rate_hz)
        time_s = 0.0
        index = -1
        for index, record in enumerate(self.records([self.topic])):
            image = self.image(index, record)
            time_s = clock.tick(image.time_ns * _NS if image.is_whole else math.nan)
            yield Frame(index, time_s, f"{index:05d}", image.to_rgb)
        if index + 1 < self.length:
            _log.warning(
                "%s: ends after %d frames; its header says %d", self.path, index + 1, self.length
            )
        self.length = index + 1
        if time_s > 0:
            self.rate_hz = index / time_s

    @property
    def start_ns(self) -> int:
        """The first image's time, as `BagImage.time_ns` has it; 0 without images."""
        for record in self.records([self.topic]):
            return self.image(0, record).time_ns
        return 0

    def records(self, topics: Collection[str]) -> Iterator[Record]:
        """The messages of these topics as they were recorded, in that order.

        Where the bag is damaged they end, and a warning says so. Raises FileError where not one
        can be read.
        """
        read_one = False
        try:
            for record in self._records(topics):
                yield record
                read_one = True
        except FileError as error:
            if not read_one:
                raise
            _log.warning("%s; what comes before it is used", error)

    def image(self, index: int, record: Record) -> BagImage:
        """An image of `topic`; `index` is its number, for people."""
        return BagImage(self.path, index, record)

    def _records(self, topics: Collection[str]) -> Iterator[Record]:
        """FileError where they end too early."""
        for storage in self._storages:
            with _opened(storage, self.path) as reader:
                ours = [c for c in reader.connections if c.topic in topics]
                messages = reader.messages(ours) if ours else iter(())
                while True:
                    with _named(self.path):
                        message = next(messages, None)
                    if message is None:
                        break
                    connection, recorded_ns, data = message
                    yield Record(connection.topic, connection.msgtype, recorded_ns, data)


class BagImage:
    """An image that has not been made a picture yet.

    Attributes:
        recorded_ns: when it was recorded.
        header: a std_msgs/Header of rosbags; None where the message cannot be read.
    """

    def __init__(self, path: str, index: int, record: Record) -> None:
        """`index`: its number, for people."""
        self._path, self._index = path, index
        self.recorded_ns = record.recorded_ns
        self._message: Any = None
        self._fault = ""
        try:
            with _named(path):
                self._message = _types().deserialize_cdr(record.data, record.kind)
        except FileError as error:
            self._fault = error.reason

    @property
    def is_whole(self) -> bool:
        """Whether the message can be read; its picture may be damaged all the same."""
        return self._message is not None

    @property
    def name(self) -> str:
        """Bag and number, for people."""
        return f"{visible(self._path)}: frame {self._index}"

    @property
    def header(self) -> Any:
        return self._message.header if self.is_whole else None

    @property
    def time_ns(self) -> int:
        """The header's stamp; when it was recorded where that is 0, or cannot be read."""
        if not self.is_whole:
            return self.recorded_ns
        stamp = self.header.stamp
        return stamp.sec * 10**9 + stamp.nanosec or self.recorded_ns

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
    return _suffix(path) in _STORAGES


def _suffix(path: Path) -> str:
    """Of a storage's file, that of what was compressed."""
    return Path(path.name.removesuffix(_PACKED)).suffix


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
    files = _files(path)
    check_path(path, all(file.suffix != ".db3" for file in files))
    if not path.is_dir() or _has_metadata(path):
        return [path]
    # A recorder that was killed writes no metadata.
    return [file for file in files if file.name.endswith(_STORAGES)]


def check_path(path: Path, as_mcap: bool) -> None:
    """Raises FileError where sqlite, through rosbags, would take the path for another one."""
    if not as_mcap and _NO_LETTERS.search(str(path)):
        raise FileError(path, "has ?, # or % in its path, which sqlite cannot open; rename it")


def _files(path: Path) -> list[Path]:
    return list_folder(path) if path.is_dir() else [path]


@contextmanager
def _opened(storage: Path, path: str) -> Iterator[Reader]:
    """A reader of rosbags. Raises FileError with `path`, that of the bag."""
    try:
        from rosbags.rosbag2 import Reader
    except ImportError:
        reason = "is a bag, which the package rosbags reads; pip install 'virst_ros[bags]'"
        raise FileError(path, reason) from None
    _check_end(storage, path)
    with _named(path):
        reader = Reader(storage)
        reader.open()
    try:
        yield reader
    finally:
        reader.close()


def _check_end(storage: Path, path: str) -> None:
    """Raises FileError where a file of MCAP was not closed: its index is at its end."""
    for file in _files(storage):
        if file.suffix != ".mcap":
            continue
        try:
            with open(file, "rb") as read:
                begun = read.read(len(_MCAP)) == _MCAP
                read.seek(max(0, file.stat().st_size - len(_MCAP)))
                closed = read.read() == _MCAP
        except OSError as error:
            raise FileError(path, f"cannot be read ({error.strerror or error})") from None
        if begun and not closed:
            raise FileError(
                path,
                f"was not closed, as of a recorder that was killed; mcap recover {visible(file)} "
                "-o WHOLE.mcap makes one that is, to be put in its place",
            )


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
