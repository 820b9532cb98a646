"""What travels between a stream and those who ask: queries in, answers out. Needs no torch."""

from dataclasses import dataclass

import numpy as np

SEARCHING = "searching"
TRACKING = "tracking"
LOST = "lost"


@dataclass(frozen=True)
class Query:
    """A sentence to look for; `id` counts from 1, never reused; `label` is its slot 1..16."""

    id: int
    text: str
    label: int


@dataclass(frozen=True)
class QueryResult:
    """One query's answer for one frame.

    Attributes:
        state: SEARCHING, TRACKING or LOST; the mask is empty unless TRACKING.
        score: predicted IoU, 0..1.
        presence: sigmoid of the object score, 0..1.
        mask_HW: bool, at the camera's size.
        box: x, y, width, height in pixels; zeros for an empty mask.
        area: pixels of the mask.
    """

    id: int
    label: int
    text: str
    state: str
    score: float
    presence: float
    mask_HW: np.ndarray
    box: tuple[int, int, int, int]
    area: int


@dataclass(frozen=True)
class StepResult:
    """All answers for one frame: `mask_HW` uint8 0/255 (union), `labels_HW` uint8 0 or a label."""

    t: int
    stamp_s: float
    results: tuple[QueryResult, ...]
    mask_HW: np.ndarray
    labels_HW: np.ndarray
