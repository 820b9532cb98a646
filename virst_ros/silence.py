"""Why no images come: who publishes on their topic, what does not fit, and what to try."""

from __future__ import annotations

from collections.abc import Collection

from rclpy.node import Node
from rclpy.qos import QoSCompatibility, qos_check_compatible
from rclpy.subscription import Subscription
from rclpy.topic_endpoint_info import TopicEndpointInfo

from virst_ros.notices import CAMERA, Trouble
from virst_ros.topics import COMPRESSED, COMPRESSED_TYPE, are_compressed

SILENT_AFTER_S = 5.0
NAMED = 8  # of more topics or publishers the others are counted
IMAGE_TYPES = ("sensor_msgs/msg/Image", COMPRESSED_TYPE)


def silence(node: Node, topic: str, subscription: Subscription | None, silent_s: float) -> Trouble:
    """Whether no image has come for too long.

    Args:
        node: whose view of the graph it is.
        topic: of the images.
        subscription: the node's to them; None while it does not listen.
        silent_s: seconds without an image.
    """
    text = ""
    if subscription is not None and silent_s > SILENT_AFTER_S:
        publishers = node.get_publishers_info_by_topic(topic)
        reason = _misfit(publishers, subscription) if publishers else _absence(node, topic)
        text = f"no images on {topic} for {silent_s:.0f} s: {reason}"
    over = f"images come on {topic}" if subscription else f"{topic} is not listened to any more"
    return Trouble("silence", text, over, CAMERA, stale=True)


def _misfit(publishers: list[TopicEndpointInfo], subscription: Subscription) -> str:
    """What the publishers of the topic have that this node cannot take."""
    kind = subscription.msg_type
    wanted = "/".join((kind.__module__.split(".")[0], "msg", kind.__name__))
    names = _listed([f"{p.node_namespace.rstrip('/')}/{p.node_name}" for p in publishers])
    fitting = [p for p in publishers if p.topic_type == wanted]
    if not fitting:
        types = _listed([p.topic_type for p in publishers])
        return f"{names} publishes {types}, the node takes {wanted}: set image_transport"
    verdicts = [qos_check_compatible(p.qos_profile, subscription.qos_profile) for p in fitting]
    if all(compatibility == QoSCompatibility.ERROR for compatibility, _ in verdicts):
        return f"the quality of service of {names} does not match: {verdicts[0][1]}"
    return (
        f"{names} publishes and matches. Is it filming? Fast DDS loses large images whole where "
        "the camera was not started with the profile config/fastdds.xml"
    )


def _absence(node: Node, topic: str) -> str:
    """Where images are, if nobody publishes them on the topic."""
    whole = topic.removesuffix(COMPRESSED[0])
    if whole == topic or not are_compressed(node, whole):
        return elsewhere(node, _own(node))
    if node.resolve_topic_name("image") == whole:
        return f"nobody publishes there, but compressed images on {whole}: activate the node anew"
    return f"nobody publishes there, but compressed images on {whole}: remap image to {whole}"


def _own(node: Node) -> list[str]:
    """Topics that the node publishes on."""
    name, namespace = node.get_name(), node.get_namespace()
    return [topic for topic, _ in node.get_publisher_names_and_types_by_node(name, namespace)]


def elsewhere(node: Node, own: Collection[str]) -> str:
    """That nobody publishes there, and which topics have images, as `node` sees them.

    Args:
        own: topics that are no cameras'.
    """
    topics = [
        topic
        for topic, types in node.get_topic_names_and_types()
        if topic not in own and set(types) & set(IMAGE_TYPES) and node.count_publishers(topic)
    ]
    if topics:
        return f"nobody publishes there. Remap image to one of {_listed(topics)}"
    return (
        "nobody publishes there, nor images anywhere. Is the camera running, with the same "
        "ROS_DOMAIN_ID?"
    )


def _listed(names: list[str]) -> str:
    names = sorted(set(names))
    more = [f"{len(names) - NAMED} more"] if len(names) > NAMED else []
    return ", ".join(names[:NAMED] + more)
