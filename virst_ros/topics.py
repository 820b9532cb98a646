"""Which topic the images come on, and as what."""

from __future__ import annotations

from typing import NamedTuple

from rclpy.node import Node
from sensor_msgs.msg import CompressedImage, Image

# Names of image_transport's topics; what comes on the second is refused by name, frame by frame.
COMPRESSED = ("/compressed", "/compressedDepth")
COMPRESSED_TYPE = "sensor_msgs/msg/CompressedImage"


class ImageTopic(NamedTuple):
    """A topic as the graph knows it, and the type of its messages."""

    name: str
    kind: type[Image] | type[CompressedImage]


def find_images(node: Node, transport: str) -> ImageTopic:
    """The topic that `image` stands for, remapped.

    A name that ends with its transport is that transport's topic, whatever `transport` says. Where
    that is compressed, another name is the topic itself if compressed images are published on it
    now, and else what image_transport calls its topic.

    Args:
        node: whose remappings hold.
        transport: raw or compressed.
    """
    name = node.resolve_topic_name("image")
    if transport != "compressed" and not name.endswith(COMPRESSED):
        return ImageTopic(name, Image)
    if not name.endswith(COMPRESSED) and not are_compressed(node, name):
        name = node.resolve_topic_name(name + COMPRESSED[0])
    return ImageTopic(name, CompressedImage)


def are_compressed(node: Node, topic: str) -> bool:
    """Whether somebody publishes compressed images on a topic, as `node` sees it."""
    return COMPRESSED_TYPE in {p.topic_type for p in node.get_publishers_info_by_topic(topic)}
