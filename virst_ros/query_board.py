"""What is asked and how it stands, for those who come later: the latched topic `queries`."""

from __future__ import annotations

from collections.abc import Sequence
import threading

from rclpy.clock import Clock

from virst_interfaces.msg import Query as QueryMessage
from virst_interfaces.msg import QueryArray
from virst_model.answer import SEARCHING, Query, QueryResult
from virst_ros.endpoints import Endpoints
from virst_ros.qos import LATCHED


class QueryBoard:
    """Publishes all queries when one comes, goes or changes its state; lives as long as the node.

    One that rests has the state that it will have when it goes on. `set_queries` and `show` may be
    called from different threads.
    """

    def __init__(self, clock: Clock, endpoints: Endpoints) -> None:
        """Publishes that there is no query yet."""
        self._clock = clock
        self._publisher = endpoints.publish(QueryArray, "queries", LATCHED)
        self._lock = threading.Lock()
        self._lines: dict[int, QueryMessage] = {}  # by query id, ordered by label
        self._publish()

    def set_queries(self, queries: tuple[Query, ...]) -> None:
        """The queries from now on; those that stay as they are keep their state."""
        with self._lock:
            before = self._lines
            self._lines = {query.id: self._line(query) for query in queries}
            if list(self._lines.values()) != list(before.values()):
                self._publish()

    def _line(self, query: Query) -> QueryMessage:
        line = self._lines.get(query.id)
        if line is not None and line.enabled == query.enabled:
            return line
        return QueryMessage(
            id=query.id,
            label=query.label,
            text=query.text,
            name=query.name,
            enabled=query.enabled,
            state=SEARCHING,
            since=self._clock.now().to_msg(),
        )

    def show(self, results: Sequence[QueryResult]) -> None:
        """Answers to a frame; those to queries that are gone or rest are left out."""
        with self._lock:
            lines = [(self._lines.get(answer.id), answer) for answer in results]
            changed = [
                (line, answer)
                for line, answer in lines
                if line is not None and line.enabled and line.state != answer.state
            ]
            for line, answer in changed:
                line.state, line.since = answer.state, self._clock.now().to_msg()
                line.score, line.presence = answer.score, answer.presence
            if changed:
                self._publish()

    def search(self) -> None:
        """Nobody looks any more: who looks next begins with a search."""
        with self._lock:
            changed = [x for x in self._lines.values() if x.enabled and x.state != SEARCHING]
            for line in changed:
                line.state, line.since = SEARCHING, self._clock.now().to_msg()
            if changed:
                self._publish()

    def _publish(self) -> None:
        message = QueryArray(stamp=self._clock.now().to_msg(), queries=list(self._lines.values()))
        self._publisher.publish(message)
