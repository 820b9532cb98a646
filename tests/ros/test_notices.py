"""Troubles that last, in the log and on /diagnostics."""

from __future__ import annotations

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")

from virst_model.answer import FAILED, TRACKING
from virst_ros import troubles
from virst_ros.notices import Notices, Trouble


def test_a_trouble_is_said_when_it_begins_and_when_it_is_over():
    begun, over = [], []
    notices = Notices(begun.append, over.append)
    looks = [
        notices.look(Trouble("silence", text, "there it is"), Trouble("other", "", ""))
        for text in ("", "none", "none for 2 s", "", "", "none")
    ]

    assert begun == ["none", "none"]
    assert over == ["there it is"]
    lasting = [tuple(trouble.text for trouble in look) for look in looks]
    assert lasting == [(), ("none",), ("none for 2 s",), (), (), ("none",)]


def test_a_language_model_is_overdue_after_its_limit():
    def text(running_s):
        return troubles.overdue({"grounding_running_s": running_s}, limit_s=60.0).text

    assert text(0.0) == text(59.9) == ""
    assert "61 s (grounding_limit_s is 60)" in text(61.0)


def test_failed_queries_are_named_with_the_reason():
    assert troubles.unanswered({1: TRACKING}, "no memory").text == ""
    text = troubles.unanswered({1: TRACKING, 2: FAILED, 3: FAILED}, "no memory").text
    assert text == "no answer to query 2, 3: no memory"
