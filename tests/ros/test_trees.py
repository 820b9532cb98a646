"""The tree of docs/nav2.md, as it is written there, beside the real node."""

from __future__ import annotations

from pathlib import Path
import re

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")
pytest.importorskip("py_trees", reason="needs py_trees")

from py_trees.common import Status
from robot import image, scripted_frame

ROOT = Path(__file__).resolve().parents[2]
SCRIPTED = str(ROOT / "tests" / "fixtures" / "scripted_segment.py")
PAGE = ROOT / "docs" / "nav2.md"
CODE = re.search("```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)[1]


@pytest.fixture
def node_process(start_process, robot):
    process = start_process(SCRIPTED, "--ros-args", "-p", "diagnostics_period_s:=0.2")
    robot.wait_until_active(process)
    return process


@pytest.mark.usefixtures("node_process")
def test_the_tree_of_the_page_finds_the_second_where_the_first_is_not_there(
    start_process, robot, tmp_path
):
    (tmp_path / "tree.py").write_text(CODE)
    tree = start_process(str(tmp_path / "tree.py"))
    robot.listen_to_queries()
    asked = lambda: [q.text for q in robot.queries[-1].queries] if robot.queries else []  # noqa: E731

    assert robot.spin_until(lambda: asked() == ["the red circle"]), tree.output
    robot.answer_to(image(scripted_frame("lost"), 1.0))
    assert robot.spin_until(lambda: asked() == ["the blue square"]), tree.output
    for stamp_s in (2.0, 3.0, 4.0):
        robot.answer_to(image(scripted_frame("tracking"), stamp_s))
    assert robot.spin_until(lambda: tree.popen.poll() is not None)
    assert tree.popen.returncode == 0, tree.output
    assert "find the red circle: looked for and not seen" in tree.output
    assert "find the blue square: seen" in tree.output


@pytest.mark.usefixtures("node_process")
def test_a_tree_that_turns_away_takes_its_query_with_it(robot, ros_node):
    written: dict = {"__name__": "page"}
    exec(compile(CODE, str(PAGE), "exec"), written)
    behaviour = written["FindObject"](ros_node, "the red circle")
    robot.listen_to_queries()

    def ticked(condition) -> bool:
        def look() -> bool:
            behaviour.tick_once()
            return condition()

        return robot.spin_until(look)

    assert ticked(lambda: robot.queries and robot.queries[-1].queries)
    assert behaviour.status == Status.RUNNING
    behaviour.stop(Status.INVALID)
    assert robot.spin_until(lambda: not robot.queries[-1].queries)
