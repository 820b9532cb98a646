"""ROS in a process of ours: opened with the arguments of the command line, closed at the end."""

from __future__ import annotations

from argparse import ArgumentTypeError
from collections.abc import Iterator
from contextlib import contextmanager
import sys

import rclpy
from rclpy.signals import SignalHandlerOptions, uninstall_signal_handlers
from rclpy.utilities import remove_ros_args, try_shutdown

from virst_model.arguments import sentence
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
    _check(sys.argv if args is None else args)
    try:
        rclpy.init(args=args, signal_handler_options=handlers)
    except RuntimeError as error:  # the parent of what rclpy has of rcl
        raise ContextError(_advise(str(error))) from error
    try:
        yield
    finally:
        # Not rclpy.try_shutdown: what it does to handlers is not the same before Kilted and after.
        try_shutdown()
        if handlers != SignalHandlerOptions.NO:
            uninstall_signal_handlers()


def own_arguments(args: list[str] | None, program: str) -> list[str]:
    """The arguments of a program that are not ROS's: of `args`, or of the command line.

    Raises ContextError where one is no text.
    """
    words = sys.argv if args is None else [program, *args]
    _check(words)
    return remove_ros_args(words)[1:]


def _check(words: list[str]) -> None:
    """Raises ContextError for bytes that are no text: rclpy takes none."""
    for word in words:
        try:
            sentence(word)
        except ArgumentTypeError as error:
            raise ContextError(str(error)) from None


def _advise(text: str) -> str:
    said = shown(text.partition(", at /")[0], LONGEST_ADVICE)  # the rest names sources of rcl
    if "logging" not in text:
        return said
    return f"{said}: set ROS_LOG_DIR to a folder that can be written"
