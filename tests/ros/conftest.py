"""What tests of the running node share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from robot import Robot


@pytest.fixture
def robot(ros_node, spin_until) -> Robot:
    from robot import Robot  # needs ROS 2, as `ros_node` does

    return Robot(ros_node, spin_until)


@pytest.fixture
def gate(start_process, tmp_path) -> Iterator[Path]:
    """The file that scripted nodes wait for; `touch` lets them go on, as the test's end does."""
    yield tmp_path / "gate"
    (tmp_path / "gate").touch()
