"""The node's transitions while its executor waits, takes pictures and answers: nothing that comes
or goes meanwhile ends it, and nothing is left behind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
import os
from pathlib import Path
import statistics
import subprocess
import sys
import threading

from patience import wait_until
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")

from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from robot import TRANSITIONS, Robot, image, red_square
from sensor_msgs.msg import Image

FIXTURES = Path(__file__).parents[1] / "fixtures"
SCRIPTED, SLOW = str(FIXTURES / "scripted_segment.py"), str(FIXTURES / "slow_segment.py")
FAST = ("--ros-args", "-p", "diagnostics_period_s:=0.2")
# Each of them killed a node whose executor built its wait set meanwhile.
DEACTIVATIONS = 12
# On a machine that does other things beside.
BUSY = 4
ROUNDS, CYCLES, WARM_CYCLES = 300, 50, 10
MORE_MIB = 10


@pytest.fixture
def start(start_process, gate, tmp_path) -> Callable[..., object]:
    """start(SCRIPTED, "-p", "model:=held") -> its process."""

    def start_with(program: str, *arguments: str):
        files = {"SCRIPTED_GATE": str(gate), "SCRIPTED_HELD": str(tmp_path / "held")}
        return start_process(program, *FAST, "-p", "query:=red", *arguments, env=files)

    return start_with


@pytest.fixture
def filming(ros_context) -> Iterator[None]:
    """A camera that publishes all the time, on a thread and a node of its own."""
    node = Node("virst_test_camera", context=ros_context)
    publisher = node.create_publisher(Image, "/virst/image", 1)
    message = image(red_square(), 1.0)
    node.create_timer(1 / 60, lambda: publisher.publish(message))
    executor = SingleThreadedExecutor(context=ros_context)
    executor.add_node(node)
    ended = threading.Event()

    def film() -> None:
        while not ended.is_set():
            executor.spin_once(timeout_sec=0.1)

    thread = threading.Thread(target=film)
    thread.start()
    yield
    ended.set()
    thread.join()
    executor.shutdown()
    node.destroy_node()


@pytest.fixture
def busy() -> Iterator[None]:
    """Processes that take what the processor has."""
    processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(BUSY)]
    yield
    for process in processes:
        process.kill()
        process.wait()


def change(robot: Robot, process, transition: str) -> None:
    """Asks for a transition, which has to work."""
    future = robot.change_async(transition)
    ended = lambda: future.done() or process.popen.poll() is not None  # noqa: E731
    assert robot.spin_until(ended)
    assert process.popen.poll() is None, process.output
    assert future.result().success, transition


@pytest.mark.usefixtures("filming")
def test_a_slow_executor_does_not_wait_for_what_is_gone(start, robot):
    process = start(SLOW)
    robot.wait_until_active(process)
    for _ in range(DEACTIVATIONS):
        change(robot, process, "deactivate")
        change(robot, process, "activate")

    for transition in ("deactivate", "cleanup", "configure", "activate"):
        change(robot, process, transition)
    received = robot.counted_now("received_frames")
    assert robot.counts("received_frames", received + 1)
    assert "InvalidHandle" not in process.output
    assert process.stop() == 0


# State -> how to come there, and how to leave it and come back.
STATES = {
    "unconfigured": ((), ("configure", "cleanup")),
    "inactive": (("configure",), ("activate", "deactivate", "cleanup", "configure")),
    "active": (("configure", "activate"), ("deactivate", "activate")),
}


@pytest.mark.parametrize("state", STATES)
def test_every_transition_from_every_state_is_answered(start, robot, state):
    process = start(SCRIPTED, "-p", "autostart:=false")
    way, back = STATES[state]
    for transition in way:
        change(robot, process, transition)
    allowed = {back[0], f"shutdown {state}", *(("cleanup",) if state == "inactive" else ())}
    for transition in TRANSITIONS.keys() - allowed:
        assert not robot.change(transition), transition
        assert robot.state() == state

    for transition in (*back, f"shutdown {state}"):
        change(robot, process, transition)
    assert robot.state() == "finalized"
    assert not any(robot.change(transition) for transition in TRANSITIONS)
    assert process.stop() == 0


def test_a_node_that_loads_refuses_every_transition_and_loads_on(start, robot, gate):
    start(SCRIPTED, "-p", "autostart:=false", "-p", "model:=late")
    configuring = robot.change_async("configure")
    assert robot.spin_until(lambda: robot.diagnostics.get("state") == "configuring")

    for transition in TRANSITIONS:
        assert not robot.change(transition), transition
        assert robot.state() == "configuring"
    assert not configuring.done()
    gate.touch()
    assert robot.spin_until(configuring.done) and configuring.result().success


def test_a_model_in_the_middle_of_a_call_does_not_hold_the_cleanup(start, robot, gate, tmp_path):
    process = start(SCRIPTED, "-p", "model:=held")
    robot.wait_until_active(process)
    robot.answer_to(image(red_square(), 1.0))
    robot.publish(image(red_square(first_blue=255), 2.0))
    assert robot.spin_until((tmp_path / "held").exists)

    assert robot.change("deactivate") and robot.change("cleanup")  # the gate is closed
    assert "it is left behind" in process.output
    assert not robot.change("configure")
    assert "a call of the last model has not returned yet" in process.output
    gate.touch()
    assert robot.spin_until(lambda: robot.change("configure"))
    assert robot.change("activate")
    robot.wait_until_active(process)
    robot.answer_to(image(red_square(), 3.0))
    assert 2 not in [mask.header.stamp.sec for mask in robot.masks]


def threads_and_descriptors(pid: int) -> tuple[int, int]:
    return len(os.listdir(f"/proc/{pid}/task")), len(os.listdir(f"/proc/{pid}/fd"))


def resident_mib(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def settled(pid: int, wanted: tuple[int, int]) -> bool:
    """Whether the process comes back to these threads and descriptors; DDS ends its own late."""
    return wait_until(lambda: threads_and_descriptors(pid) <= wanted)


@pytest.mark.long
@pytest.mark.usefixtures("filming", "busy")
@pytest.mark.parametrize("program", [SCRIPTED, SLOW], ids=["plain", "slow"])
def test_rounds_of_deactivate_and_activate_leave_nothing(start, robot, program):
    process = start(program)
    pid = process.popen.pid
    robot.wait_until_active(process)
    for number in range(ROUNDS):
        if number == WARM_CYCLES:
            before, before_mib = threads_and_descriptors(pid), resident_mib(pid)
        change(robot, process, "deactivate")
        change(robot, process, "activate")

    assert settled(pid, before)
    assert resident_mib(pid) - before_mib <= MORE_MIB
    assert process.stop() == 0


@pytest.mark.long
@pytest.mark.usefixtures("filming", "busy")
def test_whole_cycles_of_the_real_model_leave_nothing(start_process, robot):
    process = start_process("-m", "virst_ros.segment", *FAST, "-p", "query:=the red circle")
    pid = process.popen.pid
    robot.wait_until_active(process)
    sizes_mib = []  # while there is no model
    for number in range(CYCLES):
        for transition in ("deactivate", "cleanup"):
            change(robot, process, transition)
        sizes_mib.append(resident_mib(pid))
        if number == WARM_CYCLES:
            before = threads_and_descriptors(pid)
        for transition in ("configure", "activate"):
            change(robot, process, transition)
        masks = len(robot.masks)
        assert robot.spin_until(lambda masks=masks: len(robot.masks) > masks)
    for transition in ("deactivate", "cleanup"):
        change(robot, process, transition)

    assert settled(pid, before)
    # One size says little: it depends on where the last thread had its memory.
    first, last = sizes_mib[WARM_CYCLES : 2 * WARM_CYCLES], sizes_mib[-WARM_CYCLES:]
    assert statistics.median(last) - statistics.median(first) <= MORE_MIB, sizes_mib
    assert process.stop() == 0
