"""How long a frame takes, alone and beside the language model, and how often it is waited for."""

import dataclasses
import time

import numpy as np
import torch

from virst_model.bench.measure import Load, fill_window, stream_pictures
from virst_model.bench.profile import NEVER, profile_frames
from virst_model.config import CLIP_FRAMES
from virst_model.model.virst import Virst
from virst_model.stream.options import SessionOptions
from virst_model.stream.session import Session

# Frames in a row without an answer on its way, after which none is due.
QUIET = 4


def pace(model: Virst, load: Load) -> dict[str, float]:
    """Of `load.frames` frames as fast as they go, each of which the window takes.

    Returns:
        frame_ms p50, p99: while nothing is grounded; "beside groundings": where the language model
            is asked again after every fourth frame; "groundings": how many answers came meanwhile.
        launches, waits: a frame, of a device's kernels and graphs, and of the host for the device;
            with the engine onnx every tensor that is handed to it or back counts as one.
    """
    period_s = 1 / load.rate_hz
    options = SessionOptions(window_period_s=period_s, max_queries=load.queries)
    found: dict[str, float] = {}
    for every, beside in ((NEVER, ""), (CLIP_FRAMES, " beside groundings")):
        times_ms, answers = _frames(
            model, load, dataclasses.replace(options, reground_every=every), quiet=not beside
        )
        p50, p99 = np.percentile(times_ms, (50, 99)).tolist()
        found |= {f"frame_ms p50{beside}": p50, f"frame_ms p99{beside}": p99}
    counted = profile_frames(model, load)
    return found | {
        "groundings": answers,
        "launches": counted["launches a frame"],
        "copies": counted["copies a frame"],
        "waits": sum(counted["waits a frame"].values()),
    }


@torch.inference_mode()
def _frames(
    model: Virst, load: Load, options: SessionOptions, quiet: bool
) -> tuple[list[float], float]:
    """Milliseconds of each frame, and how many answers were taken; `quiet`: once none is due."""
    images = stream_pictures(load)
    with Session(model, options) as session:
        t = fill_window(session, images, load)
        since = 0
        while quiet and since < QUIET:
            session.step(images[t % len(images)], t / load.rate_hz)
            busy = any(track.grounding or track.takes_in for track in session.tracks)
            since, t = 0 if busy else since + 1, t + 1
        before = session.stats()["groundings"]
        times_ms = []
        for now in range(t, t + load.frames):
            start_s = time.perf_counter()
            session.step(images[now % len(images)], now / load.rate_hz)
            # Masks are on the CPU by now; a device may still be at their memory.
            times_ms.append(1000 * (time.perf_counter() - start_s))
        return times_ms, session.stats()["groundings"] - before
