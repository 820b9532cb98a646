"""An answer on its way into a track: its anchors, decoded over some camera frames."""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from virst_model.model.features import Decoded, FrameFeatures, MemoryEntry
from virst_model.model.virst import Virst
from virst_model.stream.grounder import GroundingResult
from virst_model.stream.window import WindowFrame

# Anchors that are decoded, or encoded, as one batch, each with the features of its frame.
AT_ONCE = 8
# An anchor candidate of a grounding: its frame and its prompts (N, C).
Prompted = tuple[WindowFrame, torch.Tensor]
NOT_FINITE = "the model's masks are not finite"


@dataclass(frozen=True)
class Candidate:
    """A decoded anchor, B = 1, of frame `t`, of which nobody knows yet what it shows."""

    t: int
    features: FrameFeatures
    decoded: Decoded


@dataclass(frozen=True)
class Anchor:
    """An anchor that shows the object, and its memory, B = 1; `t` is its time in the stream."""

    t: int
    decoded: Decoded
    entry: MemoryEntry


class PendingAnchors:
    """The anchors of a grounding, decoded newest first over some camera frames.

    In steps, so that all tracks' anchors are decoded, known to the host and encoded at once:
    `next`, `judge`, `sift` and `accept`. What is decoded and not accepted is decoded again.
    """

    def __init__(self, result: GroundingResult, alpha: int) -> None:
        """`alpha`: so many that show the object are enough to swap them in."""
        self.first, self.last = result.first, result.last
        self._todo = deque(reversed(result.anchors))
        self._alpha = alpha
        self._candidates: list[Candidate] = []
        self._shown: list[Candidate] = []  # of these, what shows the object
        self._compared: list[int] = []  # times of the frames whose masks are compared
        self.present: list[Anchor] = []
        self.ious: dict[int, float] = {}
        self.swapped = False

    @property
    def ended(self) -> bool:
        """Whether all anchors are decoded, those without the object among them."""
        return not self._todo

    @property
    def ready(self) -> bool:
        """The alpha newest anchors that show the object are decoded, or all when fewer do."""
        return self.ended or len(self.present) >= self._alpha

    def next(self, at_most: int) -> list[Prompted]:
        """The anchors that are to be decoded next."""
        return list(self._todo)[:at_most]

    def judge(
        self, decoded: Sequence[Decoded], masks: Mapping[int, torch.Tensor]
    ) -> list[torch.Tensor]:
        """Takes the masks of the `next` anchors.

        Args:
            decoded: B = 1 each.
            masks: the track's own, bool (h, w), by time; anchors are compared with those of their
                frames until they are swapped in.

        Returns:
            What the host must know for `sift`.
        """
        self._candidates = [
            Candidate(frame.t, frame.features, mask)
            for (frame, _), mask in zip(self._todo, decoded)
        ]
        facts = [_facts(candidate.decoded) for candidate in self._candidates]
        known = [*self.present, *self._candidates]
        pairs = {a.t: (a.decoded.logits[0] > 0, masks[a.t]) for a in known if a.t in masks}
        self._compared = [] if self.swapped else list(pairs)
        return facts + [_overlap(*pairs[t]) for t in self._compared]

    def sift(self, known: Sequence[np.ndarray]) -> list[Candidate]:
        """The anchors that show the object; `known`: what `judge` asked for.

        Raises:
            FloatingPointError: masks are not finite.
        """
        facts, overlaps = known[: len(self._candidates)], known[len(self._candidates) :]
        # Every comparison with what is not finite is false: the object would seem to be gone.
        if not all(finite and np.isfinite(score) for finite, score in facts):
            raise FloatingPointError(NOT_FINITE)
        pairs = zip(self._candidates, facts, strict=True)
        self._shown = [candidate for candidate, (_, score) in pairs if score > 0]
        # Two empty masks agree.
        self.ious = {
            t: float(common) / float(union) if union else 1.0
            for t, (common, union) in zip(self._compared, overlaps, strict=True)
        }
        return self._shown

    def accept(self, entries: Sequence[MemoryEntry]) -> list[Anchor]:
        """The anchors that show the object, with their memories: `entries` are those of `sift`."""
        pairs = zip(self._shown, entries, strict=True)
        fresh = [Anchor(shown.t, shown.decoded, entry) for shown, entry in pairs]
        for _ in self._candidates:
            self._todo.popleft()
        self._candidates = []
        self.present += fresh
        return fresh


def decode_anchors(model: Virst, anchors: Sequence[Prompted]) -> list[Decoded]:
    """Masks, B = 1, of anchors of any frames, from their prompts; some at a time as one batch."""
    masks = []
    for part in _batches(anchors):
        features = FrameFeatures.join([frame.features for frame, _ in part])
        prompts_BNC = torch.stack([prompts_NC for _, prompts_NC in part])
        masks += model.decode_anchors(features, prompts_BNC).split()
    return masks


def encode_anchors(model: Virst, anchors: Sequence[Candidate]) -> list[MemoryEntry]:
    """What anchors of any frames leave in memory, B = 1 each; some at a time as one batch."""
    entries = []
    for part in _batches(anchors):
        features = FrameFeatures.join([anchor.features for anchor in part])
        decoded = Decoded.join([anchor.decoded for anchor in part])
        # Memory keeps them, and not what is of others in a batch.
        entries += [row.copy() for row in model.encode_memory(features, decoded).split()]
    return entries


def _batches(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(items), AT_ONCE):
        yield items[start : start + AT_ONCE]


def _facts(decoded: Decoded) -> torch.Tensor:
    """Whether the logits are finite, and the object score, (2,)."""
    finite = decoded.logits.isfinite().all()
    return torch.stack([finite.to(decoded.object_score.dtype), decoded.object_score[0]])


def _overlap(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Pixels that both bool masks have, and that any has, (2,)."""
    return torch.stack([(a & b).sum(), (a | b).sum()])
