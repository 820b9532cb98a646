"""Why no images come, as the graph of a real ROS tells it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")

from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import String

from virst_ros.qos import NEWEST_IMAGE
from virst_ros.silence import SILENT_AFTER_S, silence

TOPIC = "/eye/color"
RELIABLE = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
BEST_EFFORT = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)


@pytest.fixture
def text(ros_node, spin_until):
    """text(...) -> what is said once `TOPIC` has `publishers` and others have theirs."""

    def say(publishers=0, silent_s=6.0, qos=NEWEST_IMAGE, elsewhere=(), topic=TOPIC) -> str:
        assert spin_until(lambda: ros_node.count_publishers(topic) == publishers)
        assert spin_until(lambda: all(ros_node.count_publishers(topic) for topic in elsewhere))
        # One participant cannot have a topic of two types: no real subscription.
        subscription = SimpleNamespace(msg_type=Image, qos_profile=qos)
        return silence(ros_node, topic, subscription, silent_s).text

    return say


def test_a_short_silence_is_none(text):
    assert text(silent_s=SILENT_AFTER_S) == ""


def test_a_node_that_does_not_listen_has_no_silence(ros_node):
    assert silence(ros_node, TOPIC, None, 6.0).text == ""


def test_nobody_publishes_anything(text):
    assert text() == (
        f"no images on {TOPIC} for 6 s: nobody publishes there, nor images anywhere. Is the "
        "camera running, with the same ROS_DOMAIN_ID?"
    )


def test_image_topics_of_others_are_named(text, ros_node, ros_context):
    import rclpy

    camera = rclpy.create_node("other", context=ros_context)
    for kind, topic in ((Image, "/a"), (CompressedImage, "/b/compressed"), (String, "/c")):
        camera.create_publisher(kind, topic, 1)
    ros_node.create_publisher(Image, "/ours", 1)
    said = text(elsewhere=("/a", "/b/compressed", "/c", "/ours"))
    camera.destroy_node()

    assert said.endswith("Remap image to one of /a, /b/compressed")


def test_a_publisher_of_another_type_is_named(text, ros_node):
    ros_node.create_publisher(CompressedImage, TOPIC, 1)

    assert text(publishers=1).endswith(
        ": /virst_test publishes sensor_msgs/msg/CompressedImage, the node takes "
        "sensor_msgs/msg/Image: set image_transport"
    )


def test_compressed_images_without_their_ending_are_named(text, ros_node, monkeypatch):
    ros_node.create_publisher(CompressedImage, TOPIC, 1)
    there = f": nobody publishes there, but compressed images on {TOPIC}: "

    asked = text(topic=f"{TOPIC}/compressed", elsewhere=(TOPIC,))
    monkeypatch.setattr(ros_node, "resolve_topic_name", lambda name: TOPIC)
    named = text(topic=f"{TOPIC}/compressed", elsewhere=(TOPIC,))

    assert asked.endswith(f"{there}remap image to {TOPIC}")  # of a node that was told the ending
    assert named.endswith(f"{there}activate the node anew")


def test_a_quality_of_service_that_does_not_match_is_named(text, ros_node):
    ros_node.create_publisher(Image, TOPIC, BEST_EFFORT)

    said = text(publishers=1, qos=RELIABLE)
    assert "quality of service of /virst_test does not match: " in said
    assert "reliab" in said.lower() or "best effort" in said.lower()


def test_a_publisher_that_matches_may_lose_its_images(text, ros_node):
    ros_node.create_publisher(Image, TOPIC, BEST_EFFORT)

    assert "config/fastdds.xml" in text(publishers=1)
