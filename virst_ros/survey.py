"""A look at the graph before the node is up: is there a camera where it will listen?"""

from __future__ import annotations

import asyncio

import rclpy
from rclpy.signals import SignalHandlerOptions

from virst_ros.neighbours import OUTPUTS
from virst_ros.silence import elsewhere
from virst_ros.topics import COMPRESSED

# What is there already is found in less than a second, over a wireless network in more.
LOOK_S = 3.0
PAUSE_S = 0.1


async def survey(topic: str, look_s: float = LOOK_S) -> str:
    """Which topics have images, for people; empty where somebody publishes on `topic`.

    It takes `look_s` at most, as a participant of its own that is gone afterwards.

    Args:
        topic: the absolute name of the node's images.
    """
    context = rclpy.Context()
    rclpy.init(context=context, signal_handler_options=SignalHandlerOptions.NO)
    try:
        node = rclpy.create_node(
            "virst_survey", context=context, start_parameter_services=False, enable_rosout=False
        )
        deadline_s = asyncio.get_running_loop().time() + look_s
        while asyncio.get_running_loop().time() < deadline_s:
            if any(node.count_publishers(topic + suffix) for suffix in ("", *COMPRESSED)):
                return ""
            await asyncio.sleep(PAUSE_S)
        namespace = topic.rpartition("/")[0]
        reason = elsewhere(node, own=[f"{namespace}/{output}" for output in OUTPUTS])
        return f"image:= is not given, so the node listens to {topic}: {reason}"
    finally:
        context.shutdown()
