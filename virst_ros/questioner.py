"""Questions to the node in words, by its action `ask`, where it has one."""

from __future__ import annotations

from collections.abc import Callable
import math
import threading
import time
from typing import Any

from rclpy.action import ActionClient
from rclpy.node import Node
from rclpy.task import Future

from virst_model.watching import Refused
from virst_ros.spinner import Spinner

try:
    from virst_interfaces.action import Ask
except ImportError:  # of messages from before it
    Ask = None

SILENT = "the node takes no questions"
MAX_TOKENS = 256
# How soon a person's stop is seen, and the node's end.
PIECE_S = 0.1
# How long a node may take to end an answer that was stopped.
LEFT_S = 5.0


class Questioner:
    """Asks one question at a time.

    Attributes:
        silent: why none is answered; empty where they are.
    """

    def __init__(self, node: Node, spinner: Spinner) -> None:
        """The thread of `spinner` is that of `node`."""
        self.silent = SILENT
        self._thread = spinner
        self._client = None if Ask is None else ActionClient(node, Ask, "ask")

    def look_around(self) -> None:
        """Whether the node answers now; on its thread."""
        is_there = self._client is not None and self._client.server_is_ready()
        self.silent = "" if is_there else SILENT

    def ask(self, question: str, say: Callable[[str], None], stop: threading.Event) -> str:
        """The answer; from a thread that may wait. Raises Refused where there is none."""
        if self.silent:
            raise Refused(self.silent)
        goal = Ask.Goal(question=question, max_tokens=MAX_TOKENS)
        hear = lambda message: say(message.feedback.text)  # noqa: E731
        handle = self._wait(lambda: self._client.send_goal_async(goal, hear))
        if not handle.accepted:
            raise Refused("the node refused the question")
        cancel = lambda: self._thread.call(handle.cancel_goal_async)  # noqa: E731
        result = self._wait(handle.get_result_async, stop, cancel).result
        if result.outcome != "succeeded":
            said = f": {result.answer}" if result.answer else ""
            raise Refused(f"{result.error_msg or result.outcome}{said}")
        return result.answer

    def _wait(
        self,
        begin: Callable[[], Future],
        stop: threading.Event | None = None,
        on_stop: Callable[[], Any] = lambda: None,
    ) -> Any:
        """The result of what `begin` begins. Raises Refused where the node goes meanwhile."""
        done = threading.Event()
        future = self._thread.call(begin)
        future.add_done_callback(lambda ended: done.set())
        stopped_s = math.inf
        while not done.wait(PIECE_S):
            if self.silent:
                raise Refused("the node has gone")
            if time.monotonic() - stopped_s > LEFT_S:
                raise Refused("stopped; the node did not say so")
            if stop is not None and stop.is_set() and stopped_s == math.inf:
                stopped_s = time.monotonic()
                on_stop()
        return future.result()
