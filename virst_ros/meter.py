"""What the node counts and times; bounded, and safe to use from several threads."""

from collections import Counter, deque
import resource
import sys
import threading
import time

import numpy as np

from virst_ros.text import shown

# At 30 frames a second, the last ten seconds.
KEPT = 300
RATE_OVER_S = 5.0


class Meter:
    """Counters, times and rates of one node."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._times_ms: dict[str, deque[float]] = {}
        self._moments: dict[str, deque[float]] = {}
        self._remarks: dict[str, str] = {}

    def count(self, name: str, remark: str = "", times: int = 1) -> int:
        """Adds to a counter and returns it; the last remark is kept with it, as `shown`."""
        with self._lock:
            self._counts[name] += times
            self._moments.setdefault(name, deque(maxlen=KEPT)).append(time.monotonic())
            if remark:
                self._remarks[name] = shown(remark)
            return self._counts[name]

    def time(self, name: str, milliseconds: float) -> None:
        """Keeps a time."""
        with self._lock:
            self._times_ms.setdefault(name, deque(maxlen=KEPT)).append(milliseconds)

    def counted(self, name: str) -> int:
        """The counter, 0 where nothing was counted."""
        with self._lock:
            return self._counts[name]

    def remark(self, name: str) -> str:
        """The last remark that came with a count; empty where none did."""
        with self._lock:
            return self._remarks.get(name, "")

    def rate_hz(self, name: str) -> float:
        """Counts a second over the last five seconds."""
        since = time.monotonic() - RATE_OVER_S
        with self._lock:
            recent = [moment for moment in self._moments.get(name, ()) if moment >= since]
        if len(recent) < 2 or recent[-1] == recent[0]:
            return 0.0
        return (len(recent) - 1) / (recent[-1] - recent[0])

    def since_s(self, name: str) -> float:
        """Seconds since the last count; infinite where there was none."""
        with self._lock:
            moments = self._moments.get(name)
            return time.monotonic() - moments[-1] if moments else float("inf")

    def percentiles_ms(self, name: str) -> tuple[float, float, float] | None:
        """p50, p95 and p99 of the kept times; None where there are none."""
        with self._lock:
            times = list(self._times_ms.get(name, ()))
        return tuple(np.percentile(times, (50, 95, 99)).tolist()) if times else None


def resident_mib() -> float:
    """Memory of this process that is in RAM now; its peak where /proc is not there."""
    try:
        with open("/proc/self/statm") as pages:
            return int(pages.read().split()[1]) * resource.getpagesize() / 2**20
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / (2**20 if sys.platform == "darwin" else 2**10)
