"""The node from its start to its end."""

from __future__ import annotations

from collections.abc import Callable
import sys
import threading

from rclpy.exceptions import ParameterException
from rclpy.logging import get_logger

from virst_ros.node import SegmentNode
from virst_ros.parameters import ParameterError, Parameters
from virst_ros.ros_context import ContextError, open_context
from virst_ros.text import LONGEST_ADVICE, shown
from virst_ros.tracker import Stream, open_stream

# How long a thread may keep Python's interpreter while others wait; the default is 5 ms. Taking a
# camera message wants it some twenty times, which with the tracker and the grounder at work was
# longer than a frame: a third of the images were gone before anybody could count them.
SWITCH_INTERVAL_S = 0.0005


def run(
    stopping: threading.Event,
    args: list[str] | None = None,
    make_stream: Callable[[Parameters], Stream] | None = None,
) -> int:
    """Until `stopping` or a failure; the exit status."""
    if stopping.is_set():
        return 0
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    try:
        with open_context(args):
            return _run(stopping, make_stream or open_stream)
    except ContextError as error:  # there is no log
        sys.stderr.write(f"cannot start: {error}\n")
        return 1


def _run(stopping: threading.Event, make_stream: Callable[[Parameters], Stream]) -> int:
    try:
        node = SegmentNode(make_stream, stopping)
    except (ParameterError, ParameterException) as error:
        get_logger("segment").error(f"cannot start: {shown(str(error), LONGEST_ADVICE)}")
        return 1
    started = True
    try:
        node.start()
        if node.parameters.autostart and not stopping.is_set():
            started = node.autostart() or stopping.is_set()
        if started:
            stopping.wait()
    finally:
        node.close()
    return int(bool(node.failure) or not started)
