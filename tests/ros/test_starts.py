"""What the small programs import: no torch where only answers travel."""

from __future__ import annotations

import subprocess
import sys

from patience import LIMIT_S
import pytest

# Those that import no ROS come first.
MODULES = (
    *("virst_model.answer", "virst_model.overlay", "virst_model.frames"),
    *("virst_model.sources.named", "virst_model.queries.book"),
    *("virst_ros.calibration", "virst_ros.dds", "virst_ros.parameters", "virst_ros.pictures"),
    *("virst_ros.camera", "virst_ros.convert", "virst_ros.declaration", "virst_ros.query"),
)
WITHOUT_ROS = MODULES[:9]
# What costs a second of CPU and hundreds of MiB.
HEAVY = {"torch", "transformers", "sam2"}
SAY = "; import sys; sys.stdout.write(' '.join({name.split('.')[0] for name in sys.modules}))"


def roots_after(code: str, env: dict[str, str] | None = None) -> set[str]:
    """The top-level packages that a fresh interpreter holds after `code`."""
    process = subprocess.run(
        [sys.executable, "-c", code + SAY],
        env=env,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
    )
    assert process.returncode == 0, process.stderr
    return set(process.stdout.split())


@pytest.mark.parametrize("module", MODULES)
def test_no_torch_is_imported(module):
    if module not in WITHOUT_ROS:
        pytest.importorskip("rclpy", reason="needs ROS 2")
    roots = roots_after(f"import {module}")

    assert module.split(".")[0] in roots
    assert not roots & HEAVY


@pytest.mark.parametrize("module", WITHOUT_ROS)
def test_no_ros_is_imported(module):
    assert "rclpy" not in roots_after(f"import {module}")


@pytest.mark.parametrize("program", ["virst-camera", "virst-query"])
def test_a_program_needs_no_torch_until_its_node_is_there(ros_env, program):
    from virst_ros.demo.bench import STARTS

    roots = roots_after(
        f"import rclpy; rclpy.init(); {STARTS[program]}; rclpy.shutdown()", ros_env
    )

    assert "rclpy" in roots
    assert not roots & HEAVY


def test_a_scene_is_filmed_without_pillow():
    """Only a folder of images needs it, and only a bag rosbags."""
    roots = roots_after("from virst_ros.pictures import open_source; open_source('scene')")

    assert not roots & {"PIL", "rosbags"}


def test_the_camera_films_a_scene_without_rosbags(ros_env):
    from virst_ros.demo.bench import STARTS

    code = f"import rclpy; rclpy.init(); {STARTS['virst-camera']}; rclpy.shutdown()"
    assert "rosbags" not in roots_after(code, ros_env)


def test_the_node_is_a_program_under_its_own_name_too(start_process):
    process = start_process("-m", "virst_ros.node", "--ros-args", "-p", "alpha:=0")

    assert process.popen.wait(LIMIT_S) == 1
    assert "cannot start: " in process.output and "alpha" in process.output
