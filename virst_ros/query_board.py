"""What is asked and how it stands, for those who come later: the latched topic `queries`."""

from __future__ import annotations

from collections.abc import Sequence
import threading

from rclpy.node import Node

from virst_interfaces.msg import Query as QueryMessage
from virst_interfaces.msg import QueryArray
from virst_model.answer import SEARCHING, Query, QueryResult
from virst_ros.qos import LATCHED


class QueryBoard:
    """Publishes all queries when one comes, goes or changes its state; lives as long as the node.

    `set_queries` and `show` may be called from different threads.
    """

    def __init__(self, node: Node) -> None:
        """Publishes that there is no query yet."""
        self._clock = node.get_clock()
        self._publisher = node.create_publisher(QueryArray, "queries", LATCHED)
        self._lock = threading.Lock()
        self._lines: dict[int, QueryMessage] = {}  # by query id, ordered by label
        self._publish()

    def set_queries(self, queries: tuple[Query, ...]) -> None:
        """The queries from now on; those that stay keep their state."""
        with self._lock:
            before, now = self._lines, self._clock.now().to_msg()
            self._lines = {
                query.id: before.get(query.id)
                or QueryMessage(
                    id=query.id, label=query.label, text=query.text, state=SEARCHING, since=now
                )
                for query in queries
            }
            if self._lines.keys() != before.keys():
                self._publish()

    def show(self, results: Sequence[QueryResult]) -> None:
        """Answers to a frame; those to queries that are gone are left out."""
        with self._lock:
            lines = [(self._lines.get(answer.id), answer) for answer in results]
            changed = [
                (line, a) for line, a in lines if line is not None and line.state != a.state
            ]
            for line, answer in changed:
                line.state, line.since = answer.state, self._clock.now().to_msg()
                line.score, line.presence = answer.score, answer.presence
            if changed:
                self._publish()

    def _publish(self) -> None:
        message = QueryArray(stamp=self._clock.now().to_msg(), queries=list(self._lines.values()))
        self._publisher.publish(message)
