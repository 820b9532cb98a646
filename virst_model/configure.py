"""The one place that checks a configuration from a file: types, ranges, and what goes together."""

from collections.abc import Mapping
import dataclasses
from typing import Any, get_args, get_origin

from virst_model.config import (
    CLIP_FRAMES,
    MOST_ALPHA,
    BehaviourConfig,
    FusionConfig,
    LlmConfig,
    SegmenterConfig,
    TomeConfig,
    UmtConfig,
    VirstConfig,
)

KINDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
WIDTH, HEADS, LAYERS, SIDE = (1, 2**17), (1, 256), (1, 256), (16, 4096)
# The least and the most that each number may be, far around what was ever trained: what lies
# outside is no model, and building it would take all memory, or divide by 0.
LIMITS: dict[type, dict[str, tuple[float, float]]] = {
    UmtConfig: {
        "side": SIDE,
        "patch": (1, 64),
        "dim": WIDTH,
        "depth": LAYERS,
        "heads": HEADS,
        "clip_frames": (CLIP_FRAMES, CLIP_FRAMES),
        "mlp_ratio": (0.01, 64),
        "base_grid": (1, 256),
        "base_frames": (1, 64),
        "stem": WIDTH,
    },
    TomeConfig: {"heads": HEADS, "tokens": (1, 2**16), "pairs": (0, 2**16)},
    LlmConfig: {
        **dict.fromkeys(("hidden", "intermediate"), WIDTH),
        "layers": LAYERS,
        "heads": HEADS,
        "kv_heads": HEADS,
        "vocab": (1, 2**22),
        "rope_theta": (1, 1e12),
        "rms_eps": (0, 0.1),
        "init_std": (0, 100),
        "max_length": (256, 2**24),
    },
    FusionConfig: {"grid": (1, 256), "heads": HEADS, "layers": LAYERS, "dropout": (0, 0.99)},
    SegmenterConfig: {
        **dict.fromkeys(("embed_dim", "dim", "memory_dim", "iou_head_hidden"), WIDTH),
        **dict.fromkeys(("memory_feedforward", "decoder_feedforward"), WIDTH),
        "side": SIDE,
        "num_heads": HEADS,
        "stages": LAYERS,
        "memory_layers": LAYERS,
        "global_att_blocks": (0, 1024),
        "window_spec": (1, 256),
        "window_pos_embed_bkg": (1, 256),
        "memory_dropout": (0, 0.99),
        "num_maskmem": (2, 64),
        "fuser_scale": (0, 100),
    },
    BehaviourConfig: {
        "alpha": (1, MOST_ALPHA),
        "max_pointers": (1, 4096),
        "vlm_frames": (CLIP_FRAMES, 2**16),
        "stf_frames": (1, 2**16),
    },
    VirstConfig: {},
}
# How many values a list may have; any number where it is not here.
LENGTHS = {"stem": (0, 6), "stages": (4, 4), "window_spec": (4, 4), "window_pos_embed_bkg": (2, 2)}
# Of texts that are one of a few; BehaviourConfig and UmtConfig look after their own.
CHOICES = {"second": ("attention", "mlp"), "name": ("paper", "released")}


def parse_config(values: Mapping[str, Any]) -> VirstConfig:
    """The configuration of such a dict as `to_dict` gives; what is left out has its default.

    Raises:
        ValueError: a key that is unknown or missing, a value of another type or out of its range,
            or values that do not go together; it names the field and the value.
    """
    config = _build(VirstConfig, values, "")
    check_config(config)
    return config


def check_config(config: VirstConfig) -> None:
    """Raises ValueError for values that only fail, or mean nothing, once the model runs.

    What the model's own parts refuse when they are built is theirs to say.
    """
    umt, llm, segmenter = config.umt, config.llm, config.segmenter
    multiples = (
        ("umt.side", umt.side, "umt.patch", umt.patch),
        ("umt.dim", umt.dim, "tome.heads", config.tome.heads),
        ("umt.dim", umt.dim, "a sine and a cosine", 2),
        ("llm.hidden", llm.hidden, "llm.heads", llm.heads),
        ("llm.hidden / llm.heads", llm.hidden // llm.heads, "pairs that are rotated", 2),
        ("llm.heads", llm.heads, "llm.kv_heads", llm.kv_heads),
        ("segmenter.side", segmenter.side, "SAM 2's strides", 32),
        ("segmenter.side / 4", segmenter.side // 4, "its first window", segmenter.window_spec[0]),
        ("segmenter.embed_dim", segmenter.embed_dim, "its num_heads", segmenter.num_heads),
        ("segmenter.dim", segmenter.dim, "heads of SAM 2's decoder", 16),
        ("segmenter.dim", segmenter.dim, "its memory_dim", segmenter.memory_dim),
        ("segmenter.memory_dim", segmenter.memory_dim, "a sine and a cosine of x and y", 4),
    )
    for name, value, of, part in multiples:
        if value % part:
            raise ValueError(f"{name} is {value}, must be a multiple of {part} ({of})")


def _build(kind: type, values: Mapping[str, Any], where: str) -> Any:
    fields = {f.name: f for f in dataclasses.fields(kind)}
    unknown = sorted(set(values) - set(fields))
    if unknown:
        within = f" of {where.rstrip('.')}" if where else ""
        raise ValueError(f"unknown key {unknown[0]!r}{within}; known are {', '.join(fields)}")
    for name, field in fields.items():
        needed = dataclasses.MISSING is field.default is field.default_factory
        if needed and name not in values:
            raise ValueError(f"{where}{name} is not there")
    limits = LIMITS[kind]
    return kind(
        **{
            name: _read(fields[name].type, value, f"{where}{name}", limits.get(name))
            for name, value in values.items()
        }
    )


def _read(kind: Any, value: Any, where: str, limits: tuple[float, float] | None) -> Any:
    """The value of a field of type `kind`; a list becomes a tuple, each of its values checked."""
    if dataclasses.is_dataclass(kind):
        if not isinstance(value, dict):
            raise ValueError(f"{where} is {_shown(value)}, must be an object of its fields")
        return _build(kind, value, f"{where}.")
    if get_origin(kind) is tuple:
        return _read_list(kind, value, where, limits)
    numbers = (int, float) if kind is float else (kind,)
    if type(value) not in numbers:
        raise ValueError(f"{where} is {_shown(value)}, must be {KINDS[kind]}")
    if limits is not None and not limits[0] <= value <= limits[1]:  # NaN is in no range
        raise ValueError(f"{where} is {_shown(value)}, must be {limits[0]:g} to {limits[1]:g}")
    known = CHOICES.get(where.rpartition(".")[2], (value,)) if kind is str else (value,)
    if value not in known:
        raise ValueError(f"{where} is {_shown(value)}; known are {', '.join(known)}")
    return kind(value)


def _read_list(kind: Any, value: Any, where: str, limits: tuple[float, float] | None) -> tuple:
    if not isinstance(value, (list, tuple)):
        raise ValueError(f"{where} is {_shown(value)}, must be a list")
    least, most = LENGTHS.get(where.rpartition(".")[2], (0, len(value)))
    if not least <= len(value) <= most:
        wanted = f"{least}" if least == most else f"{least} to {most}"
        raise ValueError(f"{where} has {len(value)} values, must have {wanted}")
    element = get_args(kind)[0]
    return tuple(_read(element, v, f"{where}[{i}]", limits) for i, v in enumerate(value))


def _shown(value: Any, most: int = 60) -> str:
    """A value of a file in one short line."""
    if isinstance(value, (list, dict)):
        return f"a {'list' if isinstance(value, list) else 'JSON object'}"
    text = repr(value) if not isinstance(value, int) or abs(value) < 10**18 else "a huge number"
    return text if len(text) <= most else f"{text[:most]}..."
