"""What an answer in words costs the masks: a stream with one beside it and without, by turns."""

from collections.abc import Iterator
from contextlib import contextmanager
import copy
import dataclasses
import math
import statistics
import time

import numpy as np
import torch

from virst_model.answer import Question, Reply, StepResult
from virst_model.bench.measure import Camera, Load, fill_window, stream_pictures
from virst_model.model.virst import Virst
from virst_model.stream.options import SessionOptions
from virst_model.stream.session import Session
from virst_model.stream.speech import end_ids

QUESTION = "what moves to the left?"
# Frames in a row with an answer beside them, and without.
TURN = 50


@torch.inference_mode()
def answering(model: Virst, load: Load) -> dict[str, float]:
    """Of a stream on a full window, whether the weights were taught to answer or not.

    Answers have all the tokens that they may have, and one follows the other.

    Returns:
        while it answers: max_fps, masks a second as fast as possible, in turns of TURN frames;
            fps, latency_ms p50 and p95 at the camera's rate, over `load.frames` frames.
        masks_percent while it answers: max_fps of a turn beside that of the turn without an answer
            before it, the median of all pairs.
        tokens_per_s: of the answers, at the camera's rate.
    """
    images = stream_pictures(load)
    options = SessionOptions(max_queries=load.queries)
    with endless(model), Session(_taught(model), options) as session:
        asked = Asked(session)
        count = fill_window(session, images, load)
        rates: dict[Session | Asked, list[float]] = {session: [], asked: []}
        turn = min(TURN, load.frames)
        for _ in range(load.frames // turn):
            for stream, seen in rates.items():
                start_s = time.perf_counter()
                for t in range(count, count + turn):
                    stream.step(images[t % len(images)], t / load.rate_hz)
                seen.append(turn / (time.perf_counter() - start_s))
                count += turn
            asked.cancel()
        shares = [100 * beside / alone for alone, beside in zip(*rates.values(), strict=True)]
        start_s, before = time.perf_counter(), asked.tokens
        latencies_ms = Camera(asked, images, count, load.rate_hz).run(load.frames)
        tokens_per_s = (asked.tokens - before) / (time.perf_counter() - start_s)
    p50, p95 = np.percentile(latencies_ms, (50, 95)).tolist()
    return {
        "max_fps while it answers": statistics.median(rates[asked]),
        "masks_percent while it answers": statistics.median(shares),
        "fps while it answers": len(latencies_ms) / (load.frames / load.rate_hz),
        "latency_ms p50 while it answers": p50,
        "latency_ms p95 while it answers": p95,
        "tokens_per_s": tokens_per_s,
    }


class Asked:
    """A session that is asked again whenever it has answered.

    Attributes:
        tokens: told so far, of all answers.
    """

    def __init__(self, session: Session) -> None:
        self.tokens = 0
        self._session = session
        self._question: Question | None = None
        self._error: Exception | None = None

    def step(self, frame_HW3: np.ndarray, stamp_s: float) -> StepResult | None:
        """As the session's. Raises what the model has raised for an answer, too."""
        if self._error is not None:
            raise self._error
        if self._question is None:
            self._question = Question(QUESTION, self._hear)
            self._session.ask(self._question)
        return self._session.step(frame_HW3, stamp_s)

    def cancel(self) -> None:
        """Until the next frame nothing is asked."""
        if self._question is not None:
            self._question.cancelled.set()
        self._question = None

    def _hear(self, reply: Reply) -> None:
        """On the session's threads."""
        self._error = reply.error
        self.tokens += bool(reply.text)
        if reply.ended:
            self._question = None


@contextmanager
def endless(model: Virst) -> Iterator[None]:
    """Within it no answer ends by itself: the load is the same whatever the weights say."""
    ends = torch.tensor(sorted(end_ids(model.tokenizer)), device=model.device)
    head = model.vlm.llm.lm_head
    hook = head.register_forward_hook(lambda _, __, logits: logits.index_fill(-1, ends, -math.inf))
    try:
        yield
    finally:
        hook.remove()


def _taught(model: Virst) -> Virst:
    """The same weights, that may be asked."""
    taught = copy.copy(model)
    taught.config = dataclasses.replace(model.config, answers=True)
    return taught
