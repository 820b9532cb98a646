"""What was seen lately, as a video: for questions about it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import numpy as np

from virst_model.errors import UsageError
from virst_model.frames import Frame


class Recent:
    """The newest sampled pictures; `frames` is a copy that does not change."""

    def __init__(self, size: int, period_s: float) -> None:
        """`size`: pictures; `period_s`: seconds of stamps between them."""
        self._kept: deque[tuple[float, np.ndarray]] = deque(maxlen=size)
        self._period_s = period_s

    def offer(self, frame_HW3: np.ndarray, stamp_s: float) -> None:
        """Keeps a copy of a frame where it is time for one; its stamps increase."""
        if not self._kept or stamp_s >= self._kept[-1][0] + self._period_s:
            self._kept.append((stamp_s, frame_HW3.copy()))

    def frames(self) -> RecentFrames:
        """From another thread, too. Raises UsageError where there is none yet."""
        return RecentFrames(list(self._kept))


class RecentFrames:
    """Pictures in memory, as `virst_model.frames.Frames` has them."""

    def __init__(self, kept: list[tuple[float, np.ndarray]]) -> None:
        if not kept:
            raise UsageError("nothing was seen yet")
        self.path = "recent"
        self._kept = kept
        self.length = len(kept)
        span_s = kept[-1][0] - kept[0][0]
        self.rate_hz = (len(kept) - 1) / span_s if span_s > 0 else 1.0

    def __iter__(self) -> Iterator[Frame]:
        begin_s = self._kept[0][0]
        for index, (stamp_s, frame_HW3) in enumerate(self._kept):
            yield Frame(index, stamp_s - begin_s, f"{index:05d}", lambda kept=frame_HW3: kept)
