"""The node's process ends when it is asked to, with status 0, whatever it is at, and gives back
what it has in /dev/shm.
"""

from __future__ import annotations

from collections.abc import Callable
import os
from pathlib import Path
import re
import signal

from patience import LIMIT_S, wait_until
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")

from robot import Robot, image, red_square

SCRIPTED = str(Path(__file__).parents[1] / "fixtures" / "scripted_segment.py")
FAST = ("--ros-args", "-p", "diagnostics_period_s:=0.2")
SHARED_MEMORY = Path("/dev/shm")


@pytest.fixture
def start(start_process, gate, tmp_path) -> Callable[..., object]:
    """start("held") -> the process of a node with a scripted session."""

    def start_with(script: str, *arguments: str):
        files = {"SCRIPTED_GATE": str(gate), "SCRIPTED_HELD": str(tmp_path / "held")}
        arguments = (*FAST, "-p", f"model:={script}", "-p", "query:=red", *arguments)
        return start_process(SCRIPTED, *arguments, env=files)

    return start_with


@pytest.fixture
def segments(ros_node) -> Callable[[int], set[Path]]:
    """segments(pid): the process's own memory in /dev/shm; what was there before is not."""
    before = set(os.listdir(SHARED_MEMORY))

    def mapped(pid: int) -> set[Path]:
        names = set(re.findall(r"/dev/shm/(\S+)", Path(f"/proc/{pid}/maps").read_text()))
        return {SHARED_MEMORY / name for name in names - before if "port" not in name}

    return mapped


def reach(robot: Robot, process, script: str, tmp_path: Path) -> None:
    """Waits until the node is where it hangs, or where it works."""
    if script == "late":
        assert robot.spin_until(lambda: robot.diagnostics.get("state") == "configuring")
        return
    robot.wait_until_active(process)
    robot.answer_to(image(red_square(), 1.0))
    if script == "held":
        robot.publish(image(red_square(first_blue=255), 2.0))
        assert robot.spin_until((tmp_path / "held").exists)


@pytest.mark.parametrize(
    "number",
    [
        signal.SIGINT,
        signal.SIGTERM,
        pytest.param(
            signal.SIGHUP,
            marks=pytest.mark.skipif(
                signal.getsignal(signal.SIGHUP) == signal.SIG_IGN,
                reason="under nohup, which the node obeys",
            ),
        ),
    ],
)
@pytest.mark.parametrize("script", ["quick", "late", "held", "deaf"])
def test_a_signal_ends_it_whatever_the_model_is_at(
    start, robot, segments, tmp_path, script, number
):
    process = start(script)
    reach(robot, process, script, tmp_path)
    own = segments(process.popen.pid)
    assert own

    process.popen.send_signal(number)
    assert process.popen.wait(LIMIT_S) == 0  # though nobody opens the gate
    assert ("it is left behind" in process.output) == (script != "quick")
    assert "Traceback" not in process.output
    assert [path for path in own if path.exists()] == []


def test_signals_that_come_again_change_nothing(start, robot, segments, tmp_path):
    process = start("held")
    reach(robot, process, "held", tmp_path)
    own = segments(process.popen.pid)
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def ended() -> bool:
        for number in numbers:
            process.popen.send_signal(number)
        return process.popen.poll() is not None

    assert wait_until(ended)
    assert process.popen.returncode == 0
    assert [path for path in own if path.exists()] == []


# Runs the program; its first import of a package sends it a signal.
SIGNALLED = """
import os, signal, sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == {package!r}:
            sys.meta_path.remove(self)
            os.kill(os.getpid(), signal.{number})
sys.meta_path.insert(0, Finder())
from virst_ros.segment import main
main()
"""
# Goes on as another program that has these signals ignored, as after `nohup` or `... &`.
IGNORING = """
import os, signal, sys
for name in {names!r}:
    signal.signal(getattr(signal, name), signal.SIG_IGN)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


@pytest.mark.parametrize("ignored", [(), ("SIGINT",)], ids=["plain", "ignored"])
@pytest.mark.parametrize("package", ["rclpy", "torch"])
def test_a_signal_in_an_import_ends_it(start_process, package, ignored):
    code = SIGNALLED.format(package=package, number="SIGINT")
    process = start_process("-c", IGNORING.format(names=ignored), "-c", code, *FAST)

    assert process.popen.wait(LIMIT_S) == 0
    assert "Traceback" not in process.output
    assert "configured in" not in process.output


def test_nohup_is_obeyed(start_process, robot, gate):
    code = IGNORING.format(names=("SIGHUP",))
    process = start_process("-c", code, SCRIPTED, *FAST, env={"SCRIPTED_GATE": str(gate)})
    robot.wait_until_active(process)

    process.popen.send_signal(signal.SIGHUP)
    robot.counted_now("received_frames")
    assert process.popen.poll() is None
    assert process.stop() == 0


def test_what_hangs_outside_of_the_model_is_left_behind_as_well(start_process):
    code = """
import signal, threading
from virst_ros.ending import Ending
Ending(limit_s=0.1).take_signals()
signal.raise_signal(signal.SIGINT)
threading.Event().wait()
"""
    process = start_process("-c", code)

    assert process.popen.wait(LIMIT_S) == 0
    assert "not ended 0.1 s after the signal" in process.output


PROGRAMS = {
    "virst_ros.segment": ("virst_ros.segment",),
    "virst_ros.camera": ("virst_ros.camera",),
    "virst_ros.query": ("virst_ros.query", "the red circle"),
}


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("variables", [{"ROS_LOG_DIR": "/dev/null/log"}, {}], ids=["file", "home"])
def test_a_log_that_cannot_be_written_is_one_line(start_process, ros_env, program, variables):
    for name in ("HOME", "ROS_LOG_DIR", "ROS_HOME"):
        ros_env.pop(name, None)
    process = start_process("-m", *PROGRAMS[program], env=variables)

    assert process.popen.wait(LIMIT_S) in (1, 2)
    (line,) = process.output.splitlines()
    assert line.startswith("cannot start: failed to initialize logging")
    assert line.endswith("set ROS_LOG_DIR to a folder that can be written")
