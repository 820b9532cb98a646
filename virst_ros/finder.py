"""The action `find`: a goal looks for what a sentence names until that is seen, or is not."""

from __future__ import annotations

from collections.abc import Sequence
import time

from rclpy.action.server import ServerGoalHandle
from rclpy.node import Node
from std_msgs.msg import Header

from virst_interfaces.action import Find
from virst_model.answer import QueryResult
from virst_model.queries.book import QueryBook
from virst_ros import convert
from virst_ros.goals import Action, Goal, Goals
from virst_ros.search import End, Search
from virst_ros.spinner import Spinner
from virst_ros.text import shown

# Outcomes other than succeeded and canceled, and their codes.
CODES = {
    "absent": Find.Result.ABSENT,
    "lost": Find.Result.LOST,
    "timeout": Find.Result.TIMEOUT,
    "no_slot": Find.Result.NO_SLOT,
    "inactive": Find.Result.INACTIVE,
    "invalid": Find.Result.INVALID,
    "removed": Find.Result.REMOVED,
}


class FindGoal(Goal):
    """A query, and the search for it.

    Attributes:
        search: None where there is none: the goal has ended at once.
        header: of the image of the newest answer.
    """

    def __init__(self, handle: ServerGoalHandle, finder: Finder) -> None:
        super().__init__(handle)
        self.search: Search | None = None
        self.header = Header()
        self._finder = finder
        limit = self.asked.timeout
        self._limit_s = limit.sec + limit.nanosec * 1e-9
        self._start_s = time.monotonic()
        self._told: tuple[str, float] | None = None

    def begin(self) -> End | None:
        """Takes the query."""
        if not self._finder.is_open:
            return End("inactive", "the node does not listen to its camera: activate it")
        fault = _fault(self.asked)
        if fault:
            return End("invalid", fault)
        verdict = self._finder.book.submit(self.asked.query, append=True, name=self.asked.name)
        if not verdict.success:
            return End("no_slot" if verdict.full else "invalid", verdict.message)
        self.search = Search(verdict.query_id, self.asked.min_presence, self.asked.until_seen)
        said = f"find query {verdict.query_id}, '{shown(self.asked.query, 80)}': "
        self._finder.say(said + shown(verdict.message))
        return None

    def take(self, header: Header, answer: QueryResult) -> End | None:
        """An answer to its query."""
        self.header = header
        news = answer.state, round(answer.presence, 2)
        if news != self._told:
            self._told = news
            feedback = Find.Feedback(state=answer.state, presence=float(answer.presence))
            self.handle.publish_feedback(feedback)
        return self.search.take(answer)

    def look(self) -> End | None:
        """Whether its query is gone or rests, or its time is over, by a clock that always goes."""
        query_id = self.search.query_id
        enabled = {query.id: query.enabled for query in self._finder.book.queries}
        if not enabled.get(query_id, False):
            done = "disabled" if query_id in enabled else "removed"
            return End("removed", f"somebody else {done} query {query_id}")
        if 0 < self._limit_s <= time.monotonic() - self._start_s:
            return self.search.out_of_time()
        return None

    def finish(self, end: End) -> None:
        """Gives the query up, unless it was seen and is to stay."""
        query_id = self.search.query_id if self.search is not None else 0
        if query_id and not (self.asked.keep and end.outcome == "succeeded"):
            self._finder.book.remove(query_id)
        asked = f"query {query_id}" if query_id else f"'{shown(self.asked.query, 80)}'"
        message = f": {shown(end.message)}" if end.message else ""
        self._finder.say(f"find {asked} has ended, {end.outcome}{message}")

    def result(self, end: End) -> Find.Result:
        """How it ended, and the last answer."""
        result = Find.Result(outcome=end.outcome, error_msg=end.message, header=self.header)
        result.error_code = CODES.get(end.outcome, Find.Result.NONE)
        if self.search is not None:
            result.query_id = self.search.query_id
            if self.search.answer is not None:
                result.segmentation = convert.segmentation(self.search.answer)
        return result


class Finder(Goals[FindGoal]):
    """The action's goals. All runs on the node's own thread but `show`.

    Attributes:
        book: of the queries.
        is_open: there are answers.
    """

    def __init__(self, node: Node, book: QueryBook, spinner: Spinner) -> None:
        """Goals end at once until `open`."""
        make = lambda handle: FindGoal(handle, self)  # noqa: E731
        super().__init__(node, spinner, Action("find", Find, make))
        self.book = book
        self.is_open = False

    def open(self) -> None:
        """From now on there are answers."""
        self.is_open = True

    def shut(self) -> None:
        """From now on there are none: goals end."""
        self.is_open = False
        self.end_all()

    def show(self, header: Header, answers: Sequence[QueryResult]) -> None:
        """Answers to a frame, on any thread."""
        if self:
            self._spinner.post(lambda: self._take(header, answers))

    def _take(self, header: Header, answers: Sequence[QueryResult]) -> None:
        by_id = {answer.id: answer for answer in answers}
        for goal in self.running:
            answer = by_id.get(goal.search.query_id)
            if answer is not None:
                self.end(goal, goal.take(header, answer))


def _fault(asked: Find.Goal) -> str:
    """What of a goal cannot be; empty where all can. The book looks at query and name."""
    if asked.timeout.sec < 0:
        return f"timeout must be 0 s or more, not {asked.timeout.sec} s"
    if not 0 <= asked.min_presence <= 1:
        return f"min_presence must be a number of 0 to 1, not {asked.min_presence:g}"
    return ""
