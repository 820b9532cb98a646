"""What a model takes of a device's memory, estimated: tensors are counted, none is made.

The parts of the model run on shapes alone (torch's meta device). Not counted: the device's own
context, libraries' work space, and what the allocator keeps of memory that is free.
"""

from collections.abc import Callable
from typing import Any
import weakref

from tokenizers import Tokenizer
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from virst_model.checkpoints.load import TINY, empty, settle
from virst_model.config import CLIP_FRAMES, ST_TOKENS, VirstConfig
from virst_model.model.features import Decoded, FrameFeatures, MemoryEntry, MemoryRead
from virst_model.model.quantized import quantize
from virst_model.model.virst import Virst
from virst_model.stream.captured import rows_for
from virst_model.stream.options import ANCHORS, SessionOptions
from virst_model.stream.pending import AT_ONCE
from virst_model.stream.track import Pace

# Words of a conversation about a window: a template, the sentence, [ST] and the answer.
WORDS = 128
MIB = 2**20


class LiveBytes(TorchDispatchMode):
    """Within its block: bytes of the tensors that were made in it, `now` and at the `peak`."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._known: dict[int, weakref.ref] = {}

    def __torch_dispatch__(
        self, operator: Any, types: Any, arguments: tuple = (), named: dict | None = None
    ) -> Any:
        given = {_place(x) for x in _tensors((arguments, named))}
        made = operator(*arguments, **(named or {}))
        for tensor in _tensors(made):
            if _place(tensor) not in given and _place(tensor) not in self._known:
                self._count(tensor.untyped_storage())
        return made

    def _count(self, storage: torch.UntypedStorage) -> None:
        place, size = storage._cdata, storage.nbytes()

        def forget(_: weakref.ref) -> None:
            self.now -= size
            self._known.pop(place, None)

        self._known[place] = weakref.ref(storage, forget)
        self.now += size
        self.peak = max(self.peak, self.now)


class _FusedAttention(TorchFunctionMode):
    """Attention as a GPU has it: nothing of the size of queries times keys is made."""

    def __torch_function__(
        self, function: Callable, types: Any, arguments: tuple = (), named: dict | None = None
    ) -> Any:
        if function is torch.nn.functional.scaled_dot_product_attention:
            given = dict(zip(("query", "key", "value"), arguments)) | (named or {})
            query = given["query"]
            return query.new_empty((*query.shape[:-1], given["value"].shape[-1]))
        return function(*arguments, **(named or {}))


def footprint(
    config: VirstConfig,
    dtype: torch.dtype,
    queries: int,
    graphs: bool = False,
    quantized: str = "off",
    options: SessionOptions | None = None,
) -> dict[str, float]:
    """MiB of a stream on a full window with so many queries, by what takes them, and "all".

    "weights"; "window", of the frames that are kept and what was made of them; "queries", their
    memories; "frame" and "grounding", what the work on each takes at most, as both go on at once;
    "graphs", where frames are run by the engine of that name, for so many queries.
    """
    options = options or SessionOptions()
    model = empty(config, Tokenizer.from_file(str(TINY / "tokenizer.json")))
    if quantized == "int8":
        quantize(model.vlm.llm)
    model = settle(model, "meta", dtype)
    weights = [*model.parameters(), *model.buffers()]
    with torch.inference_mode(), _FusedAttention():
        frame = _Frame(model, queries)
        clips = options.window_size // CLIP_FRAMES
        pooled = model.pool([frame.features] * CLIP_FRAMES)
        clip_pixels = _made(model, 3, config.umt.side, config.umt.side)
        tokens = model.encode_clip([clip_pixels] * CLIP_FRAMES)
        # The clip that is being filled, too.
        kept = options.window_size + CLIP_FRAMES
        window = kept * _bytes(frame.features, clip_pixels) + clips * _bytes(tokens, pooled)
        found = {
            "weights": _bytes(weights),
            "window": window,
            "queries": queries * _of_a_query(model, frame, options.window_size),
            "frame": frame.peak,
            "grounding": _grounding(model, frame.features, clips),
        }
    if graphs:
        found["graphs"] = _graphs(model, queries)
    found = {name: bytes_ / MIB for name, bytes_ in found.items()}
    return found | {"all": sum(found.values())}


def estimate_table(found: dict[str, dict[str, float]]) -> str:
    """For people: a column for each number of queries."""
    lines = ["| |" + "|".join(f" {count} queries " for count in found) + "|"]
    lines.append("|---" * (len(found) + 1) + "|")
    for name in next(iter(found.values())):
        cells = [f" {of[name]:.0f} " for of in found.values()]
        lines.append(f"| {name} |" + "|".join(cells) + "|")
    return "\n".join(lines) + "\n"


class _Frame:
    """A frame that is encoded, tracked and remembered for so many queries, by its shapes."""

    features: FrameFeatures
    decoded: Decoded
    entry: MemoryEntry

    def __init__(self, model: Virst, queries: int) -> None:
        side = model.config.segmenter.side
        with LiveBytes() as live:
            self.features = model.segmenter.encode(_made(model, 1, 3, side, side))
            self.read = _read(model, queries)
            self.decoded = model.segmenter.decode_tracked(self.features, self.read)
            self.entry = model.encode_memory(self.features, self.decoded)
        self.peak = live.peak


def _read(model: Virst, queries: int) -> MemoryRead:
    """With all slots, of which a mask would take nothing to speak of."""
    sizes, behaviour = model.config.segmenter, model.config.behaviour
    slots = behaviour.alpha + sizes.num_maskmem - 1
    pointers = behaviour.alpha + behaviour.max_pointers - 1
    return MemoryRead(
        _made(model, queries, slots, sizes.grid**2, sizes.memory_dim),
        torch.empty(queries, slots, dtype=torch.bool, device=model.device),
        _made(model, queries, pointers, sizes.dim),
        torch.empty(queries, pointers, dtype=torch.bool, device=model.device),
        torch.empty(queries, pointers, device=model.device),
        complete=True,
    )


def _of_a_query(model: Virst, frame: _Frame, window: int) -> int:
    """Anchors, recent frames, and masks of two windows for the comparison with answers."""
    sizes, pointers = model.config.segmenter, model.config.behaviour.max_pointers - 1
    maps, pointer = (_bytes(x[:1].clone()) for x in (frame.entry.maps, frame.entry.pointer))
    masks = 2 * window * frame.decoded.logits[0].numel()
    return (ANCHORS + sizes.num_maskmem - 1) * maps + (ANCHORS + pointers) * pointer + masks


def _grounding(model: Virst, features: FrameFeatures, clips: int) -> int:
    """A clip that is seen, the language model's reading in two parts, and the fusion."""
    config = model.config
    with LiveBytes() as live:
        model.encode_clip([_made(model, 3, config.umt.side, config.umt.side)] * CLIP_FRAMES)
    clip = live.peak
    with LiveBytes() as live:
        pooled = model.pool([features] * (clips * CLIP_FRAMES))
        prefix = model.vlm.read(_made(model, 1, clips * config.tome.tokens, config.llm.hidden))
        hidden = model.vlm.hidden_after(prefix, _made(model, 1, WORDS, config.llm.hidden))
        model.second_fusion.fuse(hidden[:, :10], pooled.second[None])
    return max(clip, live.peak)


def _graphs(model: Virst, queries: int) -> int:
    """Places that are read and written, of each number of rows, and one pool for the work."""
    taken = pool = 0
    with torch.inference_mode(), _FusedAttention():
        for rows in rows_for(queries):
            frame = _Frame(model, rows)
            pool = max(pool, frame.peak)
            tracked = _bytes(frame.features, frame.read, frame.decoded)
            memory = _bytes(frame.features.s2, frame.decoded, frame.entry)
            taken += 2 * tracked + memory  # with a mask and without
        for rows in rows_for(min(AT_ONCE, Pace.anchors * queries)):
            places, peak = _anchors(model, frame.features, rows)
            pool = max(pool, peak)
            taken += places
    side = model.config.segmenter.side
    return taken + pool + _bytes(frame.features, _made(model, 1, 3, side, side))


def _anchors(model: Virst, features: FrameFeatures, rows: int) -> tuple[int, int]:
    """Of so many anchors as one batch: places that are read and written, and the work's peak."""
    with LiveBytes() as live:
        joined = FrameFeatures.join([features] * rows)
        prompts_BNC = _made(model, rows, ST_TOKENS, model.config.segmenter.dim)
        decoded = model.decode_anchors(joined, prompts_BNC)
        entry = model.encode_memory(joined, decoded)
    # A graph that decodes, and one that encodes; those of one anchor are a query's.
    encoding = 0 if rows == 1 else _bytes(joined.s2, decoded, entry)
    return _bytes(joined, prompts_BNC, decoded) + encoding, live.peak


def _made(model: Virst, *shape: int) -> Tensor:
    return torch.empty(shape, dtype=model.dtype, device=model.device)


def _place(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata


def _bytes(*parts: Any) -> int:
    """Of tensors, in lists and in dataclasses, those of one memory counted once."""
    storages = {_place(t): t.untyped_storage().nbytes() for t in _tensors(parts)}
    return sum(storages.values())


def _tensors(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, (list, tuple)):
        return [tensor for part in value for tensor in _tensors(part)]
    if isinstance(value, dict):
        return _tensors(tuple(value.values()))
    return _tensors(vars(value)) if hasattr(value, "__dataclass_fields__") else []
