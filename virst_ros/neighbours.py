"""Who else publishes on the node's topics."""

from __future__ import annotations

from rclpy.node import Node

from virst_ros.notices import CAMERA, NODE, Trouble

NAMED = 4  # of more publishers the others are counted
# What only one node should publish on.
OUTPUTS = (
    *("masks", "labels", "segmentations", "confidence", "detections", "label_info"),
    *("labels/compressed", "overlay", "overlay/compressed"),
)


class Neighbours:
    """What is wrong with the publishers of the node's topics; the log has each finding once."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._told: frozenset[str] = frozenset()  # topics

    def look(self, image_topic: str) -> tuple[Trouble, ...]:
        """A trouble for each topic, the images' or one of ours, that has two publishers now."""
        topics = {image_topic: "images of two cameras cannot be followed as one"}
        for output in OUTPUTS:
            topics[self._node.resolve_topic_name(output)] = "start each node in its own namespace"
        found = {
            topic: f"{count} publishers on {topic} ({self._names(topic)}): {advice}"
            for topic, advice in topics.items()
            if (count := self._node.count_publishers(topic)) > 1
        }
        for topic in found.keys() - self._told:
            self._node.get_logger().warning(found[topic])
        self._told = frozenset(found)
        return tuple(
            Trouble("neighbours", text, "", CAMERA if topic == image_topic else NODE)
            for topic, text in found.items()
        )

    def _names(self, topic: str) -> str:
        publishers = self._node.get_publishers_info_by_topic(topic)
        names = [f"{p.node_namespace.rstrip('/')}/{p.node_name}" for p in publishers]
        more = [f"{len(names) - NAMED} more"] if len(names) > NAMED else []
        return ", ".join(sorted(names)[:NAMED] + more)
