"""Models from folders of weights, and back: `load` and `save`; and models without any yet."""

from collections.abc import Callable
import json
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer
import torch
from torch.overrides import TorchFunctionMode
from transformers.models.qwen2.modeling_qwen2 import Qwen2RotaryEmbedding

from virst_model.checkpoints.device import choose_device
from virst_model.checkpoints.folder import (
    CONFIG_FILE,
    TINY,
    WeightsError,
    read,
    read_config,
    save_state,
)
from virst_model.checkpoints.room import check_room, default_dtype
from virst_model.config import VirstConfig
from virst_model.configure import parse_config
from virst_model.dtypes import QUANTIZE
from virst_model.model import quantized
from virst_model.model.virst import Virst


def _tokenizer(folder: Path) -> Tokenizer:
    path = folder / "tokenizer.json"
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises bare Exception for a missing or damaged file
        raise WeightsError(path, str(error)) from None


def build(config: VirstConfig, seed: int = 0, tokenizer: Tokenizer | None = None) -> Virst:
    """A model with random weights; `tokenizer` defaults to the packaged tiny one.

    Raises PackageError as `load` does.
    """
    with torch.random.fork_rng(devices=[]):  # the weights are made on the CPU
        torch.manual_seed(seed)
        return Virst(config, tokenizer or _tokenizer(TINY)).eval()


def load(
    folder: str | Path | None = None,
    device: str = "cpu",
    dtype: torch.dtype | None = None,
    quantize: str = "off",
) -> Virst:
    """Loads a folder of config.json, model.safetensors (one file or several) and tokenizer.json.

    Args:
        folder: None is the packaged tiny model.
        device: where it runs, as `choose_device` takes it: "auto" is a GPU where there is one.
        dtype: by default bfloat16 on CUDA, and on a CPU of weights as large as the 7B's; else
            float32.
        quantize: "int8": the language model's weights are rounded to eight bits; or "off".

    Raises:
        WeightsError: the folder or a file is missing, damaged or of another model.
        PackageError: sam2, hydra-core or iopath is not installed.
        DeviceError: the device is not there, or has no room for the weights.
        ValueError: another `quantize`.
    """
    if quantize not in QUANTIZE:
        raise ValueError(f"quantize must be one of {', '.join(QUANTIZE)}, not {quantize!r}")
    device = choose_device(device)
    model = _read_model(Path(folder) if folder else TINY)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    dtype = dtype or default_dtype(parameters, device)
    check_room(weights_bytes(model, dtype, quantize), dtype, device)
    if quantize == "int8":
        quantized.quantize(model.vlm.llm)
    return settle(model, device, dtype)


def weights_bytes(model: Virst, dtype: torch.dtype, quantize: str = "off") -> int:
    """Bytes of a model's parameters once they are `dtype`, and its language model quantized.

    What is quantized by now is counted as it is.
    """
    kinds = ((p.numel(), p.is_floating_point(), p.itemsize) for p in model.parameters())
    whole = sum(count * (dtype.itemsize if real else size) for count, real, size in kinds)
    if quantize == "off":
        return whole
    return whole - quantized.squeezed(model.vlm.llm) * (dtype.itemsize - torch.int8.itemsize)


def load_stored(folder: str | Path | None = None) -> Virst:
    """As `load`, on the CPU, but each parameter in its file's dtype and mapped from it.

    It takes no memory of its own: processes on one machine share what they read of the file.
    """
    return settle(_read_model(Path(folder) if folder else TINY), "cpu", None)


def stored_config(folder: Path) -> VirstConfig:
    """The configuration of a folder, whose weights are not looked at.

    Raises:
        WeightsError: the folder or its config.json is missing, damaged or of another model.
    """
    return _configure(folder, read_config(folder))


def _configure(folder: Path, values: dict[str, Any]) -> VirstConfig:
    try:
        return parse_config(values)
    except ValueError as error:
        raise WeightsError(folder / CONFIG_FILE, str(error)) from None


def _read_model(folder: Path) -> Virst:
    values, state = read(folder)
    config = _configure(folder, values)
    tokenizer = _tokenizer(folder)
    try:
        model = empty(config, tokenizer)
    except (ArithmeticError, AssertionError, IndexError, RuntimeError, ValueError) as error:
        reason = f"its sizes do not fit together ({error})"
        raise WeightsError(folder / CONFIG_FILE, reason) from None
    try:
        missing, unexpected = model.load_state_dict(state, strict=False, assign=True)
    except RuntimeError as error:  # a shape
        reason = f"the weights are not those of {CONFIG_FILE}: {error}"
        raise WeightsError(folder, reason) from None
    if missing or unexpected:
        raise WeightsError(
            folder,
            f"the weights are not those of {CONFIG_FILE}: missing {missing[:3]}, "
            f"unexpected {unexpected[:3]} ({len(missing)} and {len(unexpected)} in all)",
        )
    return model


def empty(config: VirstConfig, tokenizer: Tokenizer) -> Virst:
    """A model whose parameters have names and shapes, but no memory yet (the meta device).

    Load weights with `assign=True`, then `settle` it.
    """
    with torch.device("meta"), _NumbersOnCpu():
        return Virst(config, tokenizer).eval()


def settle(model: Virst, device: str, dtype: torch.dtype | None) -> Virst:
    """Moves loaded weights to where they run, parameters as `dtype`, None each its own.

    Those of eight bits stay so.
    Tables of positions and pixel statistics stay float32: a rounded frequency turns a distant
    token by a wrong angle. (The release converts all but SAM 2's prompt encoder.)
    """
    for parameter in model.parameters():
        wanted = dtype if parameter.is_floating_point() else None
        parameter.data = parameter.data.to(device, wanted or parameter.dtype)
    llm = model.vlm.llm
    # What is not stored in files was not assigned either.
    llm.model.rotary_emb = Qwen2RotaryEmbedding(llm.config)
    for module in model.modules():
        for name, buffer in list(module.named_buffers(recurse=False)):
            # A new one: what reads a buffer whose data changed its type cannot be compiled.
            setattr(module, name, buffer.to(device, torch.float32))
    llm.tie_weights()
    return model


class _NumbersOnCpu(TorchFunctionMode):
    """Lets SAM 2's trunk, which reads its drop path rates from a tensor, be built without data."""

    def __torch_function__(
        self, function: Callable, types: Any, args: Any = (), kwargs: dict | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        if function is torch.linspace:
            kwargs["device"] = "cpu"
        return function(*args, **kwargs)


def save(model: Virst, folder: str | Path, dtype: torch.dtype | None = torch.float16) -> None:
    """Writes what `load` reads; `dtype` is that of the file, None each parameter's own.

    Raises:
        ValueError: the language model is quantized, which no file holds.
    """
    if quantized.is_quantized(model.vlm.llm):
        raise ValueError("a model that was loaded with quantize is not saved: load it without")
    folder = Path(folder)
    save_state(model.state_dict(), model.config.to_dict(), folder, dtype)
    (folder / "tokenizer.json").write_text(
        json.dumps(json.loads(model.tokenizer.to_str()), ensure_ascii=False, indent=1)
    )
