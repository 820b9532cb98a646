"""Tracks' masks as the answer to a frame, at the camera's size."""

from collections.abc import Sequence

import cv2
import numpy as np

from virst_model.answer import TRACKING, QueryResult, StepResult
from virst_model.stream.track import Track


def compose(
    t: int, stamp_s: float, tracks: Sequence[Track], height: int, width: int
) -> StepResult:
    """The tracks' current masks at the camera's size; where two overlap the higher logit wins.

    The overlap rule is for the labels only: each query keeps its whole mask.
    """
    labels_HW = np.zeros((height, width), np.uint8)
    best_HW: np.ndarray | None = None
    results = []
    for track in tracks:
        logits_HW = _logits(track, height, width)
        if logits_HW is None:
            mask_HW = np.zeros((height, width), bool)
        else:
            mask_HW = logits_HW > 0
            if best_HW is None:
                labels_HW[mask_HW] = track.query.label
                best_HW = logits_HW
            else:
                wins = mask_HW & (logits_HW > best_HW)
                labels_HW[wins] = track.query.label
                best_HW = np.maximum(best_HW, logits_HW)
        results.append(_result(track, mask_HW))
    union_HW = (labels_HW > 0).astype(np.uint8) * 255
    return StepResult(t, stamp_s, tuple(results), union_HW, labels_HW)


def _logits(track: Track, height: int, width: int) -> np.ndarray | None:
    """Bilinear (align_corners False), as the release; None where no pixel can be above 0."""
    if track.state != TRACKING or track.decoded is None:
        return None
    logits = track.decoded.logits[0]
    if track.decoded.object_score[0] <= 0 or logits.max() <= 0:
        return None
    logits_hw = logits.float().cpu().numpy()
    return cv2.resize(logits_hw, (width, height), interpolation=cv2.INTER_LINEAR)


def _result(track: Track, mask_HW: np.ndarray) -> QueryResult:
    decoded = track.decoded if track.state == TRACKING else None
    bytes_HW = mask_HW.view(np.uint8)
    return QueryResult(
        id=track.query.id,
        label=track.query.label,
        text=track.query.text,
        state=track.state,
        score=0.0 if decoded is None else float(decoded.score[0]),
        presence=0.0 if decoded is None else float(decoded.object_score[0].sigmoid()),
        mask_HW=mask_HW,
        box=tuple(cv2.boundingRect(bytes_HW)),
        area=cv2.countNonZero(bytes_HW),
    )
