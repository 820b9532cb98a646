"""ROS in a process of ours: opened with the arguments of the command line, closed at the end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import rclpy
from rclpy.signals import SignalHandlerOptions

from virst_model.errors import InputError
from virst_ros.text import LONGEST_ADVICE, shown


class ContextError(InputError):
    """ROS does not start: its arguments, or the folder of its log. `str()` is one line."""


@contextmanager
def open_context(
    args: list[str] | None = None, handlers: SignalHandlerOptions = SignalHandlerOptions.NO
) -> Iterator[None]:
    """ROS is there while it is entered. Raises ContextError.

    `handlers`: the signals that end the context; none, where the threads have to end before.
    """
    try:
        rclpy.init(args=args, signal_handler_options=handlers)
    except RuntimeError as error:  # the parent of what rclpy has of rcl
        raise ContextError(_advise(str(error))) from error
    try:
        yield
    finally:
        rclpy.try_shutdown(uninstall_handlers=handlers != SignalHandlerOptions.NO)


def _advise(text: str) -> str:
    said = shown(text.partition(", at /")[0], LONGEST_ADVICE)  # the rest names sources of rcl
    if "logging" not in text:
        return said
    return f"{said}: set ROS_LOG_DIR to a folder that can be written"
