"""The node under a lifecycle manager: its calls, what an error leaves behind, memory, the bond."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")

from lifecycle_msgs.msg import State
from nav2_manager import Nav2Manager
from patience import LIMIT_S
from robot import image, red_square
from scripted_segment import HEAVY_MIB

FIXTURES = Path(__file__).parents[1] / "fixtures"
SCRIPTED, CLUMSY = str(FIXTURES / "scripted_segment.py"), str(FIXTURES / "clumsy_segment.py")
WAITING = ("--ros-args", "-p", "diagnostics_period_s:=0.2", "-p", "autostart:=false")
NODES = ["left/segment", "virst/segment"]
UNCONFIGURED, INACTIVE = State.PRIMARY_STATE_UNCONFIGURED, State.PRIMARY_STATE_INACTIVE
ACTIVE, FINALIZED = State.PRIMARY_STATE_ACTIVE, State.PRIMARY_STATE_FINALIZED


@pytest.fixture
def managed(ros_node, spin_until) -> Callable[..., Nav2Manager]:
    """managed(NODES) -> a manager of these."""

    def manage(names: list[str], service_timeout_s: float = LIMIT_S) -> Nav2Manager:
        return Nav2Manager(ros_node, spin_until, names, service_timeout_s)

    return manage


@pytest.fixture
def start(start_process, gate) -> Callable[..., object]:
    """start(SCRIPTED, "-p", ...) -> the process of a node that waits for its manager."""
    files = {"SCRIPTED_GATE": str(gate)}
    return lambda program, *others: start_process(program, *WAITING, *others, env=files)


def test_a_manager_brings_nodes_up_and_down_as_often_as_it_likes(start, managed, robot):
    start(SCRIPTED, "-r", "__ns:=/left")
    start(SCRIPTED)
    manager = managed(NODES)

    for _ in range(2):
        assert manager.startup()
        robot.wait_until_active()
        robot.set_query("the red circle")
        robot.answer_to(image(red_square(), 1.0))
        assert manager.pause() and manager.resume()
        robot.wait_until_active()
        robot.answer_to(image(red_square(), 2.0))
        assert manager.reset()
        assert [manager.state(name) for name in NODES] == [UNCONFIGURED] * 2
    assert manager.startup()
    manager.shutdown()
    assert [manager.state(name) for name in NODES] == [FINALIZED] * 2


def test_a_manager_that_loses_patience_in_configure_can_begin_again(
    start, managed, spin_until, gate
):
    process = start(SCRIPTED, "-p", "model:=late")
    hasty, patient = managed(NODES[1:], 0.5), managed(NODES[1:])

    assert not hasty.startup()
    assert not hasty.reset(), "a node that configures is in no state to be brought down from"
    gate.touch()
    assert spin_until(lambda: patient.state(NODES[1]) == INACTIVE)
    assert patient.resume() and patient.state(NODES[1]) == ACTIVE
    assert patient.reset() and patient.startup()
    assert process.popen.poll() is None


def test_a_node_that_is_ended_in_configure_is_gone_for_its_manager(start, managed, robot, gate):
    process = start(SCRIPTED, "-p", "model:=late")
    assert not managed(NODES[1:], 0.5).startup()
    assert robot.spin_until(lambda: robot.diagnostics.get("state") == "configuring")

    assert process.stop() == 0
    assert "Traceback" not in process.output


def memory_mib(process) -> float:
    """What the process holds in RAM."""
    status = Path(f"/proc/{process.popen.pid}/status")
    if not status.exists():
        pytest.skip("needs /proc")
    (line,) = (row for row in status.read_text().splitlines() if row.startswith("VmRSS"))
    return int(line.split()[1]) / 2**10


def test_cleanup_gives_the_memory_back(start, managed):
    process = start(SCRIPTED, "-p", "model:=heavy")
    manager = managed(NODES[1:])
    assert manager.state(NODES[1]) == UNCONFIGURED
    before = memory_mib(process)

    for _ in range(3):
        assert manager.startup()
        assert memory_mib(process) > before + 0.9 * HEAVY_MIB
        assert manager.reset()
        assert memory_mib(process) < before + 0.25 * HEAVY_MIB


def test_an_error_ends_unconfigured_with_its_reason_and_without_the_memory(start, robot, managed):
    process = start(CLUMSY, "-p", "model:=heavy", "-p", "query:=the red circle")
    manager = managed(NODES[1:])
    assert manager.state(NODES[1]) == UNCONFIGURED
    before = memory_mib(process)

    assert not manager.startup()
    assert manager.state(NODES[1]) == UNCONFIGURED
    assert memory_mib(process) < before + 0.25 * HEAVY_MIB
    reason = "on_activate failed: OSError: scripted: too many open files"
    assert robot.spin_until(lambda: robot.diagnostics.get("state") == "unconfigured")
    assert robot.spin_until(lambda: reason in robot.message)
    assert robot.statuses["node"].level == b"\x01"

    assert manager.startup()
    robot.wait_until_active()
    robot.answer_to(image(red_square(), 1.0))
    assert robot.spin_until(lambda: robot.statuses["node"].level == b"\x00")


def test_a_configure_that_failed_has_its_reason_in_diagnostics(start, robot, managed):
    start(SCRIPTED, "-p", "query:=" + "x" * 1001)
    manager = managed(NODES[1:])

    assert not manager.startup()
    assert manager.state(NODES[1]) == UNCONFIGURED
    reason = "configure failed: query: the query has 1001 characters"
    assert robot.spin_until(lambda: reason in robot.message)


def test_a_bond_without_bondpy_is_a_line(start, robot, managed):
    try:
        import bondpy.bondpy  # noqa: F401
    except ImportError:
        pass
    else:
        pytest.skip("bondpy is installed")
    start(SCRIPTED, "-p", "bond_topic:=/bond")

    assert not managed(NODES[1:]).startup()
    reason = "bond_topic is '/bond', and there is no bond without bondpy (ros-DISTRO-bondpy"
    assert robot.spin_until(lambda: reason in robot.message)


def test_the_bond_holds_over_ten_reactivations(start, robot, managed, ros_node, spin_until):
    bondpy = pytest.importorskip("bondpy.bondpy", reason="needs bondpy, which is not on PyPI")
    process = start(SCRIPTED, "-p", "bond_topic:=/bond", "-p", "query:=red")
    manager = managed(NODES[1:])
    assert manager.startup()
    for stamp_s in range(10):
        bond = bondpy.Bond(ros_node, "/bond", "virst/segment")
        bond.start()
        formed = lambda: bond.sm.getState().getName() == "SM.Alive"  # noqa: B023, E731
        assert spin_until(formed), process.output
        robot.wait_until_active()
        robot.answer_to(image(red_square(), 1.0 + stamp_s))
        assert manager.pause()
        assert spin_until(bond.is_broken)
        bond.shutdown()
        ros_node.destroy_subscription(bond.sub)
        ros_node.destroy_publisher(bond.pub)
        assert manager.resume()

    assert manager.pause()
    assert spin_until(lambda: not ros_node.count_publishers("/bond"))
    assert process.stop() == 0
    assert "InvalidHandle" not in process.output
