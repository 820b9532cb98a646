"""The running node as a page shows it: its overlay, its queries, its services."""

from __future__ import annotations

from collections.abc import Callable
import threading
import time
from typing import Any

from rclpy.client import Client
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.subscription import Subscription
from rclpy.time import Time
from sensor_msgs.msg import CompressedImage

from virst_interfaces.msg import Query, QueryArray
from virst_interfaces.srv import RemoveQuery, SetQuery
from virst_model.overlay import colour_of
from virst_model.watching import Line, Picture, Refused, Screen
from virst_ros.qos import LATCHED, RESULT
from virst_ros.questioner import Questioner
from virst_ros.spinner import Spinner
from virst_ros.text import shown_error

# For an answer of a service.
LIMIT_S = 10.0
LOOK_EVERY_S = 1.0
# Without a picture for so long something is wrong.
SILENCE_S = 3.0
# An older picture has the stamps of another clock: of a bag, say.
OLDEST_S = 60.0


class NodeSource:
    """As `virst_model.watching.Source`. Names are relative: the namespace is that of the node.

    Pictures are subscribed to while somebody looks, and drawn by the node only then.
    """

    def __init__(self, node: Node) -> None:
        """`node` is ours alone, and destroyed at the end."""
        self.title = node.resolve_topic_name("overlay")
        self._node, self._spinner = node, Spinner(node, self._on_failure)
        self._questioner = Questioner(node, self._spinner)
        self._screen: Screen | None = None
        self._pictures: Subscription | None = None
        self._newest_s = 0.0  # when a picture came, or somebody began to look
        self._trouble = ""

    @property
    def silent(self) -> str:
        """Why no question is answered; empty where they are."""
        return self._questioner.silent

    def start(self, screen: Screen) -> None:
        """Begins to listen."""
        self._screen = screen
        node = self._node
        self._set_query = node.create_client(SetQuery, "set_query")
        self._remove_query = node.create_client(RemoveQuery, "remove_query")
        self._queries = node.create_subscription(QueryArray, "queries", self._on_queries, LATCHED)
        steady = Clock(clock_type=ClockType.STEADY_TIME)  # also where /clock stands still
        node.create_timer(LOOK_EVERY_S, self._look_around, clock=steady)
        self._spinner.start()

    def close(self) -> None:
        """Ends the thread, and the node."""
        self._spinner.stop()
        self._node.destroy_node()

    def look(self, wanted: bool) -> None:
        """Subscribes to the pictures, or no more."""
        self._spinner.post(self._subscribe if wanted else self._unsubscribe)

    def add(self, text: str) -> str:
        """Has the node follow another sentence."""
        answer = self._call(self._set_query, SetQuery.Request(query=text, append=True))
        return _accepted(answer)

    def remove(self, query_id: int) -> None:
        """Has the node forget a query."""
        _accepted(self._call(self._remove_query, RemoveQuery.Request(id=query_id)))

    def ask(self, question: str, say: Callable[[str], None], stop: threading.Event) -> str:
        """By the node's action, where it has one."""
        return self._questioner.ask(question, say, stop)

    def _call(self, client: Client, request: Any) -> Any:
        """From a thread that may wait. Raises Refused where there is no answer."""
        done = threading.Event()
        name = self._node.resolve_service_name(client.srv_name)

        def send() -> Any:
            if not client.service_is_ready():
                raise Refused(f"no service {name}: is the node configured?")
            future = client.call_async(request)
            future.add_done_callback(lambda answered: done.set())
            return future

        future = self._spinner.call(send)
        if not done.wait(LIMIT_S):
            raise Refused(f"no answer from {name} after {LIMIT_S:g} s")
        return future.result()

    def _subscribe(self) -> None:
        self._newest_s = time.monotonic()
        self._pictures = self._node.create_subscription(
            CompressedImage, "overlay/compressed", self._on_picture, RESULT
        )

    def _unsubscribe(self) -> None:
        if self._pictures is not None:
            self._node.destroy_subscription(self._pictures)
            self._pictures = None

    def _on_picture(self, message: CompressedImage) -> None:
        self._newest_s = time.monotonic()
        stamp = Time.from_msg(message.header.stamp)
        now_ns = self._node.get_clock().now().nanoseconds
        age_s = (now_ns - stamp.nanoseconds) * 1e-9
        latency_ms = 1e3 * age_s if 0 <= age_s < OLDEST_S else None
        picture = Picture(message.data.tobytes(), stamp.nanoseconds * 1e-9, latency_ms)
        self._screen.show(picture)

    def _on_queries(self, message: QueryArray) -> None:
        self._screen.show_queries(tuple(_line(query) for query in message.queries))

    def _look_around(self) -> None:
        """What is missing is said until it is there."""
        self._questioner.look_around()
        trouble = self._missing()
        if trouble != self._trouble:
            self._trouble = trouble
            self._screen.show_trouble(trouble)

    def _missing(self) -> str:
        queries, overlay = self._queries.topic_name, f"{self.title}/compressed"
        if not self._node.count_publishers(queries):
            return f"nobody publishes {queries}: does the node run?"
        if self._pictures is None or time.monotonic() - self._newest_s < SILENCE_S:
            return ""
        if not self._node.count_publishers(overlay):
            return f"the node offers no {overlay}: is it configured, with overlay set?"
        return f"nothing comes on {overlay}: is the node active, and its camera running?"

    def _on_failure(self, error: Exception) -> None:
        self._node.get_logger().error(shown_error(error))
        self._screen.show_trouble(f"the viewer's own node has ended: {shown_error(error)}")


def _line(query: Query) -> Line:
    state = query.state if query.enabled else "disabled"
    return Line(query.id, query.text, state, colour_of(query.label))


def _accepted(answer: SetQuery.Response | RemoveQuery.Response) -> str:
    """What a person should know. Raises Refused."""
    if not answer.success:
        raise Refused(answer.message)
    return answer.message
