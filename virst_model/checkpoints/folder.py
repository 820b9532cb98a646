"""Folders of weights: config.json and model.safetensors, written whole and read lazily."""

from collections.abc import Iterable, Iterator, Mapping
import contextlib
import json
import math
import os
from pathlib import Path
import tempfile
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
import torch

from virst_model.errors import FileError
from virst_model.text_file import read_json

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
# The package's weights.
TINY = Path(__file__).parents[1] / "weights" / "tiny"
# Names the file of each tensor where the weights are in several.
INDEX_FILE = "model.safetensors.index.json"

_DTYPES = {
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}


class WeightsError(FileError):
    """A folder of weights cannot be used."""

    advice = (
        f"; give a folder with {CONFIG_FILE} and {WEIGHTS_FILE} that training or an import wrote, "
        "or no folder for the packaged model"
    )


def save_state(
    state: Mapping[str, torch.Tensor],
    config: Mapping[str, Any],
    folder: str | os.PathLike[str],
    dtype: torch.dtype | None,
) -> None:
    """Writes config.json and model.safetensors; floating point tensors become `dtype`, if any.

    The folder is made where it is missing. A file is replaced only once its successor is complete,
    so that a full disk or a kill leaves the old one.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: _stored(tensor, dtype) for name, tensor in state.items()}
    text = json.dumps(config, indent=2, ensure_ascii=False) + "\n"
    with _replacing(folder / WEIGHTS_FILE) as path:
        save_file(tensors, path, metadata={"format": "pt"})
    (folder / INDEX_FILE).unlink(missing_ok=True)
    with _replacing(folder / CONFIG_FILE) as path:
        path.write_text(text, encoding="utf-8")


def read(folder: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """The configuration and the state dict of a folder, on the CPU, in the file's dtype.

    The weights are in one file, as `save` writes them, or in those that an index names. Tensors
    are mapped from the files, not copied: what is not read takes no memory.

    Raises:
        WeightsError: the folder or a file is missing, unreadable or damaged, or a weight is no
            finite number.
    """
    folder = Path(folder)
    config = read_config(folder)
    state: dict[str, torch.Tensor] = {}
    for path in weight_files(folder):
        tensors = read_weights(path)
        for name, tensor in tensors.items():
            if not is_finite(tensor):
                raise WeightsError(path, f"{name} holds numbers that are not finite (NaN or inf)")
        state |= tensors
    return config, state


def is_finite(tensor: torch.Tensor) -> bool:
    """Whether all numbers are, read once through; those of integers are."""
    if not tensor.is_floating_point() or not tensor.numel():
        return True
    low, high = (tensor if tensor.element_size() > 1 else tensor.float()).aminmax()
    return bool(low.isfinite() and high.isfinite())


def read_config(folder: Path) -> dict[str, Any]:
    """The values of a folder's config.json.

    Raises:
        WeightsError: the folder or the file is missing, unreadable or damaged.
    """
    if not folder.is_dir():
        reason = "is not a folder" if folder.exists() else "no such folder"
        raise WeightsError(folder, reason)
    return read_object(folder / CONFIG_FILE)


def weight_files(folder: Path) -> list[Path]:
    """The files that a folder's weights are in: those of its index, else the one file.

    Raises:
        WeightsError: the index is unreadable, or names a file outside of the folder.
    """
    if not (folder / INDEX_FILE).exists():
        return [folder / WEIGHTS_FILE]
    files = read_object(folder / INDEX_FILE).get("weight_map")
    if not isinstance(files, dict) or not files:
        raise WeightsError(folder / INDEX_FILE, "has no weight_map")
    names = sorted({str(name) for name in files.values()})
    for name in names:
        if Path(name).name != name:
            raise WeightsError(folder / INDEX_FILE, f"names the file {name!r}, which is elsewhere")
    return [folder / name for name in names]


def write_tensors(
    path: Path,
    layout: Mapping[str, tuple[torch.dtype, tuple[int, ...]]],
    tensors: Iterable[torch.Tensor],
) -> None:
    """Writes a safetensors file while the tensors are made: one is in memory at a time.

    The library's own writer needs all of them at once.

    Args:
        path: the file.
        layout: dtype and shape of each tensor, by name, in the order in which they come.
        tensors: as the layout says.
    """
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, (dtype, shape) in layout.items():
        start, end = end, end + dtype.itemsize * math.prod(shape)
        header[name] = {
            "dtype": _DTYPES[dtype],
            "shape": list(shape),
            "data_offsets": [start, end],
        }
    text = json.dumps(header, ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for tensor, (name, (dtype, shape)) in zip(tensors, layout.items(), strict=True):
            if (tensor.dtype, tuple(tensor.shape)) != (dtype, tuple(shape)):
                raise ValueError(
                    f"{name} is {tensor.dtype} {tuple(tensor.shape)}, not as laid out"
                )
            file.write(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)


def _stored(tensor: torch.Tensor, dtype: torch.dtype | None) -> torch.Tensor:
    target = dtype if dtype and tensor.is_floating_point() else tensor.dtype
    # A copy each: safetensors refuses tensors that share memory, as tied embeddings do.
    return tensor.detach().to("cpu", target, copy=True).contiguous()


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}-") as folder:
        part = Path(folder) / path.name
        yield part
        os.replace(part, path)


def read_object(path: Path) -> dict[str, Any]:
    """A JSON object; WeightsError where the file is missing, unreadable or something else."""
    try:
        config = read_json(path)
    except FileError as error:
        reason = error.reason.replace("No such file or directory", "no such file")
        raise WeightsError(path, reason) from None
    if not isinstance(config, dict):
        raise WeightsError(path, f"holds a JSON {type(config).__name__}, not an object")
    return config


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """Tensors of a safetensors file, mapped; WeightsError where it is missing or damaged."""
    try:
        return load_file(path)
    except FileNotFoundError:
        raise WeightsError(path, "no such file") from None
    except OSError as error:
        raise WeightsError(path, f"cannot be read ({error.strerror or error})") from error
    except SafetensorError as error:
        raise WeightsError(path, f"is damaged or incomplete ({error})") from error
