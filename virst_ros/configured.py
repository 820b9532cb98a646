"""What the node has from configure to cleanup."""

from __future__ import annotations

from dataclasses import dataclass

from virst_ros.publishers import Publishers
from virst_ros.query_desk import QueryDesk
from virst_ros.tracker import CameraMessage, Tracker
from virst_ros.worker import Mailbox, Worker


@dataclass(frozen=True)
class Configured:
    """What there is from configure to cleanup.

    Attributes:
        frames: camera messages for the tracker; the newest wins.
        worker: the tracker's thread, set up.
        publishers: of what the session answers.
        desk: what may be asked of the queries.
    """

    frames: Mailbox[CameraMessage]
    worker: Worker[CameraMessage]
    publishers: Publishers
    desk: QueryDesk

    @property
    def tracker(self) -> Tracker:
        """What the worker set up."""
        return self.worker.handler
