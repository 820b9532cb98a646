"""Counts images as they come, and those that are lost before. Knows no ROS."""

from virst_ros.meter import Meter
from virst_ros.stamps import Gaps


class Arrivals:
    """The images of one subscription after the other."""

    def __init__(self, meter: Meter) -> None:
        """`meter` counts `received` and `lost_frames`."""
        self._meter = meter
        self._gaps = Gaps(reset_after_s=0.0)

    def begin(self, reset_after_s: float) -> None:
        """A subscription begins; `reset_after_s` as for `Gaps`."""
        self._meter.count("activated")
        self._gaps = Gaps(reset_after_s)

    def count(self, stamp_s: float) -> None:
        """An image has come; called in the order of their coming."""
        self._meter.count("received")
        lost = self._gaps.lost(stamp_s)
        if lost:
            self._meter.count("lost_frames", times=lost)

    @property
    def silent_s(self) -> float:
        """Seconds without an image, infinite where there was no subscription yet."""
        return min(self._meter.since_s("received"), self._meter.since_s("activated"))

    def heavy_loss(self) -> float:
        """Of the last images the share that is missing, where that is worth a word; else 0."""
        return self._gaps.heavy_share()
