"""What runs for every frame as CUDA graphs: one launch a part, in place of one a kernel.

A graph has fixed shapes and places: what is asked is copied in, and what is answered is copied
out, so that the next frame writes over nothing that is kept. Queries are padded to one of `ROWS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
import logging
import threading
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from virst_model.model.features import Decoded, FrameFeatures, MemoryEntry, MemoryRead

# Of the segmenter.
PARTS = ("encode", "decode_prompted", "decode_tracked", "encode_memory")
# Queries, or anchors, that a graph is made for; more of them are run without one.
ROWS = (1, 2, 4, 8, 16)
# What is recorded of `encode_memory` where each mask has the features of its own frame.
ANCHOR_MEMORY = "encode_memory_of_anchors"
# Calls before a recording: libraries choose their kernels, and tables are made.
WARM_UPS = 3
REASON = 300  # characters

_log = logging.getLogger(__name__)


def rows_for(queries: int) -> list[int]:
    """Of `ROWS`, those that up to so many queries, or anchors, need; none for 0."""
    return [rows for rows in ROWS if rows // 2 < queries]


class Recorder(Protocol):
    """Records work on a device."""

    def record(
        self, work: Callable[[], Sequence[Tensor]]
    ) -> tuple[Sequence[Tensor], Callable[[], None]]:
        """The tensors that `work` returns, and what does the same again, into the same tensors."""

    def turn(self) -> AbstractContextManager:
        """Within it what was recorded is used, after what other streams have used it for."""


class CudaRecorder:
    """CUDA graphs, whose intermediate tensors share one pool of memory."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._pool = torch.cuda.graph_pool_handle()
        self._stream = torch.cuda.Stream(device)  # none records on the default one
        self._used = torch.cuda.Event()

    def record(
        self, work: Callable[[], Sequence[Tensor]]
    ) -> tuple[Sequence[Tensor], Callable[[], None]]:
        """As `Recorder`; other threads may use the device meanwhile."""
        stream, current = self._stream, torch.cuda.current_stream(self._device)
        stream.wait_stream(current)
        with torch.cuda.stream(stream):
            for _ in range(WARM_UPS):
                work()
        current.wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        recording = torch.cuda.graph(
            graph, pool=self._pool, stream=stream, capture_error_mode="thread_local"
        )
        with torch.cuda.device(self._device), recording:
            answers = work()
        return answers, graph.replay

    @contextmanager
    def turn(self) -> Iterator[None]:
        """As `Recorder`."""
        stream = torch.cuda.current_stream(self._device)
        stream.wait_event(self._used)
        try:
            yield
        finally:  # where copying the answers failed, too: the places are still read
            self._used.record(stream)


class _Recording(threading.local):
    """What this thread records now: the frames of others' streams go on meanwhile.

    Attributes:
        rows: what is called -> the numbers of rows.
    """

    rows: Mapping[str, Sequence[int]] = {}


class Captured:
    """The segmenter's parts, in the places of its methods, run by what was recorded of them.

    Something is recorded within `capturing` alone; a shape that was not is run as it is.
    """

    engine = "graphs"

    def __init__(self, segmenter: nn.Module, recorder: Recorder) -> None:
        self._segmenter = segmenter
        self._recorder = recorder
        self._plain = {name: getattr(segmenter, name) for name in PARTS}
        self._recorded: dict[tuple, _Recorded] = {}
        self._turns = threading.RLock()  # sessions may share a model
        self.recording = _Recording()
        for name in PARTS:
            setattr(segmenter, name, getattr(self, name))

    def leave(self) -> None:
        """The segmenter has its own methods back; also where it has them already."""
        for name in PARTS:
            vars(self._segmenter).pop(name, None)

    def encode(self, images_B3ss: Tensor) -> FrameFeatures:
        """`Segmenter.encode`; more than one frame is run as it is."""
        plain = self._plain["encode"]
        if len(images_B3ss) != 1:
            return plain(images_B3ss)

        def work(images: Tensor) -> Sequence[Tensor]:
            found = plain(images)
            return found.s0, found.s1, found.s2

        found = self._run("encode", work, (), (images_B3ss,))
        return plain(images_B3ss) if found is None else FrameFeatures(*found)

    def decode_prompted(
        self,
        features: FrameFeatures,
        prompts_BNC: Tensor,
        previous_logits: Tensor | None = None,
        multimask: bool | None = None,
    ) -> Decoded:
        """`Segmenter.decode_prompted`; beside earlier logits it is run as it is."""
        plain = self._plain["decode_prompted"]
        if previous_logits is not None or multimask is not None:
            return plain(features, prompts_BNC, previous_logits, multimask)

        def work(s0: Tensor, s1: Tensor, s2: Tensor, prompts: Tensor) -> Sequence[Tensor]:
            return tuple(vars(plain(FrameFeatures(s0, s1, s2), prompts)).values())

        each = (features.s0, features.s1, features.s2, prompts_BNC)
        found = self._run("decode_prompted", work, (), each)
        return plain(features, prompts_BNC) if found is None else Decoded(*found)

    def decode_tracked(
        self, features: FrameFeatures, read: MemoryRead, multimask: bool | None = None
    ) -> Decoded:
        """`Segmenter.decode_tracked`; a read with all slots has a graph without a mask."""
        plain = self._plain["decode_tracked"]
        if multimask is not None or len(features.s2) != 1:
            return plain(features, read, multimask)

        def work(s0: Tensor, s1: Tensor, s2: Tensor, *parts: Tensor) -> Sequence[Tensor]:
            reads = MemoryRead(*parts, complete=read.complete)
            return tuple(vars(plain(FrameFeatures(s0, s1, s2), reads)).values())

        shared = (features.s0, features.s1, features.s2)
        parts = tuple(value for value in vars(read).values() if isinstance(value, Tensor))
        found = self._run("decode_tracked", work, shared, parts, read.complete)
        return plain(features, read) if found is None else Decoded(*found)

    def encode_memory(self, features: FrameFeatures, decoded: Decoded) -> MemoryEntry:
        """`Segmenter.encode_memory`."""
        plain = self._plain["encode_memory"]

        def work(s2: Tensor, *parts: Tensor) -> Sequence[Tensor]:
            entry = plain(FrameFeatures(s2, s2, s2), Decoded(*parts))  # the last alone is read
            return (entry.maps,)

        parts = tuple(vars(decoded).values())
        if len(features.s2) == 1:
            found = self._run("encode_memory", work, (features.s2,), parts)
        else:
            found = self._run(ANCHOR_MEMORY, work, (), (features.s2, *parts))
        if found is None:
            return plain(features, decoded)
        return MemoryEntry(found[0], decoded.pointer)

    def _run(
        self,
        part: str,
        work: Callable[..., Sequence[Tensor]],
        shared: Sequence[Tensor],
        each: Sequence[Tensor],
        *kind: Any,
    ) -> list[Tensor] | None:
        """The part's tensors; None where nothing is recorded for these shapes.

        `shared`: of the frame; `each`: with a row for each query, or anchor; `kind`: what else is
        told apart.
        """
        count = len(each[0])
        shapes = tuple((tensor.shape[1:], tensor.dtype) for tensor in (*shared, *each))
        rows = next((rows for rows in ROWS if rows >= count), None)
        key = part, kind, shapes
        with self._turns:
            if rows in self.recording.rows.get(part, ()) and (*key, rows) not in self._recorded:
                self._record(key, work, shared, each)
            recorded = self._recorded.get((*key, rows))
            if recorded is None:
                return None
            with self._recorder.turn():
                return recorded([*shared, *each], count)

    def _record(
        self,
        key: tuple,
        work: Callable[..., Sequence[Tensor]],
        shared: Sequence[Tensor],
        each: Sequence[Tensor],
    ) -> None:
        """Records for all numbers of rows at once, the most first, whose memory then does."""
        wanted = reversed(self.recording.rows[key[0]])
        missing = [rows for rows in wanted if (*key, rows) not in self._recorded]
        try:
            for rows in missing:
                inputs = [*map(_own, shared), *(_own(tensor, rows) for tensor in each)]
                self._recorded[(*key, rows)] = _Recorded.of(self._recorder, work, inputs)
        except Exception as error:  # of torch and of the device, of all kinds
            # What is wrong with the arguments is said here, and is no reason to give up.
            work(*shared, *each)
            self._give_up(key[0], error)

    def _give_up(self, part: str, error: Exception) -> None:
        reason = (" ".join(str(error).split()) or type(error).__name__)[:REASON]
        self.recording.rows = {}
        self._recorded.clear()
        self.leave()
        _log.warning("%s cannot be captured, torch runs without graphs: %s", part, reason)


@dataclass(frozen=True)
class _Recorded:
    """Work of fixed shapes.

    Attributes:
        inputs, answers: where it reads, and where it writes.
        again: does it.
        held: what else it reads: weights, and tables that others may give up.
    """

    inputs: list[Tensor]
    answers: Sequence[Tensor]
    again: Callable[[], None]
    held: list[Tensor]

    @staticmethod
    def of(
        recorder: Recorder, work: Callable[..., Sequence[Tensor]], inputs: list[Tensor]
    ) -> _Recorded:
        """Records `work(*inputs)`."""
        work(*inputs)  # makes the tables
        with _Reads() as reads:
            work(*inputs)
        answers, again = recorder.record(lambda: work(*inputs))
        return _Recorded(inputs, answers, again, list(reads.tensors.values()))

    def __call__(self, tensors: Sequence[Tensor], rows: int) -> list[Tensor]:
        """The first `rows` of its answers, copied: to rows beyond those nobody looks."""
        for place, tensor in zip(self.inputs, tensors, strict=True):
            place[: len(tensor)].copy_(tensor)
        self.again()
        return [answer[:rows].clone() for answer in self.answers]


class _Reads(TorchDispatchMode):
    """Within its block: tensors that operators read and did not make."""

    def __init__(self) -> None:
        super().__init__()
        self.tensors: dict[int, Tensor] = {}
        self._made: set[int] = set()

    def __torch_dispatch__(
        self, operator: Any, types: Any, arguments: tuple = (), named: dict | None = None
    ) -> Any:
        for tensor in _tensors((arguments, named)):
            place = tensor.untyped_storage()._cdata
            if place not in self._made:
                self.tensors.setdefault(place, tensor)
        made = operator(*arguments, **(named or {}))
        for tensor in _tensors(made):
            place = tensor.untyped_storage()._cdata
            if place not in self.tensors:
                self._made.add(place)
        return made


def _tensors(value: Any) -> Iterator[Tensor]:
    """The tensors in lists, tuples and dicts."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (list, tuple)):
        for one in value:
            yield from _tensors(one)
    elif isinstance(value, dict):
        yield from _tensors(tuple(value.values()))


def _own(tensor: Tensor, rows: int | None = None) -> Tensor:
    """A tensor of its own with the same row, so many times; that may be written into."""
    with torch.inference_mode(False):
        place = torch.empty(
            (rows or len(tensor), *tensor.shape[1:]), dtype=tensor.dtype, device=tensor.device
        )
        place.copy_(tensor[:1].expand_as(place))
    return place


@contextmanager
def capturing(model: Any, queries: int, anchors: int) -> Iterator[None]:
    """Within it, what a model's segmenter is called with is recorded.

    For up to `queries` at once, and up to `anchors` of an answer, or of several, as one batch.
    Nothing happens to one that is not `Captured`.
    """
    captured = getattr(getattr(model, "segmenter", None), PARTS[0], None)
    captured = getattr(captured, "__self__", None)
    if not isinstance(captured, Captured):
        yield
        return
    captured.recording.rows = {
        "encode": [1],
        "decode_prompted": rows_for(anchors),
        "decode_tracked": rows_for(queries),
        "encode_memory": rows_for(queries),
        ANCHOR_MEMORY: [rows for rows in rows_for(anchors) if rows > 1],
    }
    try:
        yield
    finally:
        captured.recording.rows = {}
