"""Measures a model on a stream of camera frames and on whole videos."""

from collections.abc import Sequence
from dataclasses import dataclass
import time
from typing import Protocol

import numpy as np
import torch

from virst_model.answer import TRACKING, Query, StepResult
from virst_model.bench.parts import Stopwatch, listening
from virst_model.frames import ImageArrays
from virst_model.model.machine import peak_mib
from virst_model.model.virst import Virst
from virst_model.offline.video import segment_video
from virst_model.stream.options import SessionOptions
from virst_model.stream.session import Session
from virst_model.synthetic.scenes import DEMO_QUERIES, demo_scene

# Pictures that a stream repeats, back and forth: drawing them is no part of the time.
REPEATED_PICTURES = 48


@dataclass(frozen=True)
class Load:
    """What is asked of the model.

    Attributes:
        height, width: of the camera's frames.
        frames: measured, after the warm-up.
        rate_hz: of the camera.
        queries: how many sentences at a time, 1..16.
        reground, reground_after_s: of the stream, as SessionOptions has them.
    """

    height: int = 480
    width: int = 640
    frames: int = 150
    rate_hz: float = 15.0
    queries: int = 1
    reground: str = SessionOptions.reground
    reground_after_s: float = SessionOptions.reground_after_s


def stream_pictures(load: Load) -> list[np.ndarray]:
    """The stream's pictures, uint8 RGB; the same for the same load."""
    scene = demo_scene()
    once = [
        scene.render(i / load.rate_hz, load.height, load.width)[0]
        for i in range(REPEATED_PICTURES)
    ]
    return once + once[-2:0:-1]


def queries(count: int, first_id: int = 1) -> tuple[Query, ...]:
    """So many sentences about what the pictures show; other ids begin with another one."""
    texts = DEMO_QUERIES
    return tuple(
        Query(first_id + i, texts[(first_id + i) % len(texts)], i + 1) for i in range(count)
    )


def fill_window(session: Session, images: Sequence[np.ndarray], load: Load) -> int:
    """Warms a new session up, asks, and shows it as many camera frames as its window spans.

    Their stamps are the camera's, and run as fast as the model takes them.

    Returns:
        How many frames these were: the time of the next one, in frames.
    """
    options = session.options
    session.warm_up(load.height, load.width)
    session.set_queries(queries(load.queries))
    full = round(options.window_size * options.window_period_s * load.rate_hz) + 1
    for t in range(full):
        session.step(images[t % len(images)], t / load.rate_hz)
    return full


def streaming(model: Virst, load: Load, options: SessionOptions) -> dict[str, float]:
    """A stream as a robot has it: rates, latencies and the way to the first mask.

    The window is filled before anything is measured. Then: frames as fast as the model takes
    them; frames at the camera's rate, where one that comes while the model is busy waits and is
    replaced by the next (the node's mailbox); and a new query on the full window.

    Returns:
        max_fps: masks a second, as fast as possible, with the grounder running beside it.
        tracked_percent: how many of these masks were of a tracked object: a lost one costs less.
        latency_ms p50, p95, p99, dropped, fps: at the camera's rate; from frame to mask.
        first_mask_ms: from a new query on a full window to its first mask, at the camera's rate.
        grounding_ms: median of a grounding.
        groundings a minute: of each query, at the camera's rate.
    """
    images = stream_pictures(load)
    with torch.inference_mode(), Session(model, options) as session:
        count = fill_window(session, images, load)
        _settle(model)
        tracked = 0
        start_s = time.perf_counter()
        for _ in range(load.frames):
            result = session.step(images[count % len(images)], count / load.rate_hz)
            tracked += sum(answer.state == TRACKING for answer in result.results)
            count += 1
        _settle(model)
        fastest = load.frames / (time.perf_counter() - start_s)
        live = Camera(session, images, count, load.rate_hz)
        before = session.stats()["groundings"]
        latencies_ms = live.run(load.frames)
        groundings = session.stats()["groundings"] - before
        session.set_queries(queries(load.queries, first_id=100))
        first_ms = live.until_tracking(limit_s=30.0)
        grounding_ms = session.stats()["grounding_ms_p50"]
    p50, p95, p99 = np.percentile(latencies_ms, (50, 95, 99)).tolist()
    return {
        "max_fps": fastest,
        "tracked_percent": 100 * tracked / (load.frames * load.queries),
        "fps": len(latencies_ms) / (load.frames / load.rate_hz),
        "latency_ms p50": p50,
        "latency_ms p95": p95,
        "latency_ms p99": p99,
        "dropped": load.frames - len(latencies_ms),
        "first_mask_ms": first_ms,
        "grounding_ms": grounding_ms,
        "groundings a minute": 60 * groundings * load.rate_hz / (load.frames * load.queries),
    }


class Stream(Protocol):
    """What a camera needs of a session."""

    def step(self, frame_HW3: np.ndarray, stamp_s: float) -> StepResult | None:
        """Takes the next frame."""


class Camera:
    """Frames in real time; while the model is busy the newest waits, and others are dropped."""

    def __init__(
        self, session: Stream, images: Sequence[np.ndarray], count: int, rate_hz: float
    ) -> None:
        """`count`: the time of its next frame, in frames."""
        self._session, self._images, self._rate_hz = session, images, rate_hz
        self._count = count
        self._start_s = time.perf_counter() - count / rate_hz

    def run(self, frames: int) -> list[float]:
        """Latency of each frame that was not dropped, in milliseconds."""
        last, latencies_ms = self._count + frames, []
        while self._count < last:
            _, latency_ms = self._next()
            latencies_ms.append(latency_ms)
        return latencies_ms

    def until_tracking(self, limit_s: float) -> float:
        """Milliseconds from now until every query is tracked; infinite after `limit_s`."""
        start_s = time.perf_counter()
        while time.perf_counter() - start_s < limit_s:
            result, _ = self._next()
            if all(answer.state == TRACKING for answer in result.results):
                return 1000 * (time.perf_counter() - start_s)
        return float("inf")

    def _next(self) -> tuple:
        now_s = time.perf_counter() - self._start_s
        due = max(self._count, int(now_s * self._rate_hz))
        time.sleep(max(0.0, due / self._rate_hz - now_s))
        result = self._session.step(self._images[due % len(self._images)], due / self._rate_hz)
        self._count = due + 1
        # Masks are on the CPU by now; a device may still be at their memory.
        return result, 1000 * (time.perf_counter() - self._start_s - due / self._rate_hz)


def parts(model: Virst, load: Load, options: SessionOptions) -> dict[str, dict[str, float]]:
    """Milliseconds of each part, a call and a camera frame, and calls a frame; one after another.

    Measured on a full window over whole periods of re-grounding (`load.frames` or a little more),
    without a thread beside it, waiting for the device at each part.
    """
    images = stream_pictures(load)
    watch = Stopwatch(model.device)
    period = max(1, round(options.reground_every * options.window_period_s * load.rate_hz))
    frames = period * -(-load.frames // period)
    with torch.inference_mode(), Session(model, options) as session:
        full = fill_window(session, images, load)
        start_s = time.perf_counter()
        with listening(model, watch):
            for t in range(full, full + frames):
                session.step(images[t % len(images)], t / load.rate_hz)
        whole_ms = 1000 * (time.perf_counter() - start_s)
    milliseconds = {
        part: {
            "ms a call": float(np.median(times)),
            "ms a frame": sum(times) / frames,
            "calls a frame": len(times) / frames,
        }
        for part, times in watch.calls_ms.items()
    }
    rest = whole_ms / frames - sum(part["ms a frame"] for part in milliseconds.values())
    milliseconds["the rest"] = {"ms a call": rest, "ms a frame": rest, "calls a frame": 1.0}
    return milliseconds


def offline(model: Virst, load: Load) -> dict[str, float]:
    """A whole video of `load.frames` frames, from the first look to the last mask."""
    images = stream_pictures(load)
    repeated = [images[index % len(images)] for index in range(load.frames)]
    video = ImageArrays(repeated, load.rate_hz)
    first = ImageArrays(images[:8], load.rate_hz)
    for _ in segment_video(model, first, DEMO_QUERIES[:1]):
        pass
    _settle(model)
    texts = [query.text for query in queries(load.queries)]
    start_s = time.perf_counter()
    for _ in segment_video(model, video, texts):
        pass
    _settle(model)
    seconds = time.perf_counter() - start_s
    return {"offline_fps": load.frames / seconds, "offline_s": seconds}


def memory(model: Virst, peak: float) -> dict[str, float]:
    """MiB: of the device where there is one, peak and now; of the process; of the weights.

    `peak` is the device's, or on a CPU the process's, with what was measured.
    """
    weights = sum(p.numel() * p.element_size() for p in model.parameters()) / 2**20
    if model.device.type == "cpu":
        return {"weights_mib": weights, "process_peak_mib": peak}
    mib = {"weights_mib": weights, "process_peak_mib": peak_mib(torch.device("cpu"))}
    if model.device.type == "cuda":
        mib["gpu_peak_mib"] = peak
        mib["gpu_steady_mib"] = torch.cuda.memory_allocated(model.device) / 2**20
    return mib


def _settle(model: Virst) -> None:
    if model.device.type == "cuda":
        torch.cuda.synchronize(model.device)
