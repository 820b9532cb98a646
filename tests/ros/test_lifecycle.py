"""Transitions that are refused: what rclpy raises of them before Kilted is an answer, too."""

from __future__ import annotations

import threading
from types import SimpleNamespace

from patience import LIMIT_S
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")

from virst_ros.lifecycle import Aside


def answer_of(callback):
    """What a service answers whose callback runs aside, and what was told."""
    service, woken, told = SimpleNamespace(callback=callback), threading.Event(), []
    Aside(service, woken.set, told.append)
    answering = service.callback("request", "as it was")
    try:
        while True:
            answering.send(None)
            assert woken.wait(LIMIT_S)
    except StopIteration as ended:
        return ended.value, told


def test_a_transition_that_rcl_refuses_is_an_answer_and_told():
    def refuse(request, response):
        raise RuntimeError("Transition is not registered.")

    answer, (line,) = answer_of(refuse)

    assert answer == "as it was"
    assert line.startswith("a transition is refused: ") and "not registered" in line


def test_a_fault_of_a_callback_is_raised_where_its_answer_is_awaited():
    with pytest.raises(ValueError, match="a fault"):
        answer_of(lambda request, response: int("a fault"))


def test_an_answer_comes_from_the_callback():
    assert answer_of(lambda request, response: "changed") == ("changed", [])
