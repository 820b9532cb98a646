"""Work beside the groundings, on their thread: small pieces, for which frames and groundings go
first.
"""

from concurrent.futures import ThreadPoolExecutor
from threading import Event, Lock
import time
from typing import Protocol

from virst_model.stream.lanes import Lane, Mark
from virst_model.stream.spare_time import SpareTime

# While there is no time to spare: how often it is looked whether frames have ceased.
LONGEST_WAIT_S = 0.05


class Work(Protocol):
    """What is done in pieces."""

    def go_on(self) -> bool:
        """Does a piece; whether there is another. Never raises."""


class SideWork:
    """One piece after the other, each a job of the thread's: a grounding waits for one at most."""

    def __init__(self, lane: Lane) -> None:
        """`lane`: the thread's."""
        self._lane = lane
        self._spare = SpareTime()
        self._lock = Lock()
        self._executor: ThreadPoolExecutor | None = None  # while there is work
        self._called = Event()  # the thread is wanted for something else

    def begin_frame(self) -> None:
        """A frame has come: from now on there is a small share of the time."""
        self._spare.begin_frame()

    def end_frame(self, work: Work, executor: ThreadPoolExecutor, frames: Mark) -> None:
        """The frame is done: from now on there is all the time that groundings leave.

        `frames`: those that the work is about are there. Nothing new where it is under way.
        """
        self._spare.end_frame()
        with self._lock:
            if self._executor is None:
                self._executor = executor
                executor.submit(self._do, work, frames)

    def give_way(self) -> None:
        """A job comes, for which a wait ends."""
        self._called.set()

    def is_given_way(self) -> None:
        """The job is there."""
        self._called.clear()

    def close(self) -> None:
        """Nothing more is begun; the thread can be joined."""
        with self._lock:
            self._executor = None
        self._called.set()

    def _do(self, work: Work, frames: Mark) -> None:
        """On the thread: a piece, or a wait."""
        wait_s = self._spare.wait_s
        more = True
        if wait_s:
            self._called.wait(min(wait_s, LONGEST_WAIT_S))
        else:
            more = self._do_a_piece(work, frames)
        with self._lock:
            if not more:
                self._executor = None
            if self._executor is not None:  # behind a grounding that has come meanwhile
                self._executor.submit(self._do, work, frames)

    def _do_a_piece(self, work: Work, frames: Mark) -> bool:
        start_s = time.perf_counter()
        with self._lane.working():
            self._lane.follow(frames)
            more = work.go_on()
            self._lane.mark().synchronize()  # what the device still reads is held by the work
        self._spare.spend(time.perf_counter() - start_s)
        return more
