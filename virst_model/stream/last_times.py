"""How long something took the last times."""

from collections import deque
import statistics

# Times that are kept.
KEPT = 64


class LastTimes:
    """The newest times of one kind.

    Attributes:
        p50: their median, 0 while there is none; may be read on any thread.
    """

    def __init__(self) -> None:
        self.p50 = 0.0
        self._times: deque[float] = deque(maxlen=KEPT)

    def add(self, time: float) -> None:
        """The newest, in the unit of the others."""
        self._times.append(time)
        self.p50 = statistics.median(self._times)
