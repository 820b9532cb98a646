"""The action /virst/ask of the real node, over DDS: what the model says is scripted by the frames
(scripted_segment.py), or is the packaged model's.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")

from action_msgs.msg import GoalStatus
from goal_client import GoalClient
from robot import Robot, header, image
from robot import scripted_frame as frame

from virst_interfaces.action import Ask
from virst_model import load
from virst_model.answer import MOST_QUESTIONS

SCRIPTED = str(Path(__file__).parents[1] / "fixtures" / "scripted_segment.py")
FAST = ("--ros-args", "-p", "diagnostics_period_s:=0.2")
ABORTED, CANCELED = GoalStatus.STATUS_ABORTED, GoalStatus.STATUS_CANCELED
SUCCEEDED = GoalStatus.STATUS_SUCCEEDED
SEEN = frame("tracking")


class Asker(GoalClient):
    """Asks; a query is there, so that each frame is answered."""

    def __init__(self, node, robot: Robot) -> None:
        super().__init__(node, robot, Ask, "/virst/ask")

    def ask(self, question: str = "What is there?", **asked):
        return self.send_goal(question=question, **asked)

    def texts(self, handle) -> list[str]:
        return [told.text for told in handle.feedback]

    def hears(self, handle, text: str) -> bool:
        return self.robot.spin_until(lambda: text in self.texts(handle))


@pytest.fixture
def asker(start_process, robot, ros_node) -> Callable[..., Asker]:
    """asker() -> Asker, with the scripted node active, one query, and one frame seen."""

    def start(*arguments: str, active: bool = True) -> Asker:
        process = start_process(SCRIPTED, *FAST, *arguments)
        asker = Asker(ros_node, robot)
        if active:
            robot.wait_until_active(process)
            robot.set_query("the red circle")
            asker.show(SEEN)
        return asker

    return start


def test_an_answer_comes_word_by_word_with_the_stamps_of_what_it_is_about(asker):
    asker = asker()
    handle = asker.ask(max_tokens=256)
    for text in ("a", "a red"):
        asker.show(SEEN)
        assert asker.hears(handle, text)
        assert not handle.ended.done()
    asker.show(SEEN)
    status, result = asker.end_of(handle)

    assert status == SUCCEEDED
    assert (result.outcome, result.error_code, result.error_msg) == ("succeeded", 0, "")
    assert result.answer == "a red circle"
    assert (result.first, result.last) == (header(1.0).stamp, header(2.0).stamp)
    assert asker.texts(handle) == ["a", "a red", "a red circle"]


def test_the_stamps_are_the_images_to_the_nanosecond(asker):
    asker = asker()
    stamps = [header(1_700_000_000.0 + second).stamp for second in range(3)]
    handle = asker.ask(max_tokens=1)
    for stamp in stamps:
        stamp.nanosec = 123_456_789
        message = image(SEEN, 0.0)
        message.header.stamp = stamp
        asker.robot.answer_to(message)
    _, result = asker.end_of(handle)

    assert result.last == stamps[0]


def test_an_answer_has_as_many_tokens_as_were_asked_for(asker):
    asker = asker()
    handle = asker.ask(max_tokens=2)
    asker.show(SEEN, SEEN)
    assert asker.end_of(handle)[1].answer == "a red"


def test_a_client_that_names_no_number_of_tokens_gets_256():
    assert Ask.Goal().max_tokens == 256


@pytest.mark.parametrize("words, said", [(0, ""), (1, "a"), (2, "a red")])
def test_a_goal_is_canceled_at_any_stage_and_keeps_what_was_said(asker, words, said):
    asker = asker()
    handle, other = asker.ask(), asker.ask(max_tokens=1)
    asker.show(*[SEEN] * words)
    assert not words or asker.hears(handle, said)
    assert asker.cancel(handle)
    status, result = asker.end_of(handle)

    assert (status, result.outcome, result.error_code) == (CANCELED, "canceled", Ask.Result.NONE)
    assert result.answer == said
    asker.show(SEEN)  # the next word is the other goal's
    assert asker.end_of(other)[1].answer == "a"
    assert not asker.cancel(handle)


@pytest.mark.parametrize(
    "question, outcome, code, said",
    [
        ("what fails?", "failed", Ask.Result.FAILED, "failed: MemoryError: scripted"),
        ("what is too long?", "invalid", Ask.Result.INVALID, "scripted: too long"),
    ],
)
def test_what_the_model_raises_is_said_and_the_node_goes_on(asker, question, outcome, code, said):
    asker = asker()
    handle = asker.ask(question)
    asker.show(SEEN, SEEN)
    status, result = asker.end_of(handle)

    assert (status, result.outcome, result.error_code) == (ABORTED, outcome, code)
    assert said in result.error_msg and result.answer == "a red"
    again = asker.ask(max_tokens=1)
    asker.show(SEEN)
    assert asker.end_of(again)[0] == SUCCEEDED


def test_what_cannot_be_asked_is_refused_with_the_reason(asker):
    asker = asker()
    asked = [
        ({"question": " "}, "the question is empty"),
        ({"question": "a\nb"}, "character 2 of the question is a control character"),
        ({"question": "x" * 1001}, "the question has 1001 characters, the limit is 1000"),
        ({"max_tokens": 0}, "max_tokens must be 1 or more, not 0"),
    ]
    for goal, said in asked:
        status, result = asker.end_of(asker.ask(**goal))
        assert (status, result.outcome) == (ABORTED, "invalid")
        assert result.error_code == Ask.Result.INVALID and said in result.error_msg


def test_only_so_many_questions_wait(asker):
    asker = asker()
    handles = [asker.ask(f"what is {number}?") for number in range(MOST_QUESTIONS)]
    status, result = asker.end_of(asker.ask("one more?"))
    assert (status, result.outcome, result.error_code) == (ABORTED, "busy", Ask.Result.BUSY)
    assert result.error_msg.startswith("4 questions are there already")

    asker.show(*[SEEN] * 3 * MOST_QUESTIONS)
    assert {asker.end_of(handle)[1].answer for handle in handles} == {"a red circle"}


def test_a_question_without_images_ends_when_patience_is_over(asker):
    asker = asker("-p", "grounding_limit_s:=0.2")
    status, result = asker.end_of(asker.ask())
    assert (status, result.outcome, result.error_code) == (ABORTED, "timeout", Ask.Result.TIMEOUT)
    assert result.error_msg.startswith("no images") and "0.2 s" in result.error_msg


def test_a_model_that_says_nothing_is_not_waited_for_and_the_next_is_answered(asker):
    asker = asker("-p", "grounding_limit_s:=0.5")
    status, result = asker.end_of(asker.ask("are you there?"))
    assert (status, result.outcome) == (ABORTED, "timeout")

    handle = asker.ask(max_tokens=1)
    asker.show(SEEN)
    assert asker.end_of(handle)[1].answer == "a"


def test_an_inactive_node_says_so_and_one_that_is_deactivated_ends_its_goals(asker):
    asker = asker("-p", "autostart:=false", active=False)

    def refused() -> None:
        status, result = asker.end_of(asker.ask())
        assert (status, result.outcome) == (ABORTED, "inactive")
        assert result.error_code == Ask.Result.INACTIVE and "activate it" in result.error_msg

    refused()
    assert asker.robot.change("configure")
    refused()
    assert asker.robot.change("activate")
    asker.robot.wait_until_active()
    asker.robot.set_query("the red circle")
    handle = asker.ask()
    asker.show(SEEN)
    assert asker.hears(handle, "a")
    assert asker.robot.change("deactivate")
    status, result = asker.end_of(handle)
    assert (status, result.outcome, result.answer) == (ABORTED, "inactive", "a")
    refused()


def test_weights_that_were_not_taught_to_answer_say_so(asker):
    asker = asker("-p", "model:=untaught")
    status, result = asker.end_of(asker.ask())
    assert (status, result.outcome) == (ABORTED, "untaught")
    assert result.error_code == Ask.Result.UNTAUGHT
    assert "has not learned to answer in words" in result.error_msg
    assert "parameter model" in result.error_msg


def test_the_packaged_model_answers_or_says_that_it_cannot(start_process, robot, ros_node):
    process = start_process("-m", "virst_ros.segment", *FAST)
    robot.wait_until_active(process)
    asker = Asker(ros_node, robot)
    robot.set_query("the red circle")
    handle = asker.ask("How many red circles are there?", max_tokens=8)
    answers = load(None, "cpu").config.answers
    for _ in range(24 if answers else 0):
        asker.show(SEEN)
    status, result = asker.end_of(handle)

    if answers:
        assert status == SUCCEEDED and result.answer
        assert result.first.sec < result.last.sec
    else:
        assert (status, result.outcome) == (ABORTED, "untaught")
