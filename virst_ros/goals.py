"""Goals of an action: each waits as a coroutine of the executor and holds no thread."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from rclpy.action import ActionServer, CancelResponse
from rclpy.action.server import ServerGoalHandle
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.task import Future

from virst_ros.qos import END_OF_GOALS
from virst_ros.search import End
from virst_ros.spinner import Spinner

# While there are goals: how often it is looked how they stand.
PERIOD_S = 0.05


class Goal:
    """One goal, from its acceptance to its result; what it is about is its subclass's.

    Attributes:
        asked: the client's request.
        ended: done once it is known how.
    """

    def __init__(self, handle: ServerGoalHandle) -> None:
        self.handle = handle
        self.asked = handle.request
        self.ended: Future[End] = Future()

    def begin(self) -> End | None:
        """Takes up what is asked; the end where that cannot be."""
        raise NotImplementedError

    def look(self) -> End | None:
        """How it stands now: the end, where it has come."""
        raise NotImplementedError

    def finish(self, end: End) -> None:
        """Gives up what it holds; called once."""
        raise NotImplementedError

    def result(self, end: End) -> Any:
        """What the client gets."""
        raise NotImplementedError


G = TypeVar("G", bound=Goal)


@dataclass(frozen=True)
class Action(Generic[G]):
    """What an action is called, its type, and what is made of a goal."""

    name: str
    kind: type
    make: Callable[[ServerGoalHandle], G]


class Goals(Generic[G]):
    """The server of an action; all of it runs on the node's own thread, but where it is said.

    It lives as long as the node: clients look for it when they begin.
    """

    def __init__(self, node: Node, spinner: Spinner, action: Action[G]) -> None:
        self._node, self._spinner = node, spinner
        self._make = action.make
        self._goals: dict[bytes, G] = {}
        self._server = ActionServer(
            *(node, action.kind, action.name, self._follow),
            handle_accepted_callback=self._accept,
            cancel_callback=self._cancel,
            result_service_qos_profile=END_OF_GOALS,
        )
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = node.create_timer(PERIOD_S, self._look, clock=steady)
        self._timer.cancel()  # until there is a goal

    def __bool__(self) -> bool:
        """Whether there are goals without a result; on any thread."""
        return bool(self._goals)

    @property
    def running(self) -> list[G]:
        """Those that have not ended."""
        return [goal for goal in self._goals.values() if not goal.ended.done()]

    def end(self, goal: G, end: End | None) -> None:
        """Nothing where there is no end yet."""
        if end is not None:
            goal.ended.set_result(end)
            self._spinner.wake()
            goal.finish(end)

    def end_all(self) -> None:
        """Of all that have not ended: there are no answers any more."""
        for goal in self.running:
            self.end(goal, End("inactive", "the node ceased to listen to its camera"))

    def say(self, text: str) -> None:
        """A line in the log."""
        self._node.get_logger().info(text)

    def destroy(self) -> None:
        """Ends the server; once nothing else runs."""
        self._server.destroy()

    def _accept(self, handle: ServerGoalHandle) -> None:
        goal = self._goals[bytes(handle.goal_id.uuid)] = self._make(handle)
        self._timer.reset()
        self.end(goal, goal.begin())
        handle.execute()

    def _cancel(self, handle: ServerGoalHandle) -> CancelResponse:
        goal = self._goals.get(bytes(handle.goal_id.uuid))
        if goal is None or goal.ended.done():
            return CancelResponse.REJECT
        self.end(goal, End("canceled", "the client canceled it"))
        return CancelResponse.ACCEPT

    def _look(self) -> None:
        for goal in self.running:
            self.end(goal, goal.look())
        if not self._goals:
            self._timer.cancel()

    async def _follow(self, handle: ServerGoalHandle) -> Any:
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
