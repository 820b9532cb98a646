"""One query on one stream: its state, its memory, and the answers on their way into it."""

from collections import deque
from dataclasses import dataclass

import torch

from virst_model.answer import FAILED, LOST, SEARCHING, TRACKING, Query
from virst_model.config import CLIP_FRAMES
from virst_model.model.features import Decoded, MemoryEntry
from virst_model.model.memory import Memory
from virst_model.model.tracking import track_frame
from virst_model.model.virst import Virst
from virst_model.stream.grounder import Grounding, GroundingResult
from virst_model.stream.window import Window, WindowFrame, next_size

# A re-grounding that agrees less than this with the track contradicts it.
AGREEMENT_IOU = 0.5
# Groundings in a row without the object until the query is lost.
ABSENT_GROUNDINGS = 2
# Cached frames that a catch-up starts with.
CATCH_UP_FRAMES = 8
NOT_FINITE = "the model's masks are not finite"


@dataclass(frozen=True)
class Pace:
    """How much work beside the current frame a track does a camera frame.

    Attributes:
        anchors: anchors decoded and encoded.
        replays: cached frames replayed; 2 at least, or a catch-up on a stream of which each frame
            is sampled would never end.
    """

    anchors: int = 2
    replays: int = 2

    def __post_init__(self) -> None:
        if self.anchors < 1:
            raise ValueError(f"anchors a frame must be at least 1, not {self.anchors}")
        if self.replays < 2:
            raise ValueError(f"replays a frame must be at least 2, not {self.replays}")


@dataclass(frozen=True)
class Anchor:
    """A decoded anchor and its memory, B = 1; `t` is the frame's time in the stream."""

    t: int
    decoded: Decoded
    entry: MemoryEntry

    @property
    def present(self) -> bool:
        """Whether the object is visible on it: its object score is above 0."""
        return _present(self.decoded)


class PendingAnchors:
    """The anchors of a grounding, decoded newest first over some camera frames."""

    def __init__(self, result: GroundingResult, alpha: int) -> None:
        """`alpha`: so many that show the object are enough to swap them in."""
        self.first, self.last = result.first, result.last
        self._todo = deque(reversed(result.anchors))
        self._alpha = alpha
        self.present: list[Anchor] = []
        self.swapped = False

    @property
    def ended(self) -> bool:
        """Whether all anchors are decoded, those without the object among them."""
        return not self._todo

    @property
    def ready(self) -> bool:
        """The alpha newest anchors that show the object are decoded, or all when fewer do."""
        return self.ended or len(self.present) >= self._alpha

    def decode(self, model: Virst, at_most: int) -> list[Anchor]:
        """Decodes the next anchors and their memories; returns those that show the object."""
        fresh = []
        for _ in range(min(at_most, len(self._todo))):
            frame, prompts_NC = self._todo.popleft()
            decoded = model.decode_anchor(frame.features, prompts_NC)
            if not is_finite(decoded):
                raise FloatingPointError(NOT_FINITE)
            if _present(decoded):
                entry = model.encode_memory(frame.features, decoded)
                fresh.append(Anchor(frame.t, decoded, entry))
        self.present += fresh
        return fresh


class Track:
    """What is known of one query's object: the TDAU's memory and a state.

    searching -> tracking once an answer shows the object and the cached frames are replayed;
    any -> lost after two answers in a row without it; lost -> searching when one shows it.
    searching -> failed where the question fails; failed -> searching with the next answer.
    """

    def __init__(
        self, query: Query, model: Virst, memory: Memory, alpha: int, window_size: int, pace: Pace
    ) -> None:
        """`memory` is the track's own; `alpha` is how many anchors it reads."""
        self.query = query
        self._model = model
        self.memory = memory
        self._alpha = alpha
        self._window_size = window_size
        self._pace = pace
        self.grounding: Grounding | None = None  # in flight
        self.reset()

    def reset(self) -> None:
        """Forgets the stream, keeps the query; a grounding in flight is cancelled."""
        self.cancel()
        self.state = SEARCHING
        self.decoded: Decoded | None = None  # of the current frame, B = 1; None: nothing to show
        self.asked_t: int | None = None
        self._asked_size = 0
        self._asked_completed = 0
        self._pending: PendingAnchors | None = None
        self._absent_groundings = 0
        self._replayed_t: int | None = None  # None: no catch-up
        self._past_masks: dict[int, torch.Tensor] = {}  # (h, w) of sampled frames, by time
        self.memory.reset()

    # Asking the VLM.

    def is_due(self, window: Window, reground_every: int) -> bool:
        """Whether to ask now: at 4, 8, 16, ... frames, then each `reground_every` sampled ones."""
        if self.grounding is not None or not window.snapshot():
            return False
        if self._asked_size < self._window_size:
            size = CLIP_FRAMES * len(window.snapshot())
            return size >= next_size(self._asked_size, self._window_size)
        return window.completed >= self._asked_completed + reground_every

    def ask(self, window: Window, t: int) -> Grounding:
        """Takes down a question about all complete clips that the window has at frame `t`."""
        clips = window.snapshot()
        self.grounding = Grounding(self.query, clips)
        self.asked_t = t
        self._asked_size = CLIP_FRAMES * len(clips)
        self._asked_completed = window.completed
        return self.grounding

    def cancel(self) -> None:
        """Nobody wants the answer to the last question any more."""
        if self.grounding is not None:
            self.grounding.cancelled.set()
            self.grounding = None

    def fail(self) -> None:
        """The question has no answer, or none in time: says so, unless there is an earlier one."""
        if self.state == SEARCHING and self._pending is None and self._replayed_t is None:
            self.state = FAILED

    def take(self, result: GroundingResult) -> None:
        """Brings in the anchors of `result`, in place of earlier ones that are still pending."""
        self.grounding = None
        if self.state == FAILED:
            self.state = SEARCHING
        self._pending = PendingAnchors(result, self._alpha)

    # Following the object.

    def advance(self, t: int, window: Window) -> bool:
        """The work beside frame `t`: pending anchors, their swap, and the catch-up.

        Returns:
            Whether an answer has just contradicted the track.
        """
        self.decoded = None
        contradicted = False
        if self._pending is not None:
            contradicted = self._bring_in(self._pending, t, window)
        if self._replayed_t is not None:
            self._catch_up(t, window)
        return contradicted

    @property
    def follows(self) -> bool:
        """The frame of the last `advance` is to be tracked from memory.

        Not so while searching or lost, nor where the frame is an anchor itself: then the anchor's
        mask is the answer (eq. (12)).
        """
        return self.state == TRACKING and self.decoded is None

    def show(self, t: int, decoded: Decoded, sampled: bool) -> None:
        """Takes the mask of frame `t`, B = 1, which memory has; `sampled`: so has the window."""
        self.decoded = decoded
        if sampled:
            self._remember(t, decoded)

    def _bring_in(self, pending: PendingAnchors, t: int, window: Window) -> bool:
        contradicted = False
        fresh = pending.decode(self._model, self._pace.anchors)
        if pending.swapped:
            for anchor in fresh:
                self.memory.write_anchor(anchor.t, anchor.entry)
        elif pending.ready:
            pending.swapped = True
            if pending.present:
                contradicted = self._swap(pending, t, window)
            else:
                self._miss()
        if pending.ended:
            self._pending = None
        return contradicted

    def _swap(self, pending: PendingAnchors, t: int, window: Window) -> bool:
        """Follows the new anchors; the FIFO stays unless they contradict the track (True)."""
        self._absent_groundings = 0
        known = self.state != LOST and bool(self.memory.anchor_times)
        agrees = known and self._agrees(pending.present)
        if agrees:
            self.memory.drop_anchors(pending.first, pending.last)
        else:
            # Older anchors are of another object, too, and would be read while new ones are few.
            self.memory.reset()
            self._past_masks.clear()
            for anchor in reversed(pending.present):
                self._remember(anchor.t, anchor.decoded)
        for anchor in pending.present:
            self.memory.write_anchor(anchor.t, anchor.entry)
        newest = pending.present[0]
        if newest.t == t:
            self.memory.write(t, newest.entry)
            self.show(t, newest.decoded, sampled=True)
        if self.state != TRACKING and not agrees:
            self._start_catch_up(newest.t, t, window)
        return known and not agrees

    def _miss(self) -> None:
        """An answer without the object; the first may be the VLM's mistake."""
        self._absent_groundings += 1
        if self._absent_groundings >= ABSENT_GROUNDINGS:
            self.state = LOST
            self._replayed_t = None

    def _agrees(self, anchors: list[Anchor]) -> bool:
        """Whether the track's own masks of the anchors' frames show the same object."""
        ious = [
            _iou(anchor.decoded.logits[0] > 0, self._past_masks[anchor.t])
            for anchor in anchors
            if anchor.t in self._past_masks
        ]
        return not ious or sum(ious) / len(ious) >= AGREEMENT_IOU

    def _start_catch_up(self, anchor_t: int, t: int, window: Window) -> None:
        self.state = SEARCHING
        missed = _between(window, anchor_t, t)
        skipped = missed[:-CATCH_UP_FRAMES]
        self._replayed_t = skipped[-1].t if skipped else anchor_t

    def _catch_up(self, t: int, window: Window) -> None:
        """Replays the next cached frames; tracks from frame `t` on once none is left."""
        missed = _between(window, self._replayed_t, t)
        for frame in missed[: self._pace.replays]:
            (decoded,) = track_frame(self._model, frame.t, frame.features, [self.memory])
            self._remember(frame.t, decoded)
            self._replayed_t = frame.t
        if len(missed) <= self._pace.replays:
            self.state = TRACKING
            self._replayed_t = None

    def _remember(self, t: int, decoded: Decoded) -> None:
        """Keeps the mask for the comparison with later anchors: two windows of them."""
        self._past_masks[t] = decoded.logits[0] > 0
        while len(self._past_masks) > 2 * self._window_size:
            del self._past_masks[min(self._past_masks)]


def is_finite(decoded: Decoded) -> bool:
    """Whether a mask is one: each comparison of what is not finite would say "not there"."""
    return bool(decoded.logits.isfinite().all() and decoded.object_score.isfinite().all())


def _present(decoded: Decoded) -> bool:
    return bool(decoded.object_score[0] > 0)


def _iou(a: torch.Tensor, b: torch.Tensor) -> float:
    """Of two bool masks; two empty ones agree."""
    union = int((a | b).sum())
    return int((a & b).sum()) / union if union else 1.0


def _between(window: Window, after_t: int, before_t: int) -> list[WindowFrame]:
    encoded = [frame for frame in window.frames() if frame.features is not None]
    return [frame for frame in encoded if after_t < frame.t < before_t]
