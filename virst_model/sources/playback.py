"""Shows a recording as it went: by its frames' times, once or again and again."""

import logging

import numpy as np

from virst_model.errors import FileError
from virst_model.frames import Frame, Frames, ImageFiles, first_image

# A frame that is so much older than what is wanted is left out undecoded: whoever cannot keep up
# with a recording would otherwise fall ever further behind.
STALE_S = 0.5
# Times of frames are sums and quotients.
_NEARLY_S = 1e-6

_log = logging.getLogger(__name__)


class Playback:
    """A video or a bag at its own times; a folder, which has none, one picture a call.

    A picture that cannot be read is named once, and the one before it is shown in its place.
    """

    def __init__(self, frames: Frames, loop: bool = True) -> None:
        """`loop`: begins anew after the end. Raises FileError where no picture can be read."""
        self._frames, self._loop = frames, loop
        self._by_time = not isinstance(frames, ImageFiles)
        self._shown_HW3 = first_image(frames)
        self._damaged: set[int] = set()
        self._reads = 0
        self._round = iter(frames)
        self._begin_s = self._last_s = 0.0  # of this round's first frame, and of its last so far
        self._next: Frame | None = next(self._round, None)

    def read(self, t_s: float) -> np.ndarray | None:
        """The frame at `t_s` seconds, which never decreases: uint8 RGB; None behind the end.

        Raises FileError where the recording is gone.
        """
        if not self._by_time:
            t_s = self._reads / self._frames.rate_hz
            self._reads += 1
        t_s += _NEARLY_S
        while True:
            while self._next is not None and self._begin_s + self._next.time_s <= t_s:
                self._take(self._next, t_s)
                self._next = next(self._round, None)
            if self._next is not None or t_s < self._end_s():
                return self._shown_HW3
            if not self._loop:
                return None
            self._begin_anew()

    def close(self) -> None:
        """Gives back the file."""
        self._round = iter(())

    def _take(self, frame: Frame, t_s: float) -> None:
        """Shows the frame from now on. It is decoded before the next one is asked for."""
        self._last_s = self._begin_s + frame.time_s
        if self._last_s < t_s - STALE_S:
            return
        try:
            self._shown_HW3 = frame.read()
        except FileError as error:
            if frame.index not in self._damaged:
                self._damaged.add(frame.index)
                _log.warning("%s; the picture before it is shown instead", error)

    def _end_s(self) -> float:
        """Of this round, once its last frame is known."""
        return self._last_s + 1 / self._frames.rate_hz

    def _begin_anew(self) -> None:
        """Opening it again works where seeking does not."""
        self._begin_s = self._last_s = self._end_s()
        self._round = iter(self._frames)
        self._next = next(self._round, None)
        if self._next is None:
            raise FileError(self._frames.path, "cannot be read a second time")
