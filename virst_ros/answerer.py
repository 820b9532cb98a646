"""The action `ask`: a question about what the camera has shown lately, answered in words."""

from __future__ import annotations

from collections.abc import Callable
import time

from builtin_interfaces.msg import Time
from rclpy.action.server import ServerGoalHandle
from rclpy.node import Node

from virst_interfaces.action import Ask
from virst_model.answer import MOST_QUESTIONS, Question, Reply
from virst_model.errors import InputError
from virst_model.queries.book import fault_of
from virst_ros.goals import Action, Goal, Goals
from virst_ros.search import End
from virst_ros.spinner import Spinner
from virst_ros.text import shown, shown_error
from virst_ros.tracker import Tracker

# Outcomes other than succeeded and canceled, and their codes.
CODES = {
    "timeout": Ask.Result.TIMEOUT,
    "inactive": Ask.Result.INACTIVE,
    "invalid": Ask.Result.INVALID,
    "untaught": Ask.Result.UNTAUGHT,
    "busy": Ask.Result.BUSY,
    "failed": Ask.Result.FAILED,
}
UNTAUGHT = (
    'the model has not learned to answer in words ("answers" in its config.json is false): '
    "give the node weights that have (parameter model)"
)


class AskGoal(Goal):
    """A question, and what there is of its answer."""

    def __init__(self, handle: ServerGoalHandle, answerer: Answerer) -> None:
        super().__init__(handle)
        self._answerer = answerer
        self._tracker = answerer.tracker
        self._question = Question(self.asked.question.strip(), self._hear, self.asked.max_tokens)
        self._reply: Reply | None = None  # the newest, replaced on other threads
        self._seen: Reply | None = None
        self._news_s = time.monotonic()
        self._stamps = Time(), Time()

    def begin(self) -> End | None:
        """Hands the question to the tracker."""
        text = self._question.text
        if self._tracker is None:
            return End("inactive", "the node does not listen to its camera: activate it")
        fault = fault_of(text, "question") if text else "the question is empty"
        if fault or not self.asked.max_tokens:
            return End("invalid", fault or "max_tokens must be 1 or more, not 0")
        if not self._tracker.stream.answers:
            return End("untaught", UNTAUGHT)
        if self._answerer.others(self) >= MOST_QUESTIONS:
            return End("busy", f"{MOST_QUESTIONS} questions are there already: ask again later")
        self._tracker.ask(self._question)
        self._answerer.say(f"ask '{shown(text, 80)}'")
        return None

    def _hear(self, reply: Reply) -> None:
        """On the session's threads."""
        if self._reply is None:
            stamp = self._tracker.stamp_at
            self._stamps = stamp(reply.first_s), stamp(reply.last_s)
        self._reply = reply

    def look(self) -> End | None:
        """Tells what is new of the answer; its end, or that of patience."""
        reply, now_s = self._reply, time.monotonic()
        if reply is not self._seen:
            if reply.text and (self._seen is None or reply.text != self._seen.text):
                self.handle.publish_feedback(Ask.Feedback(text=reply.text))
            self._seen, self._news_s = reply, now_s
            return _end_of(reply)
        limit_s = self._answerer.limit_s()
        if now_s - self._news_s < limit_s:
            return None
        spent = f"{limit_s:g} s (grounding_limit_s)"
        if reply is None:
            return End("timeout", f"no images, or only questions before it, for {spent}")
        return End("timeout", f"nothing new of the answer for {spent}")

    def finish(self, end: End) -> None:
        """Nobody wants the answer any more."""
        self._question.cancelled.set()
        message = f": {shown(end.message)}" if end.message else ""
        asked = shown(self._question.text, 80)
        self._answerer.say(f"ask '{asked}' has ended, {end.outcome}{message}")

    def result(self, end: End) -> Ask.Result:
        """How it ended, and the answer so far."""
        first, last = self._stamps
        return Ask.Result(
            outcome=end.outcome,
            error_code=CODES.get(end.outcome, Ask.Result.NONE),
            error_msg=end.message,
            answer=self._reply.text if self._reply is not None else "",
            first=first,
            last=last,
        )


class Answerer(Goals[AskGoal]):
    """The action's goals. All runs on the node's own thread.

    Attributes:
        tracker: who takes questions; None while nobody does.
        limit_s: seconds without anything new of an answer that end its goal.
    """

    def __init__(self, node: Node, spinner: Spinner, limit_s: Callable[[], float]) -> None:
        """Goals end at once until `open`."""
        make = lambda handle: AskGoal(handle, self)  # noqa: E731
        super().__init__(node, spinner, Action("ask", Ask, make))
        self.tracker: Tracker | None = None
        self.limit_s = limit_s

    def open(self, tracker: Tracker) -> None:
        """From now on there are answers."""
        self.tracker = tracker

    def shut(self) -> None:
        """From now on there are none: goals end."""
        self.tracker = None
        self.end_all()

    def others(self, goal: AskGoal) -> int:
        """How many goals run beside this one."""
        return sum(other is not goal for other in self.running)


def _end_of(reply: Reply) -> End | None:
    """Of what is told last of an answer."""
    if not reply.ended:
        return None
    if reply.error is None:
        return End("succeeded")
    if isinstance(reply.error, InputError):
        return End("invalid", str(reply.error))
    return End("failed", f"the language model failed: {shown_error(reply.error)}")
