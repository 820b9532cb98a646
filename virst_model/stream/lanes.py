"""Two queues of work on one device: the tracker's, which goes first, and the grounder's.

On one queue a frame would wait for the language model's prefill. A device lets kernels that run
finish; of those that wait it takes the tracker's.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol

import torch


class Mark(Protocol):
    """A point in a lane's work."""

    def synchronize(self) -> None:
        """Waits, asleep, until the work before it is done."""


class Lane(Protocol):
    """A queue of work."""

    def working(self) -> AbstractContextManager:
        """Within it this thread's work goes into the lane."""

    def mark(self) -> Mark:
        """The end of the work so far."""

    def follow(self, mark: Mark) -> None:
        """What comes next begins after the mark of another lane; the host does not wait."""

    def keep(self, tensors: Iterable[torch.Tensor]) -> None:
        """The memory of another lane's tensors stays theirs while this lane's work needs it."""


@dataclass(frozen=True)
class Lanes:
    """The two lanes of a stream."""

    tracker: Lane
    grounder: Lane


def lanes_of(device: torch.device) -> Lanes:
    """Two CUDA streams of a CUDA device, the tracker's with the higher priority; else none."""
    if device.type != "cuda":
        return Lanes(NoLane(), NoLane())
    torch.cuda.synchronize(device)  # the weights have come on another stream
    return Lanes(CudaLane(device, priority=-1), CudaLane(device, priority=0))


class CudaLane:
    """A CUDA stream."""

    def __init__(self, device: torch.device, priority: int) -> None:
        """`priority`: -1 goes before 0."""
        self._stream = torch.cuda.Stream(device, priority=priority)

    def working(self) -> AbstractContextManager:
        """As `Lane`."""
        return torch.cuda.stream(self._stream)

    def mark(self) -> Mark:
        """As `Lane`."""
        event = torch.cuda.Event(blocking=True)
        event.record(self._stream)
        return event

    def follow(self, mark: Mark) -> None:
        """As `Lane`."""
        self._stream.wait_event(mark)

    def keep(self, tensors: Iterable[torch.Tensor]) -> None:
        """As `Lane`."""
        for tensor in tensors:
            tensor.record_stream(self._stream)


class NoLane:
    """Work that is done when its call returns, as on a CPU."""

    def working(self) -> AbstractContextManager:
        """As `Lane`."""
        return nullcontext()

    def mark(self) -> Mark:
        """As `Lane`; there is nothing to wait for."""
        return _Done()

    def follow(self, mark: Mark) -> None:
        """As `Lane`."""

    def keep(self, tensors: Iterable[torch.Tensor]) -> None:
        """As `Lane`."""


class _Done:
    def synchronize(self) -> None:
        """Nothing is left to be done."""
