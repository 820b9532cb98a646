"""How much time work beside a stream may take, so that its frames hardly feel it."""

from collections.abc import Callable
from threading import Lock
import time

# Of the time of frames. Between frames all time is spare.
SHARE = 0.04


class SpareTime:
    """What has been spent is paid back: by the time between frames, and by SHARE of the frames'.

    All methods are called on any thread.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        """`clock`: in seconds."""
        self._clock = clock
        self._lock = Lock()
        self._in_frame = False
        self._debt_s = 0.0
        self._since_s = clock()

    def begin_frame(self) -> None:
        """From now on there is little to spare."""
        self._settle(in_frame=True)

    def end_frame(self) -> None:
        """From now on all is."""
        self._settle(in_frame=False)

    def spend(self, seconds: float) -> None:
        """So much was taken, until now."""
        with self._lock:
            self._debt_s += seconds
        self._settle()

    @property
    def wait_s(self) -> float:
        """Seconds until all is paid back, if frames go on as they are; 0: now."""
        self._settle()
        return self._debt_s / (SHARE if self._in_frame else 1.0)

    def _settle(self, in_frame: bool | None = None) -> None:
        with self._lock:
            now_s = self._clock()
            passed_s = now_s - self._since_s
            paid_s = passed_s * (SHARE if self._in_frame else 1.0)
            self._debt_s = max(0.0, self._debt_s - paid_s)
            self._since_s = now_s
            if in_frame is not None:
                self._in_frame = in_frame
