"""Troubles that last, in the log and on /diagnostics."""

from __future__ import annotations

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")

from diagnostic_msgs.msg import DiagnosticStatus

from virst_model.answer import FAILED, TRACKING
from virst_ros import troubles
from virst_ros.diagnosis import Snapshot, report
from virst_ros.meter import Meter
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
    assert looks == [(), ("none",), ("none for 2 s",), (), (), ("none",)]


def test_a_language_model_is_overdue_after_its_limit():
    def text(running_s):
        return troubles.overdue({"grounding_running_s": running_s}, limit_s=60.0).text

    assert text(0.0) == text(59.9) == ""
    assert "61 s (grounding_limit_s is 60)" in text(61.0)


def test_failed_queries_are_named_with_the_reason():
    assert troubles.unanswered({1: TRACKING}, "no memory").text == ""
    text = troubles.unanswered({1: TRACKING, 2: FAILED, 3: FAILED}, "no memory").text
    assert text == "no answer to query 2, 3: no memory"


def test_a_trouble_that_lasts_is_a_warning_and_so_is_a_fault_beside_it():
    meter = Meter()
    node = Snapshot("/segment", "active", "/image", meter, 0, warnings=("no answer",))
    meter.count("received")
    (lasting,) = report(node).status
    meter.count("bad_frames", "cut off")
    (both,) = report(node).status

    assert (lasting.level, lasting.message) == (DiagnosticStatus.WARN, "no answer")
    assert (both.level, both.message) == (DiagnosticStatus.WARN, "bad_frames: cut off; no answer")
