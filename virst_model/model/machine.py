"""What a measurement was made on, and how much of it was used."""

import contextlib
from pathlib import Path
import platform
import re
import resource
import sys
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from virst_model.model.memory import Memory
from virst_model.model.tracking import track_anchor, track_frame
from virst_model.model.virst import Virst
from virst_model.processor import processor_name

# Dense peak in TFLOP/s of bfloat16 (NVIDIA's data sheets), by a part of the device's name.
PEAK_TFLOPS = {"H200": 989.0, "H100": 989.0, "A100": 312.0, "L40S": 362.0, "RTX 4090": 165.0}
# torch's kernels of attention; not every version has all.
ATTENTIONS = (
    "_scaled_dot_product_flash_attention",
    "_scaled_dot_product_efficient_attention",
    "_scaled_dot_product_cudnn_attention",
    "_scaled_dot_product_flash_attention_for_cpu",
)


def measured_on(model: Virst) -> dict[str, object]:
    """Name -> value of what a measurement depends on, for JSON and for a line of text.

    "device", "dtype", "torch" and "python"; on a CPU also "threads" of torch.
    """
    facts: dict[str, object] = {
        "device": device_name(model.device),
        "dtype": str(model.dtype).removeprefix("torch."),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }
    if model.device.type == "cpu":
        facts["threads"] = torch.get_num_threads()
    return facts


def device_name(device: torch.device) -> str:
    """The GPU's name, or the processor's, as the system has it; empty where it has none."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return processor_name()


def attention_flop(
    query: tuple[int, ...], key: tuple[int, ...], value: tuple[int, ...], *rest: Any, **kwargs: Any
) -> int:
    """Of shapes (B, heads, L, width), where keys may have fewer heads than queries.

    torch's own count refuses those, which some of its GPU kernels take as they are.
    """
    batch, heads, length, width = query
    return 2 * batch * heads * length * key[-2] * (width + value[-1])


def _counter() -> FlopCounterMode:
    known = (getattr(torch.ops.aten, name, None) for name in ATTENTIONS)
    counted = {kernel: attention_flop for kernel in known if kernel is not None}
    return FlopCounterMode(display=False, custom_mapping=counted)


def reset_peak(device: torch.device) -> None:
    """Begins `peak_mib` anew; on a CPU where the system can (Linux), else it goes on."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    else:
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")


def peak_mib(device: torch.device) -> float:
    """MiB at most since `reset_peak`: allocated on a GPU; of the whole process on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    status = Path("/proc/self/status")
    high_water = re.search(r"VmHWM:\s+(\d+)", status.read_text()) if status.exists() else None
    if high_water:
        return int(high_water[1]) / 2**10
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


@torch.inference_mode()
def work(model: Virst, window: int = 32) -> dict[str, float]:
    """GFLOP of a tracked frame, of a clip, and of a grounding on a window with known clips."""
    side = model.config.segmenter.side
    image = np.zeros((side, side, 3), np.uint8)
    counted = {}
    with _counter() as counter:
        features = model.encode_frame(image)
    encode = counter.get_total_flops()
    with _counter() as counter:
        tokens = model.encode_clip([model.clip_pixels(image)] * 4)
    counted["clip"] = counter.get_total_flops() / 1e9
    with _counter() as counter:
        prompts_TNC = model.ground([tokens] * (window // 4), [features] * window, "the red circle")
    counted["grounding"] = counter.get_total_flops() / 1e9
    memory = Memory(model.config)
    track_anchor(model, 0, features, prompts_TNC[0], memory)
    with _counter() as counter:
        track_frame(model, 1, features, [memory])
    counted["frame"] = (encode + counter.get_total_flops()) / 1e9
    return counted


def share_of_peak(device: str, gflop: float, seconds: float) -> float | None:
    """Percent of the device's peak; None where that is not known here."""
    for name, tflops in PEAK_TFLOPS.items():
        if name in device and seconds > 0:
            return 100 * gflop / 1e3 / seconds / tflops
    return None
