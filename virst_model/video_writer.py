"""Writes pictures as a video that browsers and phones play."""

from fractions import Fraction
import logging
import os
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from virst_model.errors import FileError

# Rates outside of these are written as these: what a player makes of them does not matter.
SLOWEST_HZ, FASTEST_HZ = 0.01, 90_000.0
# Times of mp4 files: what MPEG counts in.
_TICK_S = Fraction(1, 90_000)
# A frame at a time: what an encoder keeps for later may be gigabytes, and what it saves little.
_X264 = {
    "preset": "veryfast",
    "crf": "23",
    "x264-params": "rc-lookahead=0:sync-lookahead=0:mbtree=0:bframes=0:sliced-threads=1",
}
_REMEDY = "pip install 'virst_ros[video]' brings PyAV, which writes H.264"

_log = logging.getLogger(__name__)


def openable(path: str | os.PathLike[str]) -> str:
    """A file's name for FFmpeg: absolute, so that no `x:` in it is taken for a protocol.

    Raises:
        FileError: it has bytes that are no text, at which OpenCV ends the process.
    """
    name = os.path.abspath(path)
    try:
        name.encode()
    except UnicodeEncodeError:
        raise FileError(path, "its name is not UTF-8; rename it") from None
    return name


class _Encoder(Protocol):
    """A file that is being written."""

    def write(self, bgr_HW3: np.ndarray, time_s: float) -> None: ...

    def close(self) -> None: ...


class VideoWriter:
    """An mp4 file of pictures at their own times, which is made with the first one, at its size.

    H.264 by PyAV where that is installed; otherwise, and for what H.264 has no size for, VP9 by
    OpenCV, which takes several times as long.
    """

    def __init__(self, path: Path, rate_hz: float) -> None:
        """`rate_hz`: pictures a second, of those that come without a time, and of the last."""
        self.path = path
        self._rate_hz = min(max(rate_hz, SLOWEST_HZ), FASTEST_HZ)
        self._encoder: _Encoder | None = None
        self._size = (0, 0)
        self._next_s = 0.0

    def write(self, bgr_HW3: np.ndarray, time_s: float | None = None) -> None:
        """Adds a picture, uint8 BGR, of another size than the first at that of the first.

        Args:
            time_s: when it is shown, in seconds from the start; None: a period after the last.

        Raises:
            FileError: the file cannot be written.
        """
        if self._encoder is None:
            self._size = bgr_HW3.shape[1::-1]
            self._encoder = _open_encoder(self.path, _even(bgr_HW3).shape[1::-1], self._rate_hz)
        if bgr_HW3.shape[1::-1] != self._size:
            bgr_HW3 = cv2.resize(bgr_HW3, self._size)
        time_s = self._next_s if time_s is None else time_s
        self._next_s = time_s + 1 / self._rate_hz
        self._encoder.write(_even(bgr_HW3), time_s)

    def close(self) -> None:
        """Finishes the file, where there is one. Raises FileError where that fails."""
        encoder, self._encoder = self._encoder, None
        if encoder is not None:
            encoder.close()


def _even(bgr_HW3: np.ndarray) -> np.ndarray:
    """With its last row and column twice where their number is odd: four pixels share a colour."""
    height, width = bgr_HW3.shape[:2]
    if height % 2 == width % 2 == 0:
        return bgr_HW3
    border = (0, height % 2, 0, width % 2)
    return cv2.copyMakeBorder(bgr_HW3, *border, cv2.BORDER_REPLICATE)


def _open_encoder(path: Path, size: tuple[int, int], rate_hz: float) -> _Encoder:
    try:
        path.open("wb").close()
    except OSError as error:
        raise FileError(path, f"cannot be written ({error.strerror})") from None
    try:
        return _H264File(path, size, rate_hz)
    except ImportError:
        _log.warning("%s: written as VP9, which takes long; %s", path, _REMEDY)
    except FileError as error:
        _log.warning("%s; written as VP9, which takes long", error)
    return _Vp9File(path, size, rate_hz)


class _H264File:
    """By PyAV's libx264."""

    def __init__(self, path: Path, size: tuple[int, int], rate_hz: float) -> None:
        """Raises ImportError without PyAV, and FileError where it cannot encode that size."""
        import av

        self._av, self._path = av, path
        self._period = max(1, round(1 / rate_hz / _TICK_S))
        self._last = -1
        av.logging.set_level(av.logging.PANIC)
        try:
            # The head of the file first: players need not have the whole of it.
            self._file = av.open(openable(path), "w", options={"movflags": "+faststart"})
            self._stream = self._file.add_stream(
                "libx264", rate=Fraction(rate_hz).limit_denominator(1001), options=_X264
            )
            self._stream.width, self._stream.height = size
            self._stream.pix_fmt = "yuv420p"
            self._stream.codec_context.time_base = _TICK_S
            self._stream.codec_context.open()
        except self._errors as error:
            raise self._failure(error) from None

    def write(self, bgr_HW3: np.ndarray, time_s: float) -> None:
        frame = self._av.VideoFrame.from_ndarray(np.ascontiguousarray(bgr_HW3), format="bgr24")
        self._last = max(self._last + 1, round(time_s / _TICK_S))
        frame.pts, frame.time_base = self._last, _TICK_S
        self._encode(frame)

    def close(self) -> None:
        self._encode(None)
        try:
            self._file.close()
        except self._errors as error:
            raise self._failure(error) from None

    def _encode(self, frame: object) -> None:
        """`frame` of PyAV; None: what is left."""
        try:
            for packet in self._stream.encode(frame):
                packet.duration = self._period  # of the last; the others end where the next begins
                self._file.mux(packet)
        except self._errors as error:
            raise self._failure(error) from None

    @property
    def _errors(self) -> tuple[type[Exception], ...]:
        return (self._av.error.FFmpegError, OSError, ValueError)

    def _failure(self, error: Exception) -> FileError:
        return FileError(self._path, f"cannot be written ({getattr(error, 'strerror', error)})")


class _Vp9File:
    """By OpenCV, at one rate: a picture is held by being written again, for a second at most."""

    def __init__(self, path: Path, size: tuple[int, int], rate_hz: float) -> None:
        """Raises FileError where OpenCV has no such encoder."""
        self._rate_hz, self._written = rate_hz, 0
        self._file = cv2.VideoWriter(
            openable(path), cv2.VideoWriter_fourcc(*"vp09"), rate_hz, size
        )
        if not self._file.isOpened():
            reason = f"cannot be written: no encoder for {size[0]}x{size[1]}"
            raise FileError(path, f"{reason}; {_REMEDY}")

    def write(self, bgr_HW3: np.ndarray, time_s: float) -> None:
        missing = round(time_s * self._rate_hz) + 1 - self._written
        for _ in range(min(missing, max(1, int(self._rate_hz)))):
            self._file.write(bgr_HW3)
        self._written += max(0, missing)

    def close(self) -> None:
        self._file.release()
