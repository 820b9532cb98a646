"""One query on one stream: its state, its memory, and the answers on their way into it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch

from virst_model.answer import FAILED, LOST, SEARCHING, TRACKING, Query
from virst_model.config import CLIP_FRAMES
from virst_model.model.features import Decoded, MemoryEntry
from virst_model.model.memory import Memory
from virst_model.model.tracking import track_frame
from virst_model.model.virst import Virst
from virst_model.stream.change import Watch
from virst_model.stream.grounder import Grounding, GroundingResult
from virst_model.stream.pending import Candidate, PendingAnchors, Prompted
from virst_model.stream.window import Window, WindowFrame, next_size

# A re-grounding that agrees less than this with the track contradicts it.
AGREEMENT_IOU = 0.5
# Groundings in a row without the object until the query is lost.
ABSENT_GROUNDINGS = 2
# Cached frames that a catch-up starts with.
CATCH_UP_FRAMES = 8


@dataclass(frozen=True)
class Pace:
    """How much work beside the current frame a track does a camera frame.

    Attributes:
        anchors: anchors decoded and encoded.
        replays: cached frames replayed; 2 at least, or a catch-up on a stream of which each frame
            is sampled would never end.
        encodes: images of an idle stream encoded, once somebody asks; None is 4 on a CPU, whose
            models are small, and 1 on a device, so that frames stay on time.
    """

    anchors: int = 2
    replays: int = 2
    encodes: int | None = None

    def __post_init__(self) -> None:
        if self.encodes is not None and self.encodes < 1:
            raise ValueError(f"encodes a frame must be at least 1, not {self.encodes}")
        if self.anchors < 1:
            raise ValueError(f"anchors a frame must be at least 1, not {self.anchors}")
        if self.replays < 2:
            raise ValueError(f"replays a frame must be at least 2, not {self.replays}")


class Track:
    """What is known of one query's object: the TDAU's memory and a state.

    searching -> tracking once an answer shows the object and the cached frames are replayed;
    any -> lost after two answers in a row without it; lost -> searching when one shows it.
    searching -> failed where the question fails; failed -> searching with the next answer.
    While its query is disabled it rests: it is not asked and not advanced, and keeps its anchors.
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
        self.answers = 0  # that were taken, since the track was made
        self.watch = Watch()
        self.reset()

    def reset(self) -> None:
        """Forgets the stream, keeps the query; a grounding in flight is cancelled."""
        self.cancel()
        self.state = SEARCHING
        self.decoded: Decoded | None = None  # of the current frame, B = 1; None: nothing to show
        self.asked_t: int | None = None
        self._asked_size = 0
        self._asked_completed = 0
        self._asked_s = 0.0
        self.watch.restart()
        self._pending: PendingAnchors | None = None
        self._absent_groundings = 0
        self._replayed_t: int | None = None  # None: no catch-up
        self._past_masks: dict[int, torch.Tensor] = {}  # (h, w) of sampled frames, by time
        self._woken = False  # since the last frame
        self.memory.reset()

    def change(self, query: Query) -> None:
        """Takes its query as it is now, of the same id and text; it may rest, or go on."""
        was_enabled, self.query = self.query.enabled, query
        if was_enabled and not query.enabled:
            self._rest()
        elif query.enabled and not was_enabled:
            self._woken = True

    def _rest(self) -> None:
        """Forgets the stream but for the anchors, and for whether the object was lost."""
        self.cancel()
        self.state = LOST if self.state == LOST else SEARCHING
        self.decoded = None
        self._woken = False
        self.asked_t = None  # woken, it is asked as a new query is
        self._asked_size = 0
        self._asked_completed = 0
        self._pending = None
        self._replayed_t = None
        self._past_masks.clear()
        self.memory.reset_fifo()

    # Asking the VLM.

    def is_due(self, window: Window, reground_every: int, longest_s: float = 0.0) -> bool:
        """Whether to ask now: at 4, 8, 16, 24, ... frames, then each `reground_every` ones.

        `longest_s`: a query that is followed waits so long, in the stamps' time, while its masks
        agree with its last answer.
        """
        clips = window.snapshot()
        if self.grounding is not None or not clips:
            return False
        if self._asked_size < self._window_size:
            size = CLIP_FRAMES * len(clips)
            return size >= next_size(self._asked_size, self._window_size)
        if window.completed < self._asked_completed + reground_every:
            return False
        if self.state != TRACKING or window.newest_s - self._asked_s >= longest_s:
            return True
        return self.watch.has_changed(clips[-1].frames[-1].t)  # and the answer will be about that

    def ask(self, window: Window, t: int, followed: bool = False) -> Grounding:
        """Takes down a question about all complete clips that the window has at frame `t`.

        `followed`: other tracks are due, too.
        """
        clips = window.snapshot()
        self.grounding = Grounding(self.query, clips, followed)
        self.asked_t = t
        self._asked_size = CLIP_FRAMES * len(clips)
        self._asked_completed = window.completed
        self._asked_s = window.newest_s
        self.watch.restart()
        return self.grounding

    def cancel(self) -> None:
        """Nobody wants the answer to the last question any more."""
        if self.grounding is not None:
            self.grounding.cancelled.set()
            self.grounding = None

    def fail(self) -> None:
        """The question has no answer, or none in time: says so, unless there is an earlier one."""
        self.watch.change(self.asked_t or 0)
        if self.state == SEARCHING and self._pending is None and self._replayed_t is None:
            self.state = FAILED

    def take(self, result: GroundingResult) -> None:
        """Brings in the anchors of `result`, in place of earlier ones that are still pending."""
        self.grounding = None
        self.answers += 1
        if self.state == FAILED:
            self.state = SEARCHING
        self._pending = PendingAnchors(result, self._alpha)

    # Following the object.

    @property
    def takes_in(self) -> bool:
        """Whether anchors of an answer wait to be decoded."""
        return self._pending is not None

    def next_anchors(self) -> list[Prompted]:
        """The anchors that the pace allows in a frame."""
        return self._pending.next(self._pace.anchors)

    def judge(self, decoded: Sequence[Decoded]) -> list[torch.Tensor]:
        """Takes the masks of `next_anchors`; returns what the host must know for `sift`."""
        return self._pending.judge(decoded, self._past_masks)

    def sift(self, known: Sequence[np.ndarray]) -> list[Candidate]:
        """The anchors that show the object, to be encoded for `advance`.

        `known`: what `judge` asked for. Raises FloatingPointError for masks that are not finite.
        """
        return self._pending.sift(known)

    def advance(self, t: int, window: Window, entries: Sequence[MemoryEntry] = ()) -> bool:
        """The work beside frame `t`: the swap of decoded anchors, and the catch-up.

        Args:
            t: the frame.
            window: the stream's.
            entries: what the anchors of `sift` leave in memory.

        Returns:
            Whether an answer has just contradicted the track.
        """
        self.decoded = None
        contradicted = False
        if self._woken:
            self._wake(t, window)
        if self._pending is not None:
            contradicted = self._bring_in(self._pending, entries, t, window)
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
        """Takes the mask of frame `t`, B = 1; `sampled`: the window has the frame."""
        self.decoded = decoded
        if sampled:
            self._remember(t, decoded)

    def _bring_in(
        self, pending: PendingAnchors, entries: Sequence[MemoryEntry], t: int, window: Window
    ) -> bool:
        contradicted = False
        fresh = pending.accept(entries)
        if pending.swapped:
            for anchor in fresh:
                self.memory.write_anchor(anchor.t, anchor.entry)
        elif pending.ready:
            pending.swapped = True
            if pending.present:
                contradicted = self._swap(pending, t, window)
            else:
                self._miss(pending)
        if pending.ended:
            self._pending = None
        return contradicted

    def _swap(self, pending: PendingAnchors, t: int, window: Window) -> bool:
        """Follows the new anchors; the FIFO stays unless they contradict the track (True)."""
        self._absent_groundings = 0
        known = self.state != LOST and bool(self.memory.anchor_times)
        agrees = known and _agrees(pending)
        if agrees:
            self.memory.drop_anchors(pending.first, pending.last)
            if min(pending.ious.values(), default=1.0) < AGREEMENT_IOU:
                self.watch.change(pending.last)
        else:
            self.watch.restart()
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

    def _miss(self, pending: PendingAnchors) -> None:
        """An answer without the object; the first may be the VLM's mistake."""
        self.watch.change(pending.last)
        self._absent_groundings += 1
        if self._absent_groundings >= ABSENT_GROUNDINGS:
            self.state = LOST
            self._replayed_t = None

    def _wake(self, t: int, window: Window) -> None:
        """Goes on from the anchors that it has, unless its object was lost."""
        self._woken = False
        if self.state != LOST and self.memory.anchor_times:
            self._start_catch_up(self.memory.anchor_times[-1], t, window)

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


@contextmanager
def starting_anew(*tracks: Track) -> Iterator[None]:
    """Where the model fails, half of an answer may be in the tracks' memories."""
    try:
        yield
    except Exception:
        for track in tracks:
            track.reset()
        raise


def _agrees(pending: PendingAnchors) -> bool:
    """Whether the track's own masks of the anchors' frames show the same object."""
    ious = [pending.ious[a.t] for a in pending.present if a.t in pending.ious]
    return not ious or sum(ious) / len(ious) >= AGREEMENT_IOU


def _between(window: Window, after_t: int, before_t: int) -> list[WindowFrame]:
    encoded = [frame for frame in window.frames() if frame.features is not None]
    return [frame for frame in encoded if after_t < frame.t < before_t]
