"""A camera as it sees now: a webcam of this machine, or one of the network."""

from __future__ import annotations

from dataclasses import dataclass
import glob
import os
import re
import threading
import time

import cv2
import numpy as np

from virst_model.errors import InputError, visible

# What a picture may take: the first waits for a device that wakes up, or for a key frame.
FIRST_LIMIT_S, LIMIT_S = 20.0, 5.0
_DEVICE = re.compile(r"/dev/video([0-9]+)")
_STREAM = re.compile(r"rtsps?://", re.IGNORECASE)
_SECRET = re.compile(r"(?<=//)[^/@]*@")


class LiveError(InputError):
    """A camera cannot be opened, or gives no picture; `str()` names it."""


@dataclass(frozen=True)
class Shot:
    """What a camera saw: uint8 RGB (H, W, 3).

    Attributes:
        age_s: how long ago.
    """

    frame_HW3: np.ndarray
    age_s: float


def is_live(name: str) -> bool:
    """Whether that is a webcam (its number, /dev/videoN or a link to it) or an address of RTSP."""
    return _device(name) is not None or bool(_STREAM.match(name))


def public(name: str) -> str:
    """The name without the password of an address, for logs and messages."""
    return visible(_SECRET.sub("", name) if _STREAM.match(name) else name)


class LiveVideo:
    """Gives the next picture from now on.

    A thread takes all others, too, and drops them: in a queue they would grow old.
    """

    def __init__(self, name: str, width: int = 0, height: int = 0) -> None:
        """`width`, `height`: what a webcam is asked for, which gives what is near; 0: its own.

        Raises LiveError where there is no such camera, or no picture comes.
        """
        self._name = f"webcam {name}" if name.isdecimal() else public(name)
        device = _device(name)
        self._capture = cv2.VideoCapture(name if device is None else device)
        if not self._capture.isOpened():
            raise LiveError(f"{self._name} cannot be opened{_advice(device)}")
        if width:
            self._capture.set(cv2.CAP_PROP_FRAME_WIDTH, width)
        if height:
            self._capture.set(cv2.CAP_PROP_FRAME_HEIGHT, height)
        self._changed = threading.Condition()
        self._wanted = self._over = False
        self._taken: tuple[np.ndarray, float] | None = None  # BGR, and when
        self._thread = threading.Thread(target=self._watch, name="camera", daemon=True)
        self._thread.start()
        try:
            self._next(FIRST_LIMIT_S)
        except LiveError:
            self.close()
            raise

    def read(self) -> Shot:
        """The next picture. Raises LiveError where none comes."""
        bgr_HW3, taken_s = self._next(LIMIT_S)
        return Shot(cv2.cvtColor(bgr_HW3, cv2.COLOR_BGR2RGB), time.monotonic() - taken_s)

    def close(self) -> None:
        """Gives back the camera; one that hangs is left to its thread."""
        with self._changed:
            self._over = True
        self._thread.join(LIMIT_S)

    def _next(self, limit_s: float) -> tuple[np.ndarray, float]:
        with self._changed:
            self._taken, self._wanted = None, True
            self._changed.wait_for(lambda: self._taken or self._over, limit_s)
            taken = self._taken
        if taken is None:
            raise LiveError(f"{self._name} gives no picture")
        return taken

    def _watch(self) -> None:
        """The thread: pictures are decoded as far as somebody waits for one."""
        while not self._over and self._capture.grab():
            taken_s = time.monotonic()
            if not self._wanted:
                continue
            decoded, bgr_HW3 = self._capture.retrieve()
            if decoded:
                with self._changed:
                    self._taken, self._wanted = (bgr_HW3, taken_s), False
                    self._changed.notify_all()
        self._capture.release()
        with self._changed:
            self._over = True
            self._changed.notify_all()


def _device(name: str) -> int | None:
    """The number of a webcam of this machine."""
    if name.isdecimal():
        return int(name)
    match = _DEVICE.fullmatch(os.path.realpath(name)) if name.startswith("/dev/") else None
    return int(match[1]) if match else None


def _advice(device: int | None) -> str:
    if device is None:
        return ""
    present = sorted(glob.glob("/dev/video*"))
    return f"; this machine has {', '.join(present) or 'no /dev/video*'}"
