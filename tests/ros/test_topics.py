"""Which topic the images are taken from, as the graph of a real ROS has them."""

from __future__ import annotations

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")

import rclpy
from sensor_msgs.msg import CompressedImage, Image

from virst_ros.topics import ImageTopic, find_images


@pytest.fixture
def found(ros_node, ros_context, spin_until):
    """found(image, transport, published) -> the topic, once `published` has its publisher."""

    def find(image, transport, published=None) -> ImageTopic:
        words = ["--ros-args", "-r", f"image:={image}"]
        node = rclpy.create_node("reader", context=ros_context, cli_args=words)
        if published:
            kind, topic = published
            ros_node.create_publisher(kind, topic, 1)
            assert spin_until(lambda: node.count_publishers(topic) == 1)
        topic = find_images(node, transport)
        node.destroy_node()
        return topic

    return find


@pytest.mark.parametrize("transport", ["raw", "compressed"])
def test_a_name_that_ends_with_its_transport_is_that_topic(found, transport):
    topic = ImageTopic("/cam/compressed", CompressedImage)
    assert found("/cam/compressed", transport) == topic


def test_another_name_is_what_image_transport_makes_of_it(found):
    assert found("/cam", "raw") == ImageTopic("/cam", Image)
    assert found("/cam", "compressed") == ImageTopic("/cam/compressed", CompressedImage)
    raw = Image, "/cam"
    assert found("/cam", "compressed", raw) == ImageTopic("/cam/compressed", CompressedImage)


def test_a_camera_may_publish_compressed_images_on_the_name_itself(found):
    published = CompressedImage, "/eye/jpeg"
    assert found("/eye/jpeg", "compressed", published) == ImageTopic("/eye/jpeg", CompressedImage)
