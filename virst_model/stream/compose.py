"""Tracks' masks as the answer to a frame, at the camera's size."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
from torch import Tensor

from virst_model.answer import TRACKING, Query, QueryResult, StepResult
from virst_model.model.features import Decoded
from virst_model.stream.host import Leaving


class Followed(Protocol):
    """What is read of a track, of a stream's or of a video's.

    Attributes:
        query: whose it is.
        state: its mask is shown where that is TRACKING.
        decoded: its current mask, B = 1, if it has one.
    """

    query: Query
    state: str
    decoded: Decoded | None


@dataclass(frozen=True)
class Shown:
    """What the host knows of a query's current mask.

    Attributes:
        query: whose it is.
        state: its track's.
        logits_hw: float32 mask logits; None where there is no mask to show.
        score: predicted IoU.
        object_score: logit that the object is visible.
        presence: its sigmoid.
    """

    query: Query
    state: str
    logits_hw: np.ndarray | None = None
    score: float = 0.0
    object_score: float = 0.0
    presence: float = 0.0

    @property
    def is_finite(self) -> bool:
        """Whether a mask is one: each comparison of what is not finite would say "not there"."""
        if self.logits_hw is None:
            return True
        return bool(np.isfinite(self.logits_hw).all() and np.isfinite(self.object_score))

    @property
    def mask_hw(self) -> np.ndarray:
        """bool, of the logits' size; empty where the object is not visible.

        Only of what has logits.
        """
        return (self.logits_hw > 0) & (self.object_score > 0)


class Masks:
    """The tracks' current masks, on their way to the host."""

    def __init__(self, tracks: Sequence[Followed]) -> None:
        self._of = [(track.query, track.state, _shown(track)) for track in tracks]
        there = [decoded for _, _, decoded in self._of if decoded is not None]
        self._leaving = Leaving([tensor for decoded in there for tensor in _facts(decoded)])

    def read(self) -> list[Shown]:
        """For `compose`: the one wait of a frame that is only tracked."""
        values = iter(self._leaving.arrive())
        return [
            Shown(query, state)
            if decoded is None
            else Shown(query, state, next(values), *(float(next(values)[0]) for _ in range(3)))
            for query, state, decoded in self._of
        ]


def read(tracks: Sequence[Followed]) -> list[Shown]:
    """As `Masks`, at once."""
    return Masks(tracks).read()


def compose(
    t: int, stamp_s: float, answers: Sequence[Shown], height: int, width: int
) -> StepResult:
    """The queries' masks at the camera's size; where two overlap the higher logit wins.

    The overlap rule is for the labels only: each query keeps its whole mask.
    """
    labels_HW = np.zeros((height, width), np.uint8)
    best_HW: np.ndarray | None = None
    results = []
    for shown in answers:
        logits_HW = _logits(shown, height, width)
        if logits_HW is None:
            mask_HW = np.zeros((height, width), bool)
        else:
            mask_HW = logits_HW > 0
            if best_HW is None:
                labels_HW[mask_HW] = shown.query.label
                best_HW = logits_HW
            else:
                wins = mask_HW & (logits_HW > best_HW)
                labels_HW[wins] = shown.query.label
                best_HW = np.maximum(best_HW, logits_HW)
        results.append(_result(shown, mask_HW))
    union_HW = (labels_HW > 0).astype(np.uint8) * 255
    return StepResult(t, stamp_s, tuple(results), union_HW, labels_HW, best_HW)


def _shown(track: Followed) -> Decoded | None:
    return track.decoded if track.state == TRACKING else None


def _facts(decoded: Decoded) -> tuple[Tensor, ...]:
    """Of one mask, B = 1, what `Shown` has, in the order of its fields."""
    presence = decoded.object_score.sigmoid()
    return decoded.logits[0], decoded.score, decoded.object_score, presence


def _logits(shown: Shown, height: int, width: int) -> np.ndarray | None:
    """Bilinear (align_corners False), as the release; None where no pixel can be above 0."""
    logits_hw = shown.logits_hw
    if logits_hw is None or shown.object_score <= 0 or logits_hw.max() <= 0:
        return None
    return cv2.resize(logits_hw, (width, height), interpolation=cv2.INTER_LINEAR)


def _result(shown: Shown, mask_HW: np.ndarray) -> QueryResult:
    bytes_HW = mask_HW.view(np.uint8)
    return QueryResult(
        id=shown.query.id,
        label=shown.query.label,
        text=shown.query.text,
        state=shown.state,
        score=shown.score,
        presence=shown.presence,
        mask_HW=mask_HW,
        box=tuple(cv2.boundingRect(bytes_HW)),
        area=cv2.countNonZero(bytes_HW),
        name=shown.query.name,
    )
