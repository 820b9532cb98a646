"""What is watched, picture by picture: a camera as it sees now, or a recording at its own pace."""

from __future__ import annotations

import os
import threading
import time
from typing import Protocol

from virst_model.errors import UsageError
from virst_model.frames import Frames
from virst_model.sources.live import LiveVideo, Shot, is_live, public
from virst_model.sources.named import open_recorded
from virst_model.sources.playback import Playback


class Film(Protocol):
    """Pictures, one after the other, for as long as somebody takes them."""

    def read(self) -> Shot:
        """Waits for the next picture. Raises InputError where none comes."""

    def close(self) -> None:
        """Gives back files and devices; called when nobody reads any more."""


class Projector:
    """A recording at its own pace, again and again; who is slow misses pictures."""

    def __init__(self, frames: Frames) -> None:
        """Raises FileError where no picture can be read."""
        self._playback = Playback(frames)
        self._period_s = 1 / frames.rate_hz
        self._begin_s: float | None = None
        self._due_s = 0.0

    def read(self) -> Shot:
        """As `Film.read`."""
        now_s = time.monotonic()
        if self._begin_s is None:
            self._begin_s = self._due_s = now_s
        wait_s = self._due_s - now_s
        if wait_s > 0:
            threading.Event().wait(wait_s)
        now_s = time.monotonic()
        self._due_s = max(self._due_s + self._period_s, now_s)
        return Shot(self._playback.read(now_s - self._begin_s), 0.0)

    def close(self) -> None:
        """As `Film.close`."""
        self._playback.close()


def open_film(name: str, topic: str = "") -> Film:
    """A webcam or an address of RTSP, or what `open_recorded` knows.

    Args:
        name: which one; a file or a folder of that name goes before a webcam's number.
        topic: of a bag with images on several.

    Raises:
        InputError: it cannot be opened, or has no such topic.
    """
    if not is_live(name) or os.path.isfile(name) or os.path.isdir(name):
        return Projector(open_recorded(name, topic))
    if topic:
        raise UsageError(f"topic {topic}: belongs to a bag, not to {public(name)}")
    return LiveVideo(name)
