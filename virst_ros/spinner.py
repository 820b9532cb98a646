"""The thread of a node: its callbacks run there, and its entities come and go there."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
import threading
from typing import Any, TypeVar

from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

T = TypeVar("T")


class Spinner:
    """An executor on a thread of its own.

    An executor builds its wait set of entities one after the other; one that another thread
    destroys meanwhile ends it with InvalidHandle. `call` runs between two callbacks, where there
    is no wait set and nothing of the node is in use.
    """

    def __init__(self, node: Node, on_failure: Callable[[Exception], None]) -> None:
        """`on_failure` is called on the thread with what a callback raised; then it ends."""
        self._node = node
        self._on_failure = on_failure
        self._executor = SingleThreadedExecutor(context=node.context)
        self._thread = threading.Thread(target=self._spin, name="executor")
        self._lock = threading.Lock()
        self._spinning = False
        self._ended = threading.Event()
        self._jobs: deque[tuple[Callable[[], Any], Future]] = deque()
        self._posted: deque[Callable[[], None]] = deque()

    def start(self) -> None:
        """Starts the thread."""
        self._spinning = self._executor.add_node(self._node)
        self._thread.start()

    def call(self, job: Callable[[], T]) -> T:
        """What `job` returns or raises on the thread, or here where there is no thread."""
        outcome: Future[T] = Future()
        with self._lock:
            here = not self._spinning or threading.current_thread() is self._thread
            if not here:
                self._jobs.append((job, outcome))
                self._executor.create_task(self._run_jobs)
        return job() if here else outcome.result()

    def post(self, job: Callable[[], None]) -> None:
        """Runs `job` on the thread soon, in the order of the calls; not where there is none.

        What it raises ends the thread. (Executors up to Jazzy's begin the newest task first.)
        """
        with self._lock:
            if self._spinning:
                self._posted.append(job)
                self._executor.create_task(self._run_posted)

    def settle(self) -> None:
        """Waits until the thread has done what was due, and what came of that; not on it.

        An executor walks through a list of its tasks before it makes the next one: the first job
        comes after what runs now, the second may be the newest beside what that left, and so the
        first of its list (up to Jazzy), the third is of a later list.
        """
        for _ in range(3):
            self.call(lambda: None)

    def wake(self) -> None:
        """Looks again for coroutines that can go on."""
        with self._lock:
            if self._spinning:
                self._executor.wake()

    def stop(self) -> None:
        """Joins the thread, after the callback under way; not from the thread."""
        self._ended.set()
        with self._lock:
            if self._spinning:
                self._executor.create_task(self._run_jobs)  # wakes it
        if self._thread.ident is not None:
            self._thread.join()
        self._executor.shutdown()

    def _spin(self) -> None:
        try:
            while not self._ended.is_set():
                self._executor.spin_once()
        except Exception as error:
            self._on_failure(error)
        finally:
            with self._lock:
                self._spinning = False
            self._run_jobs()

    def _run_posted(self) -> None:
        self._posted.popleft()()

    def _run_jobs(self) -> None:
        while self._jobs:
            job, outcome = self._jobs.popleft()
            try:
                outcome.set_result(job())
            except Exception as error:
                outcome.set_exception(error)
