"""Transitions of a lifecycle node: they keep its state, and what they raise is logged."""

from __future__ import annotations

from collections.abc import Callable
import functools
from typing import Protocol

from rclpy.impl.rcutils_logger import RcutilsLogger
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn

from virst_ros.text import shown_error, shown_traceback

SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE
UNCONFIGURED = "unconfigured"


class Stateful(Protocol):
    """A node with transitions.

    Attributes:
        state: rcl's label of the state that the node is in; rclpy keeps it to itself.
    """

    state: str

    def get_logger(self) -> RcutilsLogger: ...


Transition = Callable[[Stateful, LifecycleState], TransitionCallbackReturn]


def transition(during: str, after: str) -> Callable[[Transition], Transition]:
    """A decorator for on_configure and its like: keeps `state` and logs what they raise.

    rclpy swallows what a transition raises. `during` and `after` are the labels of the states in
    which the transition runs and to which it leads; a failed one leads back.
    """

    def decorate(run: Transition) -> Transition:
        @functools.wraps(run)
        def reported(node: Stateful, before: LifecycleState) -> TransitionCallbackReturn:
            node.state = during
            try:
                outcome = run(node, before)
            except Exception as error:
                report = f"{run.__name__} failed: {shown_error(error)}\n{shown_traceback(error)}"
                node.get_logger().error(report)
                outcome = TransitionCallbackReturn.ERROR
            # After an error comes on_error, with a state of its own.
            node.state = {SUCCESS: after, FAILURE: before.label}.get(outcome, during)
            return outcome

        return reported

    return decorate
