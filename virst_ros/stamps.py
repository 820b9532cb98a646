"""What stamps and frame_ids say of a stream, as cameras really send them. Knows no ROS."""

from collections import deque

# So long a clock may keep its time while frames come: a bag's or a simulator's ticks slowly.
STILL_S = 1.0


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


class Cuts:
    """Which frames come late, and where the stream starts anew: rule 14 of docs/stream.md."""

    def __init__(self, reset_after_s: float) -> None:
        self._reset_after_s = reset_after_s
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
        is_cut = back_s > self._reset_after_s
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
