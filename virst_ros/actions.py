"""The actions of the node: they live as long as it does, and have answers while it is active."""

from __future__ import annotations

from collections.abc import Callable, Sequence
import time

from rclpy.node import Node
from std_msgs.msg import Header

from virst_model.answer import QueryResult
from virst_model.queries.book import QueryBook
from virst_ros.answerer import Answerer
from virst_ros.finder import Finder
from virst_ros.spinner import Spinner
from virst_ros.tracker import Tracker

POLL_S = 0.01


class Actions:
    """`find` and `ask`. All runs on the node's own thread but `show`."""

    def __init__(
        self, node: Node, book: QueryBook, spinner: Spinner, limit_s: Callable[[], float]
    ) -> None:
        """Goals end at once until `open`. `limit_s`: of the language model's silence."""
        self._spinner = spinner
        self._finder = Finder(node, book, spinner)
        self._answerer = Answerer(node, spinner, limit_s)

    def open(self, tracker: Tracker) -> None:
        """From now on there are answers, of the tracker's stream."""
        self._finder.open()
        self._answerer.open(tracker)

    def shut(self) -> None:
        """From now on there are none: goals end."""
        self._finder.shut()
        self._answerer.shut()

    def finish(self, limit_s: float) -> None:
        """Ends all goals and waits until their clients have the results, no longer than that.

        On any other thread than the node's, which goes on meanwhile.
        """
        self._spinner.call(self.shut)
        deadline_s = time.monotonic() + limit_s
        while (self._finder or self._answerer) and time.monotonic() < deadline_s:
            time.sleep(POLL_S)
        self._spinner.settle()  # rclpy sends what a goal has returned in a task of its own

    def destroy(self) -> None:
        """Ends the servers; once nothing else runs."""
        self._finder.destroy()
        self._answerer.destroy()

    def show(self, header: Header, answers: Sequence[QueryResult]) -> None:
        """Answers to a frame, on any thread."""
        self._finder.show(header, answers)
