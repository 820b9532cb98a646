"""Questions by the action `ask`, whose node says what a test says."""

from __future__ import annotations

from collections.abc import Callable
import threading
from types import SimpleNamespace

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")

from patience import wait_until
from rclpy.task import Future

from virst_model.watching import Refused
from virst_ros import questioner
from virst_ros.questioner import SILENT, Questioner


class Here:
    """In place of a node's thread: everything is done at once."""

    def call(self, job: Callable[[], object]) -> object:
        return job()


class ScriptedClient:
    """Has one goal, which a test ends by `end`."""

    def __init__(self, *made_with: object) -> None:
        self.is_ready = True
        self.accepts = True
        self.goal = None
        self.cancels = 0
        self.result: Future = Future()

    def server_is_ready(self) -> bool:
        return self.is_ready

    def send_goal_async(self, goal: object, hear: Callable[[object], None]) -> Future:
        self.goal, self.hear = goal, hear
        accepted = Future()
        accepted.set_result(self)
        return accepted

    @property
    def accepted(self) -> bool:
        return self.accepts

    def get_result_async(self) -> Future:
        return self.result

    def cancel_goal_async(self) -> None:
        self.cancels += 1
        self.end(outcome="canceled", answer="a red")

    def say(self, text: str) -> None:
        self.hear(SimpleNamespace(feedback=SimpleNamespace(text=text)))

    def end(self, outcome: str, answer: str = "", error_msg: str = "") -> None:
        result = SimpleNamespace(outcome=outcome, answer=answer, error_msg=error_msg)
        self.result.set_result(SimpleNamespace(result=result))


class Asked(threading.Thread):
    """A question that waits for its answer."""

    def __init__(self, asks: Questioner) -> None:
        super().__init__()
        self.asks, self.stop = asks, threading.Event()
        self.said: list[str] = []
        self.outcome = ""
        self.start()

    def run(self) -> None:
        try:
            self.outcome = self.asks.ask("What moves?", self.said.append, self.stop)
        except Refused as error:
            self.outcome = f"refused: {error}"

    def ended(self) -> str:
        self.join()
        return self.outcome


@pytest.fixture
def asks(monkeypatch) -> Questioner:
    monkeypatch.setattr(questioner, "Ask", SimpleNamespace(Goal=SimpleNamespace))
    monkeypatch.setattr(questioner, "ActionClient", ScriptedClient)
    made = Questioner(None, Here())
    made.look_around()
    return made


def test_an_answer_comes_as_far_as_it_is_known_and_then_whole(asks):
    asked = Asked(asks)
    client = asks._client
    assert wait_until(lambda: client.goal)
    assert (client.goal.question, client.goal.max_tokens) == ("What moves?", 256)
    client.say("a red")
    assert wait_until(lambda: asked.said == ["a red"])
    client.end("succeeded", "a red circle")
    assert asked.ended() == "a red circle"


def test_a_goal_that_ends_otherwise_is_refused_with_its_reason(asks):
    asked = Asked(asks)
    assert wait_until(lambda: asks._client.goal)
    asks._client.end("untaught", error_msg="the weights were not taught to answer")
    assert asked.ended() == "refused: the weights were not taught to answer"


def test_a_goal_that_is_not_accepted_is_refused(asks):
    asks._client.accepts = False
    assert Asked(asks).ended() == "refused: the node refused the question"


def test_an_answer_that_nobody_wants_any_more_is_cancelled_once(asks):
    asked = Asked(asks)
    assert wait_until(lambda: asks._client.goal)
    asked.stop.set()
    assert asked.ended() == "refused: canceled: a red"
    assert asks._client.cancels == 1


def test_a_node_that_does_not_end_a_stopped_answer_leaves_nobody_waiting(asks, monkeypatch):
    monkeypatch.setattr(questioner, "LEFT_S", 0.2)
    asked = Asked(asks)
    assert wait_until(lambda: asks._client.goal)
    asks._client.end = lambda **outcome: None  # the cancel is lost
    asked.stop.set()
    assert asked.ended() == "refused: stopped; the node did not say so"


def test_a_node_that_goes_leaves_nobody_waiting(asks):
    asked = Asked(asks)
    assert wait_until(lambda: asks._client.goal)
    asks._client.is_ready = False
    asks.look_around()
    assert asked.ended() == "refused: the node has gone"


def test_without_the_action_the_node_takes_no_questions(monkeypatch):
    monkeypatch.setattr(questioner, "Ask", None)
    asks = Questioner(None, Here())
    asks.look_around()
    assert asks.silent == SILENT
    assert Asked(asks).ended() == f"refused: {SILENT}"
