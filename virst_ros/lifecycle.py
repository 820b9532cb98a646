"""Transitions of a lifecycle node: they keep its state, what they raise is logged, and those that
wait let others be answered meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable
import concurrent.futures
from concurrent.futures import ThreadPoolExecutor
import functools
from typing import Any, Protocol

from rclpy.impl.rcutils_logger import RcutilsLogger
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn
from rclpy.service import Service
from rclpy.task import Future

from virst_ros.text import shown_error, shown_traceback

SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE
UNCONFIGURED, ACTIVE = "unconfigured", "active"


class Stateful(Protocol):
    """A node with transitions.

    Attributes:
        state: rcl's label of the state that the node is in; rclpy keeps it to itself.
        fault: what a transition raised, for people, until `configure` is tried again.
    """

    state: str
    fault: str

    def get_logger(self) -> RcutilsLogger: ...


Transition = Callable[[Stateful, LifecycleState], TransitionCallbackReturn]


def transition(during: str, after: str) -> Callable[[Transition], Transition]:
    """A decorator for on_configure and its like: keeps `state`, and tells what they raise.

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
                node.fault = f"{run.__name__} failed: {shown_error(error)}"
                node.get_logger().error(f"{node.fault}\n{shown_traceback(error)}")
                outcome = TransitionCallbackReturn.ERROR
            # After an error comes on_error, with a state of its own.
            node.state = {SUCCESS: after, FAILURE: before.label}.get(outcome, during)
            return outcome

        return reported

    return decorate


class Aside:
    """Runs the callback of a service on a thread of its own; its executor goes on meanwhile.

    rcl refuses a transition that is asked for while another one runs.
    """

    def __init__(
        self, service: Service, wake: Callable[[], None], tell: Callable[[str], None]
    ) -> None:
        """`wake` lets the executor look for answers that have come; `tell` logs a refusal."""
        self._callback = service.callback
        self._wake = wake
        self._tell = tell
        # The second is for what comes meanwhile; both stay, as their memory would (memory.py).
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="transition")
        self._running: list[concurrent.futures.Future] = []
        service.callback = self._answer

    def join(self, timeout_s: float) -> None:
        """Waits for the callbacks under way; not from the executor's thread."""
        concurrent.futures.wait(self._running, timeout_s)

    async def _answer(self, request: Any, response: Any) -> Any:
        answer: Future = Future()
        running = self._threads.submit(self._run, answer, request, response)
        self._running = [*(r for r in self._running if not r.done()), running]
        return await answer

    def _run(self, answer: Future, request: Any, response: Any) -> None:
        try:
            answer.set_result(self._callback(request, response))
        except RuntimeError as error:  # of rcl, which refuses; caught by rclpy from Kilted on
            self._tell(f"a transition is refused: {shown_error(error)}")
            answer.set_result(response)
        except Exception as error:
            answer.set_exception(error)  # raised again where it is awaited
        finally:
            self._wake()
