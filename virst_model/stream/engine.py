"""What runs the work of every frame: torch, ONNX Runtime on a CPU, or CUDA graphs on a GPU."""

import argparse
from collections.abc import Callable, Iterator, Sequence
import dataclasses
import hashlib
from importlib import metadata
import inspect
import json
import logging
from pathlib import Path
import threading
from typing import Any

import torch
from torch import Tensor, nn

from virst_model.errors import InputError
from virst_model.model import features as feature_types
from virst_model.model.features import Decoded, FrameFeatures, MemoryEntry, MemoryRead
from virst_model.model.virst import Virst
from virst_model.stream import graphs
from virst_model.stream.captured import Captured, CudaRecorder
from virst_model.stream.graphs import Graph, GraphCache, graph_of

ENGINES = ("auto", "torch", "onnx", "graphs")
# Of the segmenter.
PARTS = ("encode", "decode_prompted", "decode_tracked", "encode_memory")
# What a graph is made with, beside our own code.
PACKAGES = ("torch", "onnxruntime", "onnx", "sam2")
INSTALL = "pip install 'virst_ros[onnx]'"

# What belongs to queries: which of its tensors are the frame's, which they share.
SHARED = {"decode_tracked": range(3), "encode_memory": range(1)}
# Queries that a graph is made for, the most first.
ROWS = (4, 1)
REASON = 300  # characters; exporters tell long stories

_log = logging.getLogger(__name__)


def add_engine_option(parser: argparse.ArgumentParser, default: str = "auto") -> None:
    """Adds --engine, which `use_engine` follows."""
    parser.add_argument(
        "--engine",
        choices=ENGINES,
        default=default,
        help="of what runs for every frame; auto: onnx on a CPU where onnxruntime is installed; "
        "graphs: CUDA graphs of a stream, on a GPU",
    )


class EngineError(InputError, RuntimeError):
    """The engine that was asked for cannot be used, or has failed; `str()` is one line."""


def use_engine(model: Virst, engine: str = "auto", cache: GraphCache | None = None) -> Virst:
    """Has what runs for every frame run by `engine`, in place; the language model stays torch's.

    A graph is made when a part is first called with tensors of its shapes (a `Session`'s
    `warm_up` calls all, with the session's alpha), or found in the cache, where an earlier
    process, or `virst export`, has put it. Its threads are torch's number at that moment.

    Args:
        engine: "torch", or "onnx", or "auto": onnx for a float32 model on a CPU where the package
            onnxruntime is installed. Where a graph cannot be made or run, "auto" goes back to
            torch for good, and a warning says so. "graphs": CUDA graphs, captured by a `Session`'s
            `warm_up` and at no other time, for up to its `captured_queries`; where that cannot
            be done, torch goes on without, and a warning says so.
        cache: where graphs are kept.

    Raises:
        EngineError: "onnx" or "graphs" cannot be used.
        ValueError: no such engine.
    """
    if engine not in ENGINES:
        raise ValueError(f"engine must be one of {', '.join(ENGINES)}, not {engine!r}")
    obstacle = _obstacle(model)
    if engine == "onnx" and obstacle:
        raise EngineError(f"engine onnx: {obstacle}")
    if engine == "graphs" and model.device.type != "cuda":
        raise EngineError(f"engine graphs: a GPU runs them, and the model is on {model.device}")
    _leave(model.segmenter)
    if engine == "graphs":
        Captured(model.segmenter, CudaRecorder(model.device))
    elif engine == "auto" and obstacle:
        _log.info("frames are run by torch: %s", obstacle)
    elif engine != "torch":
        _Engine(model, cache or GraphCache(), strict=engine == "onnx")
    return model


def engine_of(model: Virst) -> str:
    """Which engine runs the model's frames now: "torch", "onnx" or "graphs"."""
    owner = _owner(model.segmenter)
    return owner.engine if isinstance(owner, (_Engine, Captured)) else "torch"


def _leave(segmenter: nn.Module) -> None:
    """Back to the methods of the class, where an engine has taken their places."""
    if isinstance(_owner(segmenter), (_Engine, Captured)):
        for name in vars(segmenter).keys() & set(PARTS):
            delattr(segmenter, name)


def _owner(segmenter: nn.Module) -> object:
    return getattr(vars(segmenter).get(PARTS[0]), "__self__", None)


def _obstacle(model: Virst) -> str:
    """Why ONNX Runtime cannot run the model here; empty where it can."""
    if graphs.installed() is None:
        return f"the package onnxruntime is not installed: {INSTALL}"
    if model.device.type != "cpu" or model.dtype != torch.float32:
        dtype = str(model.dtype).removeprefix("torch.")
        return f"it runs float32 on a CPU, and the model is {dtype} on {model.device}"
    return ""


class _Engine:
    """The segmenter's parts as graphs of fixed shapes.

    Queries on one frame are run as batches of `ROWS`, six as four, one and one; frames one by one.
    What belongs to queries is made for all of `ROWS` at once, so that a new query finds its graph.
    """

    engine = "onnx"

    def __init__(self, model: Virst, cache: GraphCache, strict: bool) -> None:
        """Takes the places of the segmenter's methods; `strict`: what fails is an error."""
        self._segmenter = segmenter = model.segmenter
        self._cache = cache
        self._strict = strict
        self._plain = {name: getattr(segmenter, name) for name in PARTS}
        self._graphs: dict[tuple, Graph] = {}
        self._making = threading.Lock()  # sessions may share a model
        self._made_with: str | None = None
        self._sizes = json.dumps(dataclasses.asdict(model.config.segmenter))
        for name in PARTS:
            setattr(segmenter, name, getattr(self, name))

    def encode(self, images_B3ss: Tensor) -> FrameFeatures:
        """`Segmenter.encode`."""
        plain = self._plain["encode"]
        found = self._run("encode", lambda: plain(images_B3ss), (images_B3ss,))
        return found if isinstance(found, FrameFeatures) else FrameFeatures(*found)

    def decode_prompted(
        self,
        features: FrameFeatures,
        prompts_BNC: Tensor,
        previous_logits: Tensor | None = None,
        multimask: bool | None = None,
    ) -> Decoded:
        """`Segmenter.decode_prompted`; torch runs it where there are earlier logits."""
        arguments = (features, prompts_BNC, previous_logits, multimask)
        plain = self._plain["decode_prompted"]
        if previous_logits is not None or multimask is not None:
            return plain(*arguments)
        tensors = (*_tensors(features), prompts_BNC)
        found = self._run("decode_prompted", lambda: plain(*arguments), tensors)
        return found if isinstance(found, Decoded) else Decoded(*found)

    def decode_tracked(
        self, features: FrameFeatures, read: MemoryRead, multimask: bool | None = None
    ) -> Decoded:
        """`Segmenter.decode_tracked`."""
        plain = self._plain["decode_tracked"]
        if multimask is not None:
            return plain(features, read, multimask)
        tensors = (*_tensors(features), *_tensors(read))
        found = self._run("decode_tracked", lambda: plain(features, read), tensors)
        return found if isinstance(found, Decoded) else Decoded(*found)

    def encode_memory(self, features: FrameFeatures, decoded: Decoded) -> MemoryEntry:
        """`Segmenter.encode_memory`."""
        plain = self._plain["encode_memory"]
        tensors = (features.s2, decoded.logits, decoded.object_score, decoded.pointer)
        found = self._run("encode_memory", lambda: plain(features, decoded), tensors)
        return found if isinstance(found, MemoryEntry) else MemoryEntry(*found, decoded.pointer)

    def _run(self, part: str, plain: Callable[[], Any], tensors: Sequence[Tensor]) -> Any:
        """The graph's tensors, of all rows of the batch; or what `plain` returns.

        An input of one row belongs to all rows.
        """
        try:
            made = [self._graph(part, some)(some) for some in _split(part, tensors)]
        except Exception as error:  # of torch, of onnx and of ONNX Runtime, of all kinds
            # What is wrong with the arguments is said here, and is no reason to give up.
            answer = plain()
            self._give_up(part, error)
            return answer
        return (
            made[0] if len(made) == 1 else [torch.cat(parts) for parts in zip(*made, strict=True)]
        )

    def _graph(self, part: str, tensors: Sequence[Tensor]) -> Graph:
        shapes = tuple((tensor.shape, tensor.dtype) for tensor in tensors)
        with self._making:
            graph = self._graphs.get((part, shapes))
            if graph is None:
                graph = self._graphs[part, shapes] = self._make(part, shapes)
                if part in SHARED:
                    self._make_ready(part, tensors)
        return graph

    def _make_ready(self, part: str, tensors: Sequence[Tensor]) -> None:
        """Makes the graphs for the other `ROWS` of queries, of which some will be asked for."""
        for rows in ROWS:
            shapes = tuple(
                (torch.Size([1 if place in SHARED[part] else rows, *t.shape[1:]]), t.dtype)
                for place, t in enumerate(tensors)
            )
            if (part, shapes) not in self._graphs:
                self._graphs[part, shapes] = self._make(part, shapes)

    def _make(self, part: str, shapes: tuple) -> Graph:
        self._made_with = self._made_with or _made_with(self._segmenter, self._sizes)
        module = _Part(self._segmenter, self._plain[part], _CALLS[part])
        inputs = [torch.ones(shape, dtype=dtype) for shape, dtype in shapes]
        key = hashlib.sha256(f"{self._made_with} {part} {shapes}".encode()).hexdigest()[:32]
        return graph_of(
            f"{part}-{key}",
            lambda: graphs.export(module, inputs),
            self._cache,
            torch.get_num_threads(),
        )

    def _give_up(self, part: str, error: Exception) -> None:
        reason = (" ".join(str(error).split()) or type(error).__name__)[:REASON]
        if self._strict:
            raise EngineError(f"engine onnx: {part} cannot be run ({reason})") from error
        if _owner(self._segmenter) is self:
            _leave(self._segmenter)
            _log.warning("%s cannot be run by onnxruntime, torch goes on: %s", part, reason)


class _Part(nn.Module):
    """A method of the segmenter as the exporter takes it: tensors in, tensors out."""

    def __init__(self, segmenter: nn.Module, method: Callable, call: Callable) -> None:
        super().__init__()
        self.segmenter = segmenter  # whose weights the graph holds
        self._method, self._call = method, call

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """`tensors` in the order of the engine's own methods."""
        return self._call(self._method, *tensors)


def _encode(method: Callable, images_B3ss: Tensor) -> tuple[Tensor, ...]:
    return _tensors(method(images_B3ss))


def _decode_prompted(
    method: Callable, s0: Tensor, s1: Tensor, s2: Tensor, prompts_BNC: Tensor
) -> tuple[Tensor, ...]:
    return _tensors(method(FrameFeatures(s0, s1, s2), prompts_BNC))


def _decode_tracked(
    method: Callable, s0: Tensor, s1: Tensor, s2: Tensor, *read: Tensor
) -> tuple[Tensor, ...]:
    return _tensors(method(FrameFeatures(s0, s1, s2), MemoryRead(*read)))


def _encode_memory(
    method: Callable, s2: Tensor, logits: Tensor, object_score: Tensor, pointer: Tensor
) -> tuple[Tensor, ...]:
    features = FrameFeatures(s2, s2, s2)  # of which only the last is read
    return (method(features, Decoded(logits, logits, object_score, object_score, pointer)).maps,)


_CALLS = dict(
    zip(PARTS, (_encode, _decode_prompted, _decode_tracked, _encode_memory), strict=True)
)


def _tensors(parts: FrameFeatures | Decoded | MemoryRead) -> tuple[Tensor, ...]:
    """A dataclass's tensors, in the order of its fields."""
    return tuple(value for value in vars(parts).values() if isinstance(value, Tensor))


def _split(part: str, tensors: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """Queries on one frame as batches of `ROWS`, frames one by one; one row goes with each."""
    queries = part in SHARED and all(len(tensors[place]) == 1 for place in SHARED[part])
    start, count = 0, max(len(tensor) for tensor in tensors)
    while start < count:
        rows = next(rows for rows in ROWS if rows <= count - start) if queries else 1
        yield [t if len(t) == 1 else t[start : start + rows] for t in tensors]
        start += rows


def _made_with(segmenter: nn.Module, sizes: str) -> str:
    """All that a graph depends on but its shapes: code, packages, sizes and weights."""
    ours = Path(feature_types.__file__).parent
    code = hashlib.sha256()
    for path in (*sorted(ours.glob("*.py")), Path(__file__), Path(inspect.getfile(graphs))):
        code.update(path.read_bytes())
    versions = [f"{package} {_version(package)}" for package in PACKAGES]
    return " ".join([code.hexdigest(), *versions, sizes, graphs.weights_hash(segmenter)])


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:  # installed in another way than pip's
        return "unknown"
