"""What the launch file says of the topics before the node is up."""

from __future__ import annotations

import asyncio

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")

from sensor_msgs.msg import CompressedImage, Image

from virst_ros.silence import NAMED
from virst_ros.survey import survey

TOPIC = "/virst/image"
FIRST = f"image:= is not given, so the node listens to {TOPIC}: nobody publishes there"


def surveyed() -> str:
    return asyncio.run(survey(TOPIC))


def test_image_topics_are_listed_but_for_the_nodes_own(ros_node):
    for topic in ("/cam/image_raw", "/virst/masks", "/virst/overlay"):
        ros_node.create_publisher(Image, topic, 1)
    ros_node.create_publisher(CompressedImage, "/cam/image_raw/compressed", 1)

    listed = "Remap image to one of /cam/image_raw, /cam/image_raw/compressed"
    assert surveyed() == f"{FIRST}. {listed}"


def test_many_topics_are_counted(ros_node):
    for number in range(NAMED + 3):
        ros_node.create_publisher(Image, f"/cam{number:02}", 1)

    assert surveyed().endswith("/cam07, 3 more")


def test_nobody_publishes_images(ros_env):
    assert surveyed().startswith(f"{FIRST}, nor images anywhere.")


@pytest.mark.parametrize("kind, topic", [(Image, TOPIC), (CompressedImage, TOPIC + "/compressed")])
def test_a_publisher_on_the_topic_is_enough(ros_node, kind, topic):
    ros_node.create_publisher(kind, topic, 1)
    ros_node.create_publisher(Image, "/cam/image_raw", 1)

    assert surveyed() == ""


def test_who_is_cancelled_is_gone(ros_node, spin_until):
    def seen() -> bool:
        return "virst_survey" in ros_node.get_node_names()

    async def cancel() -> None:
        task = asyncio.create_task(survey(TOPIC, 600.0))
        while not seen():
            await asyncio.wait({task}, timeout=0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel())
    assert spin_until(lambda: not seen())
