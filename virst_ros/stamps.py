"""What stamps and frame_ids say of a stream, as cameras really send them. Knows no ROS."""

from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")

# So long a clock may keep its time while frames come: a bag's or a simulator's ticks slowly.
STILL_S = 1.0
# Stamps that are kept: a minute of a fast camera's, which a window does not exceed.
KEPT_STAMPS = 4096
# Intervals that the usual period is taken from, and the fewest that tell one.
KEPT_INTERVALS, LEAST_INTERVALS = 60, 10
# Of a regular camera most intervals are whole multiples of the period, nearly.
REGULAR_SHARE, NEARLY = 0.8, 0.2
# A longer gap is a pause, and no loss.
PAUSE_S = 5.0
# Losses are heavy from the one share on, until they fall below the other.
HEAVY_SHARE, LIGHT_SHARE = 0.1, 0.02


class Timeline:
    """The time of each frame: a clock's, which goes on by arrival while that stands still."""

    def __init__(self) -> None:
        self.still = False  # whether the time of the last frame is by arrival
        self._clock_s: float | None = None
        self._since_s = 0.0  # arrival of the first frame with that time
        self._ahead_s = 0.0  # what arrival has added before that frame

    def at(self, clock_s: float, arrived_s: float) -> float:
        """The frame's time in seconds.

        Where the clock moves again, the time goes on from where arrival has brought it.

        Args:
            clock_s: a stamp, or the time of a clock.
            arrived_s: when the frame came, by a clock that always runs.
        """
        if clock_s != self._clock_s:
            if self.still:
                self._ahead_s += arrived_s - self._since_s
            self._clock_s, self._since_s, self.still = clock_s, arrived_s, False
        stood_s = arrived_s - self._since_s
        self.still = self.still or stood_s >= STILL_S
        return clock_s + self._ahead_s + (stood_s if self.still else 0.0)


class Stamps(Generic[T]):
    """Stamps as they came, by the times made of them: a float has not all of their digits."""

    def __init__(self) -> None:
        self._by_time: dict[float, T] = {}

    def keep(self, time_s: float, stamp: T) -> None:
        """The newest frame's."""
        self._by_time[time_s] = stamp
        if len(self._by_time) > KEPT_STAMPS:
            del self._by_time[next(iter(self._by_time))]

    def at(self, time_s: float) -> T | None:
        """The stamp of the frame with this time; None where there was none, or long ago."""
        return self._by_time.get(time_s)


class Cuts:
    """Which frames come late, and where the stream starts anew: rule 14 of docs/stream.md."""

    def __init__(self, reset_after_s: float) -> None:
        self.reset_after_s = reset_after_s
        self._newest_s: float | None = None
        self._size: tuple[int, int] | None = None

    def resized(self, size: tuple[int, int]) -> tuple[int, int] | None:
        """The size before, (width, height), where that was another one."""
        before, self._size = self._size, size
        if before in (None, size):
            return None
        self._newest_s = None
        return before

    def back_s(self, time_s: float) -> tuple[float, bool]:
        """How far the time is behind the newest, 0 or more, and whether that is a cut."""
        newest_s = time_s if self._newest_s is None else self._newest_s
        back_s = max(newest_s - time_s, 0.0)
        is_cut = back_s > self.reset_after_s
        self._newest_s = time_s if is_cut else max(time_s, newest_s)
        return back_s, is_cut


class Turns:
    """Sees two names that come in turn: two cameras on one topic."""

    def __init__(self) -> None:
        self._last: deque[str] = deque(maxlen=2)  # different names, the newest last

    def seen(self, name: str) -> tuple[str, str] | None:
        """The two names, where this one comes again after another; a change for good is none."""
        if self._last and name == self._last[-1]:
            return None
        again = name in self._last
        self._last.append(name)
        return tuple(sorted(self._last)) if again else None


class Gaps:
    """Sees by their stamps that frames of a regular camera are missing.

    The usual period is the lower quartile of the last intervals, which stays where half of the
    frames are lost. A camera whose intervals are no multiples of it has no period, and loses
    nothing that could be told.
    """

    def __init__(self, reset_after_s: float) -> None:
        """A stamp so far behind the newest is a new start, as for `Cuts`."""
        self._reset_after_s = reset_after_s
        self._newest_s: float | None = None
        self._missing = 0  # right before the newest; a late one may still come
        self._heavy = False
        self._intervals_s: deque[float] = deque(maxlen=KEPT_INTERVALS)

    def lost(self, stamp_s: float) -> int:
        """How many frames are lost for sure, now that this one has come.

        Those that are missing before it still may come, and are lost once the next has. Called
        for each frame, in the order of their coming.
        """
        newest_s, self._newest_s = self._newest_s, stamp_s
        interval_s = 0.0 if newest_s is None else stamp_s - newest_s
        if newest_s is not None and -self._reset_after_s <= interval_s <= 0.0:
            self._newest_s = newest_s
            self._missing = max(self._missing - (interval_s < 0), 0)
            return 0
        lost, self._missing = self._missing, 0
        if 0.0 < interval_s <= PAUSE_S:
            self._intervals_s.append(interval_s)
            if interval_s > 1.5 * min(self._intervals_s):  # else nothing is, and cheaply told
                self._missing = self._skipped()[-1]
        return lost

    @property
    def share(self) -> float:
        """Of the last frames that were sent those that are missing, 0..1."""
        skipped = sum(self._skipped())
        return skipped / (skipped + len(self._intervals_s)) if skipped else 0.0

    def heavy_share(self) -> float:
        """The share while losses are heavy, else 0."""
        share = self.share
        self._heavy = share >= (LIGHT_SHARE if self._heavy else HEAVY_SHARE)
        return share if self._heavy else 0.0

    def _skipped(self) -> list[int]:
        """Of each interval the frames that are missing in it; none without a usual period."""
        intervals_s = list(self._intervals_s)
        none = [0] * len(intervals_s)
        if len(intervals_s) < LEAST_INTERVALS:
            return none
        period_s = sorted(intervals_s)[len(intervals_s) // 4]
        periods = [max(round(interval_s / period_s), 1) for interval_s in intervals_s]
        period_s = sum(intervals_s) / sum(periods)  # of one, more exactly
        near = sum(
            abs(interval_s / period_s - many) <= NEARLY
            for interval_s, many in zip(intervals_s, periods)
        )
        if near < REGULAR_SHARE * len(periods):
            return none
        return [many - 1 for many in periods]
