"""What a frame costs with each engine and with sam2's own predictor, by turns in one run."""

from collections.abc import Callable
import contextlib
import copy
import itertools
import statistics
import time

import numpy as np
import torch

from virst_model.bench.measure import Load, fill_window, stream_pictures
from virst_model.model.virst import Virst
from virst_model.stream.engine import engine_of, use_engine
from virst_model.stream.options import SessionOptions
from virst_model.stream.session import Session
from virst_model.synthetic.scenes import demo_scene

PEER = "sam2"
# Of the peer's frames, before any is counted: by then its memory is full.
FIRST = 8


def cpu_ms(model: Virst, load: Load, rounds: int) -> dict[str, float]:
    """Median CPU-ms a frame, groundings included: of "torch", of "onnx" where it runs, of "sam2".

    Each round measures all of them, one after the other, over the frames between two groundings,
    with torch's number of threads. Two sessions on one model's weights, in sync mode, so that all
    work is on one thread; sam2's predictor has masks in place of sentences, and its pictures are
    read and resized before. There is no peer where a GPU is in sight.
    """
    images = stream_pictures(load)
    options = SessionOptions(sync=True)
    frames = round(options.reground_every * options.window_period_s * load.rate_hz)
    with contextlib.ExitStack() as stack, torch.inference_mode():
        streams: dict[str, Callable[[], float]] = {}
        for engine in ("torch", "auto"):
            twin = use_engine(twin_of(model), engine)
            if engine_of(twin) not in streams:
                session = stack.enter_context(Session(twin, options))
                streams[engine_of(twin)] = _stream(session, images, load, frames)
        if not torch.cuda.is_available():  # sam2's tables go to a GPU wherever one is in sight
            streams[PEER] = _peer(model, images, load, frames)
        times = [{name: run() for name, run in streams.items()} for _ in range(rounds)]
    return {name: statistics.median(each[name] for each in times) for name in streams}


def twin_of(model: Virst) -> Virst:
    """A second model on the same weights, whose segmenter may have another engine."""
    twin = copy.copy(model)
    twin._modules = {**model._modules, "segmenter": copy.copy(model.segmenter)}
    return use_engine(twin, "torch")


def _stream(
    session: Session, images: list[np.ndarray], load: Load, frames: int
) -> Callable[[], float]:
    times = itertools.count(fill_window(session, images, load))

    def run() -> float:
        start_s = time.process_time()
        for t in itertools.islice(times, frames):
            session.step(images[t % len(images)], t / load.rate_hz)
        return 1000 * (time.process_time() - start_s) / frames

    return run


def _peer(model: Virst, images: list[np.ndarray], load: Load, frames: int) -> Callable[[], float]:
    # Here, so that a program without sam2 starts and can say in a line what to install.
    from virst_model.bench import peer

    tracker = peer.predictor(model)
    _, ids = demo_scene().render(0.0, load.height, load.width)
    known = [ids == number for number in np.unique(ids[ids > 0])]
    masks = [known[index % len(known)] for index in range(load.queries)]
    shown = [images[t % len(images)] for t in range(FIRST + frames + 1)]

    def run() -> float:
        steps = peer.track(tracker, shown, masks)
        for _ in itertools.islice(steps, FIRST + 1):
            pass
        start_s = time.process_time()
        for _ in itertools.islice(steps, frames):
            pass
        spent_s = time.process_time() - start_s
        steps.close()
        return 1000 * spent_s / frames

    return run
