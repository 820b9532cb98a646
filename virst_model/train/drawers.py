"""What is drawn beside training, by threads or by processes."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
import contextlib
import functools
import multiprocessing
import os
import pickle
import signal
import threading
import time
from typing import TypeVar

import cv2
import torch

from virst_model.train.snapshots import TrainingError

Drawn = TypeVar("Drawn")
# How a process begins: with what it draws from, which need not be written down for it.
_FORK = "fork"
LOOK_S = 1.0  # how often a process looks whether the training is there


def drawn_ahead(
    draw: Callable[[int], Drawn], numbers: Iterable[int], drawers: int, apart: bool = False
) -> Iterator[tuple[int, Drawn]]:
    """Numbers and what `draw` makes of them, in order, drawn while others are used.

    Args:
        drawers: how many are drawn at once.
        apart: each drawer is a process, where the system can fork one: what Python itself draws
            would wait for its threads and they for it. `draw` is then called with one thread
            of torch, and what it returns is copied.

    Raises:
        TrainingError: a process was ended from outside. What `draw` raises is raised here.
    """
    ahead: deque[tuple[int, Future]] = deque()
    with contextlib.ExitStack() as stack:
        if apart and _FORK in multiprocessing.get_all_start_methods():
            context, begun = multiprocessing.get_context(_FORK), (draw, os.getpid())
            pool = stack.enter_context(ProcessPoolExecutor(drawers, context, _begin, begun))
            submit, receive = functools.partial(pool.submit, _draw), pickle.loads
        else:
            pool = stack.enter_context(ThreadPoolExecutor(drawers))
            submit, receive = functools.partial(pool.submit, draw), _as_it_is
        try:
            for number in numbers:
                ahead.append((number, submit(number)))
                if len(ahead) > drawers:
                    yield _taken(ahead, receive)
            while ahead:
                yield _taken(ahead, receive)
        except BrokenProcessPool:
            raise TrainingError(
                "a process that draws batches was ended from outside, as by a lack of memory: "
                f"give fewer than drawers={drawers}"
            ) from None


def _taken(ahead: deque[tuple[int, Future]], receive: Callable) -> tuple:
    number, drawn = ahead.popleft()
    return number, receive(drawn.result())


def _as_it_is(drawn: Drawn) -> Drawn:
    return drawn


# Of a process that draws: what it draws with.
_own: list[Callable[[int], object]] = []


def _begin(draw: Callable[[int], object], training: int) -> None:
    """What a process does first; Ctrl-C is the training's to hear, which ends this one.

    `training`: the id of its process; where that is killed, nobody else ends this one.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    # One of several processes; and threads of libraries do not live on in a forked one.
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    threading.Thread(target=_end_with, args=(training,), daemon=True).start()
    _own[:] = [draw]


def _end_with(training: int) -> None:
    while os.getppid() == training:
        time.sleep(LOOK_S)
    os._exit(1)


def _draw(number: int) -> bytes:
    """Written down here: tensors would else travel in shared memory, of which some have little."""
    return pickle.dumps(_own[0](number))
