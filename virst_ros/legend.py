"""What the labels stand for, as maps and costmaps read it: the latched topic `label_info`."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType

from rclpy.clock import Clock
from std_msgs.msg import Header

from virst_model.answer import Query
from virst_ros.endpoints import Endpoints
from virst_ros.qos import LATCHED


class Legend:
    """Publishes the names of the labels whenever one comes, goes or is another query's.

    Called before the tracker knows of new queries, so that no image has a label without a name.
    """

    def __init__(self, clock: Clock, endpoints: Endpoints, vision: ModuleType | None) -> None:
        """`vision`: virst_ros.vision; None without vision_msgs: nothing is published."""
        self._clock, self._vision = clock, vision
        self._shown: list[tuple[int, str]] | None = None
        if vision is not None:
            self._publisher = endpoints.publish(vision.LabelInfo, "label_info", LATCHED)
            self.set_queries(())

    def set_queries(self, queries: Sequence[Query]) -> None:
        """The queries from now on."""
        names = [(query.label, query.name) for query in queries]
        if self._vision is None or names == self._shown:
            return
        self._shown = names
        header = Header(stamp=self._clock.now().to_msg())
        self._publisher.publish(self._vision.label_info(queries, header))
