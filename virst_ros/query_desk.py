"""Takes what people and programs ask of the queries: three services and a topic."""

from __future__ import annotations

from rclpy.node import Node
from std_msgs.msg import String

from virst_interfaces.srv import EnableQuery, RemoveQuery, SetQuery
from virst_model.queries.book import QueryBook, Verdict
from virst_ros.endpoints import Endpoints
from virst_ros.meter import Meter
from virst_ros.qos import COMMANDS
from virst_ros.text import shown


class QueryDesk:
    """Hands requests to the book and answers at once; open from configure to cleanup."""

    def __init__(self, node: Node, endpoints: Endpoints, book: QueryBook, meter: Meter) -> None:
        """`meter` counts `refused_queries`, of those that come on the topic and get no answer."""
        self._node, self._endpoints = node, endpoints
        self._book, self._meter = book, meter
        self._services = (
            node.create_service(SetQuery, "set_query", self._on_set_query),
            node.create_service(RemoveQuery, "remove_query", self._on_remove_query),
            node.create_service(EnableQuery, "enable_query", self._on_enable_query),
        )
        self._texts = endpoints.subscribe(String, "query_text", self._on_text, COMMANDS)

    def close(self) -> None:
        """Ends the services and the topic."""
        for service in self._services:
            self._node.destroy_service(service)
        self._node.destroy_subscription(self._texts)

    def _on_set_query(
        self, request: SetQuery.Request, response: SetQuery.Response
    ) -> SetQuery.Response:
        verdict = self._book.submit(request.query, request.append, request.name)
        self._say(f"query {verdict.query_id}, '{shown(request.query, 80)}'", verdict)
        response.success, response.message = verdict.success, verdict.message
        response.query_id = verdict.query_id
        return response

    def _on_remove_query(
        self, request: RemoveQuery.Request, response: RemoveQuery.Response
    ) -> RemoveQuery.Response:
        verdict = self._book.remove(request.id)
        self._say(f"query {request.id}", verdict)
        response.success, response.message = verdict.success, verdict.message
        return response

    def _on_enable_query(
        self, request: EnableQuery.Request, response: EnableQuery.Response
    ) -> EnableQuery.Response:
        verdict = self._book.enable(request.id, request.enabled)
        self._say(f"query {request.id}", verdict)
        response.success, response.message = verdict.success, verdict.message
        return response

    def _on_text(self, message: String) -> None:
        verdict = self._book.submit(message.data, append=False)
        if verdict.success:
            self._say(f"query {verdict.query_id}, '{shown(message.data, 80)}'", verdict)
        else:  # nobody waits for an answer
            self._meter.count("refused_queries", verdict.message)
            refusal = f"a text on {self._texts.topic_name} is refused: {shown(verdict.message)}"
            self._node.get_logger().warning(refusal)

    def _say(self, what: str, verdict: Verdict) -> None:
        self._node.get_logger().info(f"{what}: {shown(verdict.message)}")
