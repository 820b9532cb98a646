"""Times the parts of the model, by listening at their doors."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
import functools
import time
from typing import Any

import torch

from virst_model.model.virst import Virst
from virst_model.stream import session


class Stopwatch:
    """Milliseconds of every call, by part; waits for the device at both ends of a call.

    Waiting costs rate: parts are measured in a pass of their own.
    """

    def __init__(self, device: torch.device) -> None:
        self.calls_ms: dict[str, list[float]] = defaultdict(list)
        self._device = device

    def timed(self, part: str, function: Callable) -> Callable:
        """`function`, whose calls are timed as `part`."""

        @functools.wraps(function)
        def run(*arguments: Any, **named: Any) -> Any:
            start_s = self._now_s()
            try:
                return function(*arguments, **named)
            finally:
                self.calls_ms[part].append(1000 * (self._now_s() - start_s))

        return run

    def _now_s(self) -> float:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return time.perf_counter()


@contextmanager
def listening(model: Virst, watch: Stopwatch) -> Iterator[None]:
    """Times the model's parts within the block; the model is as before afterwards."""
    segmenter, vlm = model.segmenter, model.vlm
    doors = (
        ("preprocess", model, "frame_pixels"),
        ("preprocess", model, "clip_pixels"),
        ("image encoder", segmenter, "encode"),
        ("clip encoder", model, "encode_clip"),
        ("LLM", vlm, "hidden"),
        ("LLM", vlm, "read"),
        ("LLM", vlm, "hidden_after"),
        ("fusion", model, "pool"),
        ("fusion", model.second_fusion, "fuse"),
        ("fusion", model.initial_fusion, "fuse"),
        ("memory attention", segmenter, "attend"),
        ("decoder", segmenter.sam_mask_decoder, "forward"),
        ("memory encoder", segmenter, "encode_memory"),
        ("postprocess", session.Masks, "read"),
        ("postprocess", session, "compose"),
    )
    before = [(owner, name, vars(owner).get(name)) for _, owner, name in doors]
    try:
        for part, owner, name in doors:
            setattr(owner, name, watch.timed(part, getattr(owner, name)))
        yield
    finally:
        for owner, name, own in before:
            if own is None:
                delattr(owner, name)  # the class has it
            else:
                setattr(owner, name, own)
