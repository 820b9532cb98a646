"""Names of the released checkpoint, and folders of our own weights.

The release is VIRST's `VirstForCausalLM` without LoRA (what is left of a merged checkpoint once
`base_model.model.` is stripped).
"""

from collections.abc import Iterator, Mapping
import contextlib
import json
import os
from pathlib import Path
import tempfile
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
import torch

CONFIG = "config.json"
WEIGHTS = "model.safetensors"

# (ours, released): a bijection, since no prefix of either column starts another of that column.
# Below its prefix a name is the same on both sides.
_PREFIXES = (
    ("vlm.llm.model.embed_tokens.", "model.embed_tokens."),
    ("vlm.llm.model.layers.", "model.layers."),
    ("vlm.llm.model.norm.", "model.norm."),
    ("vlm.llm.lm_head.", "lm_head."),
    ("vlm.umt.", "model.vision_tower.vision_tower.encoder."),
    ("vlm.projector.", "model.mm_projector."),
    ("initial_fusion.", "model.initial_seg_fusion_module."),
    ("second_fusion.", "model.seg_prompter."),
    ("segmenter.", "model.seg_model."),
    ("occ_predictor.", "model.occ_predictor."),
)


class WeightsError(Exception):
    """A folder of weights cannot be used. `str()` is one line: the path, why, what to do."""

    def __init__(self, path: str | os.PathLike[str], reason: str) -> None:
        self.path = Path(path)
        self.reason = " ".join(reason.split())
        super().__init__(path, reason)

    def __str__(self) -> str:
        return (
            f"{self.path}: {self.reason}; give a folder with {CONFIG} and {WEIGHTS} "
            "that training wrote, or no folder for the packaged model"
        )


def to_released(name: str) -> str:
    """Our parameter name -> the released one; KeyError where there is none."""
    return _swap(name, 0)


def from_released(name: str) -> str:
    """The released parameter name -> ours; KeyError where there is none."""
    return _swap(name, 1)


def from_released_state(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """A released state dict, or a part of one, under our names; no tensor is copied."""
    return {from_released(name): tensor for name, tensor in state.items()}


def save(
    state: Mapping[str, torch.Tensor],
    config: Mapping[str, Any],
    folder: str | os.PathLike[str],
    dtype: torch.dtype,
) -> None:
    """Writes config.json and model.safetensors; floating point tensors become `dtype`.

    The folder is made where it is missing. A file is replaced only once its successor is complete,
    so that a full disk or a kill leaves the old one.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: _stored(tensor, dtype) for name, tensor in state.items()}
    text = json.dumps(config, indent=2, ensure_ascii=False) + "\n"
    with _replacing(folder / WEIGHTS) as path:
        save_file(tensors, path, metadata={"format": "pt"})
    with _replacing(folder / CONFIG) as path:
        path.write_text(text, encoding="utf-8")


def read(folder: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """What `save` wrote: the configuration and the state dict, on the CPU, in the file's dtype.

    Raises:
        WeightsError: the folder or a file is missing, unreadable or damaged.
    """
    folder = Path(folder)
    if not folder.is_dir():
        reason = "is not a folder" if folder.exists() else "no such folder"
        raise WeightsError(folder, reason)
    return _read_config(folder / CONFIG), _read_weights(folder / WEIGHTS)


def _swap(name: str, side: int) -> str:
    for prefixes in _PREFIXES:
        if name.startswith(prefixes[side]):
            return prefixes[1 - side] + name[len(prefixes[side]) :]
    raise KeyError(f"no rule for the parameter {name!r}")


def _stored(tensor: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    target = dtype if tensor.is_floating_point() else tensor.dtype
    # A copy each: safetensors refuses tensors that share memory, as tied embeddings do.
    return tensor.detach().to("cpu", target, copy=True).contiguous()


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}-") as folder:
        part = Path(folder) / path.name
        yield part
        os.replace(part, path)


def _read_config(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise WeightsError(path, "no such file") from None
    except OSError as error:
        raise WeightsError(path, f"cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise WeightsError(path, f"is not JSON ({error})") from error
    if not isinstance(config, dict):
        raise WeightsError(path, f"holds a JSON {type(config).__name__}, not an object")
    return config


def _read_weights(path: Path) -> dict[str, torch.Tensor]:
    try:
        return load_file(path)
    except FileNotFoundError:
        raise WeightsError(path, "no such file") from None
    except OSError as error:
        raise WeightsError(path, f"cannot be read ({error.strerror or error})") from error
    except SafetensorError as error:
        raise WeightsError(path, f"is damaged or incomplete ({error})") from error
