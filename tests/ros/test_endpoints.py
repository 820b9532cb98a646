"""Quality of service that people override, peers that do not match, parameters that are live."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")

from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from rclpy.qos import ReliabilityPolicy
from robot import header, image, red_square
from sensor_msgs.msg import Image
from std_msgs.msg import String

ROOT = Path(__file__).resolve().parents[2]
SCRIPTED = str(ROOT / "tests" / "fixtures" / "scripted_segment.py")
FAST = ("--ros-args", "-p", "diagnostics_period_s:=0.2")
RELIABLE, BEST_EFFORT = ReliabilityPolicy.RELIABLE, ReliabilityPolicy.BEST_EFFORT


@pytest.fixture
def start(start_process, robot):
    def start(*arguments: str, active: bool = True):
        process = start_process(SCRIPTED, *FAST, *arguments)
        if active:
            robot.wait_until_active(process)
        return process

    return start


@pytest.fixture
def set_parameters(robot, ros_node):
    """set_parameters(alpha=2) -> whether it was taken, and why not."""
    client = ros_node.create_client(SetParameters, "/virst/segment/set_parameters")

    def change(**values: object) -> tuple[bool, str]:
        parameters = [Parameter(n, value=v).to_parameter_msg() for n, v in values.items()]
        results = robot.call(client, SetParameters.Request(parameters=parameters)).results
        return all(r.successful for r in results), "; ".join(r.reason for r in results if r.reason)

    return change


def offered(node, topic: str) -> list[ReliabilityPolicy]:
    return [p.qos_profile.reliability for p in node.get_publishers_info_by_topic(topic)]


def test_quality_of_service_may_be_overridden_and_is_after_cleanup_and_configure(
    start, robot, ros_node
):
    names = ("/virst/masks.publisher.reliability", "/virst/queries.publisher.reliability")
    overrides = [word for name in names for word in ("-p", f"qos_overrides.{name}:=best_effort")]
    start(*overrides, "-p", "qos_overrides./virst/image.subscription.depth:=3")
    for _ in range(2):
        assert robot.spin_until(lambda: offered(ros_node, "/virst/masks") == [BEST_EFFORT])
        assert offered(ros_node, "/virst/labels") == [RELIABLE], "of the same profile"
        assert offered(ros_node, "/virst/queries") == [BEST_EFFORT]
        assert robot.change("deactivate") and robot.change("cleanup")
        assert robot.spin_until(lambda: offered(ros_node, "/virst/masks") == [])
        assert robot.change("configure") and robot.change("activate")

    # The robot's own reader of masks asks for reliable ones.
    assert robot.counts("incompatible_qos")
    assert "a reader of /virst/masks asks for another reliability" in robot.message


@pytest.mark.parametrize(
    "override", ["masks.publisher.reliability:=often", "labels.publisher.depth:=-1"]
)
def test_an_override_that_cannot_be_is_named(start_process, override):
    process = start_process(SCRIPTED, *FAST, "-p", f"qos_overrides./virst/{override}")

    assert process.popen.wait(60) == 1
    assert "configure failed: qos_overrides./virst/" in process.output
    assert "Traceback" not in process.output


def test_a_writer_that_does_not_match_is_counted_and_told(start, robot):
    """The robot's camera sends best effort."""
    override = "qos_overrides./virst/image.subscription.reliability:=reliable"
    start("-p", override, active=False)

    assert robot.counts("incompatible_qos")
    assert "a writer of /virst/image asks for another reliability" in robot.message


def test_what_is_live_holds_at_once_while_the_node_is_active(
    start, robot, ros_node, set_parameters
):
    start("-p", "query:=red")
    assert robot.spin_until(lambda: ros_node.count_publishers("/virst/overlay") == 1)

    assert set_parameters(overlay=False, max_pixels=100) == (True, "")
    assert robot.spin_until(lambda: ros_node.count_publishers("/virst/overlay") == 0)
    assert robot.publish_until(image(red_square(), 1.0), lambda: robot.counted("bad_frames") > 0)
    assert "max_pixels is 100" in robot.message
    assert set_parameters(overlay=True, max_pixels=10**6, grounding_limit_s=5) == (True, "")
    assert robot.spin_until(lambda: ros_node.count_publishers("/virst/overlay") == 1)
    ros_node.create_subscription(Image, "/virst/overlay", robot.overlays.append, 1)
    stamps = iter(range(2, 1000))

    def drawn() -> bool:
        robot.answer_to(image(red_square(), float(next(stamps))))
        return bool(robot.overlays)

    assert robot.spin_until(drawn)


def test_what_is_live_and_set_while_the_node_configures_holds_once_it_is_active(
    start_process, robot, gate, set_parameters
):
    late = ("-p", "autostart:=false", "-p", "model:=late")
    start_process(SCRIPTED, *FAST, *late, env={"SCRIPTED_GATE": str(gate)})
    assert robot.spin_until(lambda: robot.diagnostics.get("state") == "unconfigured")
    robot.change_async("configure")
    assert robot.spin_until(lambda: robot.diagnostics.get("state") == "configuring")
    assert set_parameters(max_pixels=100) == (True, "")
    gate.touch()
    assert robot.spin_until(lambda: robot.diagnostics.get("state") == "inactive")
    assert robot.set_query("red").query_id == 1 and robot.change("activate")

    assert robot.publish_until(image(red_square(), 1.0), lambda: robot.counted("bad_frames") > 0)
    assert "max_pixels is 100" in robot.message


def test_what_is_not_live_is_refused_with_the_reason_and_changes_nothing(
    start, robot, set_parameters
):
    start("-p", "query:=red")

    late = (False, "window_size: read at configure; clean up first")
    assert set_parameters(window_size=16) == late
    taken, reason = set_parameters(window_period_s=11.0)
    assert not taken and "window_period_s" in reason
    robot.answer_to(image(red_square(), 1.0))


def test_the_period_of_diagnostics_is_live(start, robot, set_parameters):
    start("-p", "diagnostics_period_s:=60.0", active=False)
    assert robot.spin_until(robot.has_service)

    assert set_parameters(diagnostics_period_s=0.2)[0]
    before_s = robot.diagnosed_s
    assert robot.spin_until(lambda: robot.diagnosed_s > before_s)


# Queries at run time.


def test_queries_have_names_rest_and_go_on(start, robot):
    start()
    robot.listen_to_queries()
    robot.set_query("the red circle", name="cup")
    robot.set_query("red", append=True)
    taken = robot.set_query("the circle", append=True, name="cup")
    robot.answer_to(image(red_square(), 1.0))
    resting = robot.enable_query(1, False)
    robot.answer_to(image(red_square(), 2.0))

    assert not taken.success and taken.message == "the name 'cup' is taken by query 1"
    assert (resting.success, resting.message) == (True, "disabled")
    assert [s.id for s in robot.segmentations[-1].segmentations] == [2]

    def standing() -> list[tuple]:
        newest = robot.queries[-1].queries if robot.queries else []
        return [(q.id, q.label, q.name, q.enabled, q.state) for q in newest]

    second = (2, 2, "red", True, "tracking")
    assert robot.spin_until(lambda: standing() == [(1, 1, "cup", False, "searching"), second])
    assert robot.enable_query(1, True).success
    robot.answer_to(image(red_square(), 3.0))
    assert [s.id for s in robot.segmentations[-1].segmentations] == [1, 2]
    assert robot.spin_until(lambda: standing() == [(1, 1, "cup", True, "tracking"), second])
    unknown = robot.enable_query(9, True)
    assert not unknown.success and "there are: 1, 2" in unknown.message


def test_while_all_queries_rest_nothing_is_published(start, robot):
    start("-p", "query:=red")
    robot.answer_to(image(red_square(), 1.0))
    robot.enable_query(1, False)
    processed = robot.counted_now("processed_frames")
    robot.publish_until(
        image(red_square(), 2.0), lambda: robot.counted("processed_frames") > processed
    )

    assert robot.masks[-1].header == header(1.0)
    assert robot.statuses["query 1"].message == "disabled"


def test_a_text_on_a_topic_replaces_all_queries_and_a_refusal_is_told(start, robot, ros_node):
    process = start()
    texts = ros_node.create_publisher(String, "/virst/query_text", 1)
    assert robot.spin_until(lambda: texts.get_subscription_count() == 1)
    robot.set_query("the circle")
    robot.listen_to_queries()
    newest = lambda: [q.text for q in robot.queries[-1].queries] if robot.queries else None  # noqa: E731

    texts.publish(String(data="the red circle"))
    assert robot.spin_until(lambda: newest() == ["the red circle"])
    texts.publish(String(data="x" * 2000))
    assert robot.counts("refused_queries")
    assert "refused_queries: the query has 2000 characters" in robot.message
    assert "a text on /virst/query_text is refused" in process.output
    assert newest() == ["the red circle"]
    texts.publish(String(data=""))
    assert robot.spin_until(lambda: newest() == [])
