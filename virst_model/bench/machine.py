"""What a measurement was made on, and how much of it was used."""

import platform

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from virst_model.memory import Memory
from virst_model.virst import Virst

# Dense peak in TFLOP/s of bfloat16 (NVIDIA's data sheets), by a part of the device's name.
PEAK_TFLOPS = {"H200": 989.0, "H100": 989.0, "A100": 312.0, "L40S": 362.0, "RTX 4090": 165.0}


def machine(model: Virst) -> dict[str, object]:
    """Processor or GPU, threads, versions and numbers."""
    found = {
        "device": device_name(model.device),
        "dtype": str(model.dtype).removeprefix("torch."),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }
    if model.device.type == "cpu":
        found["threads"] = torch.get_num_threads()
    return found


def device_name(device: torch.device) -> str:
    """The GPU's name, or the processor's."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    try:
        with open("/proc/cpuinfo") as lines:
            names = [line.split(":", 1)[1].strip() for line in lines if "model name" in line]
    except OSError:
        names = []
    return names[0] if names else platform.processor()


@torch.inference_mode()
def work(model: Virst, window: int = 32) -> dict[str, float]:
    """GFLOP of a tracked frame, of a clip, and of a grounding on a window with known clips."""
    side = model.config.segmenter.side
    image = np.zeros((side, side, 3), np.uint8)
    counted = {}
    with FlopCounterMode(display=False) as counter:
        features = model.encode_frame(image)
    encode = counter.get_total_flops()
    with FlopCounterMode(display=False) as counter:
        tokens = model.encode_clip([model.clip_pixels(image)] * 4)
    counted["clip"] = counter.get_total_flops() / 1e9
    with FlopCounterMode(display=False) as counter:
        prompts = model.ground([tokens] * (window // 4), [features] * window, "the red circle")
    counted["grounding"] = counter.get_total_flops() / 1e9
    memory = Memory(model.config)
    memory.write_anchor(
        0, model.encode_memory(features, model.decode_anchor(features, prompts[0]))
    )
    with FlopCounterMode(display=False) as counter:
        decoded = model.propagate(features, [memory.read(1)])
        model.encode_memory(features, decoded)
    counted["frame"] = (encode + counter.get_total_flops()) / 1e9
    return counted


def share_of_peak(device: str, gflop: float, seconds: float) -> float | None:
    """Percent of the device's peak; None where that is not known here."""
    for name, tflops in PEAK_TFLOPS.items():
        if name in device and seconds > 0:
            return 100 * gflop / 1e3 / seconds / tflops
    return None
