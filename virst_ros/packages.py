"""ROS packages that may be missing, and what the node does not offer without them."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType


def find_vision(say: Callable[[str], None]) -> ModuleType | None:
    """virst_ros.vision, where vision_msgs is installed; else None, and `say` is told."""
    try:
        from virst_ros import vision
    except ImportError as error:
        say(f"label_info and detections are not offered without vision_msgs: {error}")
        return None
    return vision
