"""Layouts of RViz and Foxglove, and the cameras' YAML, name what the running nodes have."""

from __future__ import annotations

from collections.abc import Iterator
import dataclasses
import json
from pathlib import Path
import re

import pytest
import yaml

pytest.importorskip("rclpy", reason="needs ROS 2")

from graph import endpoints

from virst_interfaces.srv import SetQuery
from virst_ros.parameters import CameraParameters, Parameters, checked

ROOT = Path(__file__).resolve().parents[2]
SCRIPTED = str(ROOT / "tests" / "fixtures" / "scripted_segment.py")
CAMERAS = sorted((ROOT / "config").glob("camera_*.yaml"))
FOXGLOVE = json.loads((ROOT / "foxglove" / "virst.json").read_text(encoding="utf-8"))
IMAGE, COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
# Of RViz's displays and Foxglove's panels: the types of what they show.
SHOWN = {
    "rviz_default_plugins/Image": {IMAGE},
    "Image": {IMAGE, COMPRESSED},
    "DiagnosticSummary": {"diagnostic_msgs/msg/DiagnosticArray"},
    "RawMessages": {"virst_interfaces/msg/QueryArray"},
    "CallService": {"virst_interfaces/srv/SetQuery"},
}
Endpoints = dict[tuple[str, str], str]


def of_rviz() -> Iterator[tuple[str, str]]:
    """(what shows it, the name) of each topic."""
    layout = yaml.safe_load((ROOT / "rviz" / "virst.rviz").read_text(encoding="utf-8"))
    for display in layout["Visualization Manager"]["Displays"]:
        yield display["Class"], display["Topic"]["Value"]


def best_effort() -> list[bool]:
    """Of each of RViz's displays, whether it takes what a camera's driver offers."""
    layout = yaml.safe_load((ROOT / "rviz" / "virst.rviz").read_text(encoding="utf-8"))
    topics = [display["Topic"] for display in layout["Visualization Manager"]["Displays"]]
    return [topic["Reliability Policy"] == "Best Effort" for topic in topics]


def of_foxglove() -> Iterator[tuple[str, str]]:
    """(what shows it, the name) of each topic and service."""
    for panel, settings in FOXGLOVE["configById"].items():
        kind = panel.partition("!")[0]
        if kind == "Image":
            yield kind, settings["imageMode"]["imageTopic"]
        elif kind == "RawMessages":
            yield kind, settings["topicPath"].partition(".")[0]
        else:
            yield kind, settings["serviceName" if kind == "CallService" else "topicToRender"]


def placed(layout: dict | str) -> list[str]:
    """The panels of a layout of Foxglove's, wherever they are."""
    if isinstance(layout, str):
        return [layout]
    return placed(layout["first"]) + placed(layout["second"])


def kind_of(name: str, graph: Endpoints) -> str | None:
    """The type of what the node has by that name: topics, those it reads too, and services."""
    kinds = {kind for (_, there), kind in graph.items() if there == name}
    return kinds.pop() if len(kinds) == 1 else None


def test_what_the_layouts_show_is_there_with_that_type(start_process, ros_node, spin_until):
    start_process(SCRIPTED, "--ros-args", "-r", "image:=/camera/image_raw")
    wanted = [*of_rviz(), *of_foxglove()]
    assert len(wanted) == 8

    def missing() -> list[tuple[str, str]]:
        graph = endpoints(ros_node, "/virst", "segment")
        return [(kind, name) for kind, name in wanted if kind_of(name, graph) not in SHOWN[kind]]

    spin_until(lambda: not missing())
    assert missing() == []


def test_rviz_asks_of_the_camera_no_more_than_drivers_offer():
    displays = list(of_rviz())
    assert [one for one, (_, name) in zip(best_effort(), displays) if "camera" in name] == [True]


def test_every_panel_has_its_place_and_what_it_asks_is_a_request():
    assert sorted(placed(FOXGLOVE["layout"])) == sorted(FOXGLOVE["configById"])
    panels = FOXGLOVE["configById"]
    (asked,) = (panels[name] for name in panels if name.startswith("CallService!"))
    assert SetQuery.Request(**json.loads(asked["requestPayload"])).query


def sections(path: Path) -> dict[str, dict]:
    """Node -> parameters."""
    read = yaml.safe_load(path.read_text(encoding="utf-8"))
    return {node: section["ros__parameters"] for node, section in read.items()}


def named_image(path: Path) -> str:
    """The topic that the file's own command gives to the node."""
    (name,) = re.findall(r"segment\.launch\.py image:=(\S+)", path.read_text(encoding="utf-8"))
    return name


@pytest.mark.parametrize("path", CAMERAS, ids=lambda path: path.stem)
def test_with_the_yaml_of_a_camera_the_node_reads_its_topic(
    start_process, ros_node, spin_until, path
):
    declared = {field.name: field for field in dataclasses.fields(Parameters)}
    for name, value in sections(path)["/virst/segment"].items():
        assert checked(declared[name], value) == value
    command = path.read_text(encoding="utf-8")
    assert f"params_file:=$C/{path.name}" in command

    topic = named_image(path)
    process = start_process(
        SCRIPTED, "--ros-args", "--params-file", str(path), "-r", f"image:={topic}"
    )
    found = lambda: endpoints(ros_node, "/virst", "segment").get(("subscribe", topic))  # noqa: E731
    assert spin_until(found), process.output
    assert found() == (COMPRESSED if topic.endswith("/compressed") else IMAGE)


def test_the_yaml_of_a_bag_makes_a_camera_with_its_clock(
    start_process, ros_node, spin_until, tmp_path
):
    pytest.importorskip("rosbags", reason="needs the extra bags")
    from bags import film, write_bag
    import numpy as np

    path = ROOT / "config" / "camera_bag.yaml"
    declared = {field.name: field for field in dataclasses.fields(CameraParameters)}
    for name, value in sections(path)["/camera/camera"].items():
        assert checked(declared[name], value) == value
    seconds = [float(second) for second in range(200)]
    bag = write_bag(tmp_path / "bag", film([np.zeros((8, 8, 3), np.uint8)] * 200, seconds))
    words = ("--params-file", str(path), "-p", f"source:={bag}")
    start_process("-m", "virst_ros.camera", "--ros-args", *words)

    topic = named_image(path)
    look = lambda: endpoints(ros_node, "/camera", "camera")  # noqa: E731
    assert spin_until(lambda: {("publish", topic), ("publish", "/clock")} <= look().keys())
    assert look()["publish", topic] == IMAGE
