"""The action `find`: a goal looks for what a sentence names until that is seen, or is not."""

from __future__ import annotations

from collections.abc import Sequence
import time

from rclpy.action import ActionServer, CancelResponse
from rclpy.action.server import ServerGoalHandle
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.task import Future
from std_msgs.msg import Header

from virst_interfaces.action import Find
from virst_model.answer import QueryResult
from virst_ros import convert
from virst_ros.query_book import QueryBook
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
# While there are goals: how often it is looked whether their time is over or their query gone.
PERIOD_S = 0.05


class Goal:
    """One goal, from its acceptance to its result.

    Attributes:
        search: None where there is none: the goal has ended at once.
        header: of the image of the newest answer.
        ended: done once it is known how; waits without holding a thread.
    """

    def __init__(self, handle: ServerGoalHandle) -> None:
        self.handle = handle
        self.search: Search | None = None
        self.header = Header()
        self.ended: Future[End] = Future()
        limit = handle.request.timeout
        self._limit_s = limit.sec + limit.nanosec * 1e-9
        self._start_s = time.monotonic()
        self._told: tuple[str, float] | None = None

    def is_over_time(self) -> bool:
        """Whether its time is over, by a clock that always goes."""
        return 0 < self._limit_s <= time.monotonic() - self._start_s

    def tell(self, answer: QueryResult) -> None:
        """Feedback, where it is another than the last."""
        news = answer.state, round(answer.presence, 2)
        if news != self._told:
            self._told = news
            feedback = Find.Feedback(state=answer.state, presence=float(answer.presence))
            self.handle.publish_feedback(feedback)

    def result(self, end: End) -> Find.Result:
        """What the client gets."""
        result = Find.Result(outcome=end.outcome, error_msg=end.message, header=self.header)
        result.error_code = CODES.get(end.outcome, Find.Result.NONE)
        if self.search is not None:
            result.query_id = self.search.query_id
            if self.search.answer is not None:
                result.segmentation = convert.segmentation(self.search.answer)
        return result


class Finder:
    """The server of the action; lives as long as the node: trees look for it when they begin.

    All runs on the node's own thread but `show`. No goal holds it: a goal waits as a coroutine.
    """

    def __init__(self, node: Node, book: QueryBook, spinner: Spinner) -> None:
        """Goals end at once until `open`."""
        self._node, self._book, self._spinner = node, book, spinner
        self._is_open = False
        self._goals: dict[bytes, Goal] = {}
        self._server = ActionServer(
            *(node, Find, "find", self._follow),
            handle_accepted_callback=self._accept,
            cancel_callback=self._cancel,
        )
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = node.create_timer(PERIOD_S, self._look, clock=steady)
        self._timer.cancel()  # until there is a goal

    def open(self) -> None:
        """From now on there are answers."""
        self._is_open = True

    def shut(self) -> None:
        """From now on there are none: goals end."""
        self._is_open = False
        for goal in self._running():
            self._end(goal, End("inactive", "the node ceased to listen to its camera"))

    def destroy(self) -> None:
        """Ends the server; once nothing else runs."""
        self._server.destroy()

    def show(self, header: Header, answers: Sequence[QueryResult]) -> None:
        """Answers to a frame, on any thread."""
        if self._goals:
            self._spinner.post(lambda: self._take(header, answers))

    def _take(self, header: Header, answers: Sequence[QueryResult]) -> None:
        by_id = {answer.id: answer for answer in answers}
        for goal in self._running():
            answer = by_id.get(goal.search.query_id)
            if answer is not None:
                goal.header = header
                goal.tell(answer)
                self._end(goal, goal.search.take(answer))

    def _look(self) -> None:
        """Ends goals whose time is over or whose query is gone."""
        there = {query.id for query in self._book.queries}
        for goal in self._running():
            query_id = goal.search.query_id
            if query_id not in there:
                self._end(goal, End("removed", f"somebody else removed query {query_id}"))
            elif goal.is_over_time():
                self._end(goal, goal.search.out_of_time())
        if not self._goals:
            self._timer.cancel()

    def _running(self) -> list[Goal]:
        return [goal for goal in self._goals.values() if not goal.ended.done()]

    def _accept(self, handle: ServerGoalHandle) -> None:
        goal = self._goals[bytes(handle.goal_id.uuid)] = Goal(handle)
        self._timer.reset()
        self._end(goal, self._begin(goal))
        handle.execute()

    def _begin(self, goal: Goal) -> End | None:
        """Takes the query; the end where that cannot be."""
        asked = goal.handle.request
        if not self._is_open:
            return End("inactive", "the node does not listen to its camera: activate it")
        fault = _fault(asked)
        if fault:
            return End("invalid", fault)
        verdict = self._book.submit(asked.query, append=True, name=asked.name)
        if not verdict.success:
            return End("no_slot" if verdict.full else "invalid", verdict.message)
        goal.search = Search(verdict.query_id, asked.min_presence, asked.until_seen)
        said = f"find query {verdict.query_id}, '{shown(asked.query, 80)}': "
        self._node.get_logger().info(said + shown(verdict.message))
        return None

    def _cancel(self, handle: ServerGoalHandle) -> CancelResponse:
        goal = self._goals.get(bytes(handle.goal_id.uuid))
        if goal is None or goal.ended.done():
            return CancelResponse.REJECT
        self._end(goal, End("canceled", "the client canceled it"))
        return CancelResponse.ACCEPT

    def _end(self, goal: Goal, end: End | None) -> None:
        """Nothing where there is no end yet."""
        if end is None:
            return
        goal.ended.set_result(end)
        self._spinner.wake()
        query_id = goal.search.query_id if goal.search is not None else 0
        if query_id and not goal.handle.request.keep:
            self._book.remove(query_id)
        asked = f"query {query_id}" if query_id else f"'{shown(goal.handle.request.query, 80)}'"
        message = f": {shown(end.message)}" if end.message else ""
        self._node.get_logger().info(f"find {asked} has ended, {end.outcome}{message}")

    async def _follow(self, handle: ServerGoalHandle) -> Find.Result:
        """From `execute` to the result."""
        key = bytes(handle.goal_id.uuid)
        end = await self._goals[key].ended
        goal = self._goals.pop(key)
        if end.outcome == "succeeded":
            handle.succeed()
        elif end.outcome == "canceled":
            handle.canceled()
        else:
            handle.abort()
        return goal.result(end)


def _fault(asked: Find.Goal) -> str:
    """What of a goal cannot be; empty where all can. The book looks at query and name."""
    if asked.timeout.sec < 0:
        return f"timeout must be 0 s or more, not {asked.timeout.sec} s"
    if not 0 <= asked.min_presence <= 1:
        return f"min_presence must be a number of 0 to 1, not {asked.min_presence:g}"
    return ""
