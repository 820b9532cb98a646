"""Which topic the images come on, and as what."""

from __future__ import annotations

from typing import NamedTuple

from rclpy.node import Node
from sensor_msgs.msg import CompressedImage, Image

# Names of image_transport's topics; what comes on the second is refused by name, frame by frame.
COMPRESSED = ("/compressed", "/compressedDepth")


class ImageTopic(NamedTuple):
    """A topic as the graph knows it, and the type of its messages."""

    name: str
    kind: type[Image] | type[CompressedImage]


def find_images(node: Node, transport: str) -> ImageTopic:
    """The topic that `image` stands for, remapped.

    A name that ends with its transport is that transport's topic, whatever `transport` says.

    Args:
        node: whose remappings hold.
        transport: raw or compressed.
    """
    name = node.resolve_topic_name("image")
    compressed = transport == "compressed"
    if compressed and not name.endswith(COMPRESSED):
        name = node.resolve_topic_name(name + COMPRESSED[0])
    compressed = compressed or name.endswith(COMPRESSED)
    return ImageTopic(name, CompressedImage if compressed else Image)
