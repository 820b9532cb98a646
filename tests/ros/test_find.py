"""The action /virst/find of the real node, over DDS: what the model says is scripted by the frames
(scripted_segment.py).
"""

from __future__ import annotations

from collections.abc import Callable
import math
from pathlib import Path
import signal

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")

from action_msgs.msg import GoalStatus
from goal_client import GoalClient
from robot import Robot, header
from robot import scripted_frame as frame

from virst_interfaces.action import Find

SCRIPTED = str(Path(__file__).parents[1] / "fixtures" / "scripted_segment.py")
FAST = ("--ros-args", "-p", "diagnostics_period_s:=0.2")
ABORTED, CANCELED = GoalStatus.STATUS_ABORTED, GoalStatus.STATUS_CANCELED
SUCCEEDED = GoalStatus.STATUS_SUCCEEDED


class Seeker(GoalClient):
    """Looks for what the frames decide."""

    def __init__(self, node, robot: Robot) -> None:
        super().__init__(node, robot, Find, "/virst/find")

    def send(self, query: str = "the red circle", **asked):
        return self.send_goal(query=query, **asked)

    def query_ids(self) -> list[int]:
        """The queries as the node lists them now."""
        self.robot.listen_to_queries()
        assert self.robot.spin_until(lambda: self.robot.queries)
        return [query.id for query in self.robot.queries[-1].queries]


@pytest.fixture
def seeker(start_process, robot, ros_node) -> Callable[..., Seeker]:
    """seeker() -> Seeker, with the scripted node active."""

    def start(*arguments: str, active: bool = True) -> Seeker:
        process = start_process(SCRIPTED, *FAST, *arguments)
        if active:
            robot.wait_until_active(process)
        return Seeker(ros_node, robot)

    return start


def test_a_goal_succeeds_when_it_is_seen_on_three_frames_in_a_row(seeker):
    seeker = seeker()
    handle = seeker.send(name="cup")
    seeker.show(frame("searching"), frame("tracking"), frame("tracking"), frame("tracking", 0.25))
    seeker.show(frame("tracking"), frame("tracking"))
    assert not handle.ended.done()
    seeker.show(frame("tracking"))
    status, result = seeker.end_of(handle)

    assert status == SUCCEEDED
    assert (result.outcome, result.error_code, result.error_msg) == ("succeeded", 0, "")
    assert result.query_id == result.segmentation.id == 1
    assert result.header == header(7.0)
    assert (result.segmentation.state, result.segmentation.area) == ("tracking", 400)
    assert not result.has_position and result.center.header.frame_id == ""


def test_feedback_comes_when_something_changes(seeker):
    seeker = seeker()
    handle = seeker.send(until_seen=True)
    states = ["searching"] * 3 + ["tracking"] * 2 + ["lost"] * 2 + ["tracking"] * 3
    seeker.show(*(frame(state) for state in states))
    seeker.end_of(handle)

    assert [(told.state, told.presence) for told in handle.feedback] == [
        ("searching", 0.0),
        ("tracking", 0.75),
        ("lost", 0.0),
        ("tracking", 0.75),
    ]


@pytest.mark.parametrize(
    ("states", "outcome", "code"),
    [
        (["searching", "lost"], "absent", Find.Result.ABSENT),
        (["searching", "tracking", "tracking", "lost"], "lost", Find.Result.LOST),
    ],
)
def test_the_first_lost_ends_a_goal_that_does_not_wait(seeker, states, outcome, code):
    seeker = seeker()
    handle = seeker.send()
    seeker.show(*(frame(state) for state in states))
    status, result = seeker.end_of(handle)

    assert (status, result.outcome, result.error_code) == (ABORTED, outcome, code)
    assert "seen" in result.error_msg and result.segmentation.state == "lost"
    assert seeker.query_ids() == []


def test_a_goal_without_an_answer_ends_when_its_time_is_over(seeker):
    seeker = seeker()
    goal = Find.Goal()
    goal.timeout.nanosec = 200_000_000
    status, result = seeker.end_of(seeker.send(timeout=goal.timeout, until_seen=True))

    assert (status, result.outcome) == (ABORTED, "timeout")
    assert result.error_code == Find.Result.TIMEOUT
    assert seeker.query_ids() == []


@pytest.mark.parametrize("keep", [False, True])
def test_a_query_that_was_seen_stays_if_that_is_asked_for(seeker, keep):
    seeker = seeker()
    found, canceled = (seeker.send(keep=keep) for _ in range(2))
    assert seeker.cancel(canceled)
    seeker.end_of(canceled)
    seeker.show(*[frame("tracking")] * 3)
    seeker.end_of(found)

    assert seeker.query_ids() == ([found.ended.result().result.query_id] if keep else [])


def test_thirteen_goals_share_four_free_labels(seeker):
    seeker = seeker()
    for number in range(12):
        seeker.robot.set_query(f"query {number}", append=True)
    handles = [seeker.send(f"goal {number}") for number in range(13)]
    assert seeker.robot.spin_until(lambda: sum(h.ended.done() for h in handles) == 9)
    for handle in handles[4:]:
        status, result = seeker.end_of(handle)
        assert (status, result.outcome) == (ABORTED, "no_slot")
        assert result.error_code == Find.Result.NO_SLOT and result.query_id == 0
        assert result.error_msg == "there are 16 queries, the limit is 16"

    seeker.show(*[frame("tracking")] * 3)
    ends = [seeker.end_of(handle) for handle in handles[:4]]
    assert [(s, r.query_id) for s, r in ends] == [(SUCCEEDED, id) for id in (13, 14, 15, 16)]
    assert seeker.query_ids() == list(range(1, 13))
    one_more = seeker.send("one more")
    assert seeker.robot.spin_until(lambda: one_more.status == GoalStatus.STATUS_EXECUTING)


def test_goals_that_wait_hold_nobody_up_and_end_when_their_query_is_gone(seeker):
    seeker = seeker()
    handles = [seeker.send(f"goal {number}") for number in range(12)]
    assert seeker.robot.set_query("the red circle", append=True).query_id == 13
    assert seeker.robot.remove_query(2).success
    status, result = seeker.end_of(handles[1])
    assert (status, result.outcome, result.query_id) == (ABORTED, "removed", 2)
    assert result.error_code == Find.Result.REMOVED
    assert not any(handle.ended.done() for handle in handles if handle is not handles[1])

    assert seeker.robot.set_query("the circle").query_id == 14
    assert {seeker.end_of(handle)[1].outcome for handle in handles} == {"removed"}
    assert seeker.query_ids() == [14]


def test_an_inactive_node_says_so_and_one_that_is_deactivated_ends_its_goals(seeker):
    seeker = seeker("-p", "autostart:=false", active=False)

    def refused() -> None:
        status, result = seeker.end_of(seeker.send())
        assert (status, result.outcome, result.query_id) == (ABORTED, "inactive", 0)
        assert result.error_code == Find.Result.INACTIVE

    refused()
    assert seeker.robot.change("configure")
    refused()
    assert seeker.robot.change("activate")
    seeker.robot.wait_until_active()
    goals = seeker.send(), seeker.send("the circle", keep=True)
    seeker.show(frame("tracking"))
    assert seeker.robot.change("deactivate")
    for handle in goals:
        status, result = seeker.end_of(handle)
        assert (status, result.error_code) == (ABORTED, Find.Result.INACTIVE)
        assert result.header == header(1.0)
    assert seeker.query_ids() == []
    refused()

    assert seeker.robot.change("activate")
    seeker.robot.wait_until_active()
    handle = seeker.send()
    assert seeker.robot.change("shutdown active")
    assert seeker.end_of(handle)[1].outcome == "inactive"


def test_a_goal_whose_query_rests_ends(seeker):
    seeker = seeker()
    handle = seeker.send()
    seeker.show(frame("searching"))
    assert seeker.robot.enable_query(1, False).success
    status, result = seeker.end_of(handle)

    assert (status, result.outcome) == (ABORTED, "removed")
    assert result.error_msg == "somebody else disabled query 1"


def test_a_client_hears_of_the_end_of_the_node(start_process, robot, ros_node):
    process = start_process(SCRIPTED, *FAST)
    robot.wait_until_active(process)
    seeker = Seeker(ros_node, robot)
    handle = seeker.send()
    seeker.show(frame("searching"))

    process.popen.send_signal(signal.SIGINT)
    status, result = seeker.end_of(handle)

    assert (status, result.outcome) == (ABORTED, "inactive")
    assert process.stop() == 0


def test_what_cannot_be_asked_is_refused_with_the_reason(seeker):
    seeker = seeker()
    seeker.robot.set_query("the circle", name="cup")
    late = Find.Goal().timeout
    late.sec = -1
    asked = [
        ({"query": "a\nb"}, "character 2 of the query is a control character"),
        ({"query": " "}, "the query is empty"),
        ({"name": "cup"}, "the name 'cup' is taken by query 1"),
        ({"timeout": late}, "timeout must be 0 s or more, not -1 s"),
        ({"min_presence": 1.5}, "min_presence must be a number of 0 to 1, not 1.5"),
        ({"min_presence": math.nan}, "not nan"),
    ]
    for goal, said in asked:
        status, result = seeker.end_of(seeker.send(**goal))
        assert (status, result.outcome) == (ABORTED, "invalid")
        assert result.error_code == Find.Result.INVALID and said in result.error_msg
    assert seeker.query_ids() == [1]


@pytest.mark.parametrize(
    "states", [[], ["searching"], ["tracking"] * 2, ["lost"], ["failed"]], ids=str
)
def test_a_goal_is_canceled_at_any_stage_and_its_query_is_gone(seeker, states):
    seeker = seeker()
    handle = seeker.send(until_seen=True)
    seeker.show(*(frame(state) for state in states))
    assert seeker.cancel(handle)
    status, result = seeker.end_of(handle)

    assert (status, result.outcome) == (CANCELED, "canceled")
    assert (result.error_code, result.query_id) == (Find.Result.NONE, 1)
    assert seeker.query_ids() == []


def test_a_goal_that_has_ended_is_not_canceled(seeker):
    seeker = seeker()
    handle = seeker.send()
    seeker.show(*[frame("tracking")] * 3)
    seeker.end_of(handle)

    assert not seeker.cancel(handle)
    assert seeker.end_of(handle)[0] == SUCCEEDED
