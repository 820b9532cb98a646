"""What a tracked frame costs, operator by operator: a trace to look at, and a table."""

from collections import Counter
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

from virst_model.bench.measure import Load, fill_window, stream_pictures
from virst_model.bench.waits import HostWaits
from virst_model.model.virst import Virst
from virst_model.stream.options import SessionOptions
from virst_model.stream.session import Session

FRAMES = 16  # a trace of more is slow to look at
NEVER = 1 << 20  # sampled frames until the next grounding
# The runtime's calls that begin a kernel, or a graph of them.
LAUNCHES = (
    *("cudaLaunchKernel", "cudaLaunchKernelExC", "cuLaunchKernel", "cuLaunchKernelEx"),
    "cudaGraphLaunch",
)
# Those that copy or fill memory, which is no kernel.
COPIES = ("cudaMemcpyAsync", "cudaMemcpy", "cudaMemsetAsync", "cuMemcpyAsync", "cuMemsetD8Async")


def profile_frames(model: Virst, load: Load, trace: Path | None = None) -> dict:
    """Follows `load` on a full window; no grounding falls into the frames that are looked at.

    Args:
        trace: where the trace is written, for chrome://tracing or Perfetto; None: nowhere.

    Returns:
        "operators": by name, calls and own milliseconds a frame, of the CPU and of a device;
        "launches a frame" of a device's kernels, and "copies a frame" beside them; "waits a
        frame" of the host, by name.
    """
    options = SessionOptions(sync=True, reground_every=NEVER, max_queries=load.queries)
    frames = min(load.frames, FRAMES)
    activities = [ProfilerActivity.CPU]
    if model.device.type == "cuda":
        activities.append(ProfilerActivity.CUDA)
    images = stream_pictures(load)
    with torch.inference_mode(), Session(model, options) as session:
        start = fill_window(session, images, load)

        def follow(first: int) -> None:
            for t in range(first, first + frames):
                session.step(images[t % len(images)], t / load.rate_hz)

        with HostWaits(model.device) as waits:
            follow(start)
        with profile(activities=activities) as profiler:
            follow(start + frames)
    if trace is not None:
        profiler.export_chrome_trace(str(trace))
    events = profiler.key_averages()
    return {
        "operators": {
            event.key: {
                "calls a frame": event.count / frames,
                "ms a frame": event.self_cpu_time_total / 1000 / frames,
                "device ms a frame": _device_us(event) / 1000 / frames,
            }
            for event in events
        },
        "launches a frame": sum(e.count for e in events if e.key in LAUNCHES) / frames,
        "copies a frame": sum(e.count for e in events if e.key in COPIES) / frames,
        "waits a frame": {
            name: count / frames for name, count in Counter(waits.names).most_common()
        },
    }


def profile_table(found: dict, most: int = 25) -> str:
    """For people: the operators that cost most, then launches and waits."""
    lines = ["| operator | calls a frame | ms a frame | device ms a frame |", "|---|---|---|---|"]
    operators = sorted(found["operators"].items(), key=lambda item: -sum(_times(item[1])))
    for name, numbers in operators[:most]:
        calls, times = numbers["calls a frame"], _times(numbers)
        lines.append(f"| {name} | {calls:.1f} | " + " | ".join(f"{t:.3f}" for t in times) + " |")
    total = sum(numbers["ms a frame"] for _, numbers in operators)
    calls = sum(n["calls a frame"] for name, n in operators if name.startswith("aten::"))
    waits = ", ".join(f"{name} {count:.2f}" for name, count in found["waits a frame"].items())
    return "\n".join(
        [
            *lines,
            "",
            f"operators a frame: {calls:.0f}, {total:.2f} ms",
            f"launches a frame: {found['launches a frame']:.0f}, and copies: "
            f"{found['copies a frame']:.0f}",
            f"waits of the host a frame: {waits or 'none'}",
        ]
    )


def _times(numbers: dict[str, float]) -> tuple[float, float]:
    return numbers["ms a frame"], numbers["device ms a frame"]


def _device_us(event: object) -> float:
    """Own microseconds on a device, by either of the names that torch has had for it."""
    for name in ("self_device_time_total", "self_cuda_time_total"):
        value = getattr(event, name, None)
        if value is not None:
            return value
    return 0.0
