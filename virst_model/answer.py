"""What travels between a stream and those who ask: queries in, answers out. Needs no torch."""

from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Event

import numpy as np

SEARCHING = "searching"
TRACKING = "tracking"
LOST = "lost"
FAILED = "failed"

# Questions in words that a stream takes at a time: one is answered, the others wait.
MOST_QUESTIONS = 4
# Tokens of an answer in words, where nobody says how many.
MAX_NEW_TOKENS = 256


@dataclass(frozen=True)
class Query:
    """A sentence to look for.

    Attributes:
        id: counts from 1, never reused.
        text: as the person wrote it.
        label: its value in `StepResult.labels_HW`, 1..255; no other query of the time has it.
        name: what others call it.
        enabled: it is followed; else it rests (docs/stream.md, rule 19).
    """

    id: int
    text: str
    label: int
    name: str = ""
    enabled: bool = True


@dataclass(frozen=True)
class QueryResult:
    """One query's answer for one frame.

    Attributes:
        id, label, text, name: the query's.
        state: SEARCHING, TRACKING, LOST or FAILED; the mask is empty unless TRACKING.
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
    name: str = ""


@dataclass(frozen=True)
class StepResult:
    """All answers for one frame.

    Attributes:
        t: number of the frame among those processed since the start; of a video, its index.
        stamp_s: the camera's; of a video, seconds from its start.
        results: one of each query that is enabled, in their order.
        mask_HW: uint8 0/255, the union of the queries' masks.
        labels_HW: uint8, 0 or the label whose logit is the highest there.
        logits_HW: float32, where a pixel has a label that label's logit; None where none has.
    """

    t: int
    stamp_s: float
    results: tuple[QueryResult, ...]
    mask_HW: np.ndarray
    labels_HW: np.ndarray
    logits_HW: np.ndarray | None = None

    def confidence_HW(self) -> np.ndarray:
        """uint8: 255 times the probability of the pixel's own label, 0 where it has no label.

        Made at each call: what nobody asks for costs nothing.
        """
        confidence_HW = np.zeros_like(self.labels_HW)
        if self.logits_HW is not None:
            labelled_HW = self.labels_HW > 0
            probabilities = 1 / (1 + np.exp(-self.logits_HW[labelled_HW]))
            confidence_HW[labelled_HW] = np.rint(255 * probabilities)
        return confidence_HW


@dataclass(frozen=True)
class Reply:
    """What there is of an answer in words.

    Attributes:
        text: the answer so far, from its beginning on.
        first_s, last_s: stamps of the oldest and the newest frame that it is about.
        ended: it is whole, or there will be no more of it.
        error: why there will be no more; None otherwise.
    """

    text: str
    first_s: float
    last_s: float
    ended: bool = False
    error: Exception | None = None


@dataclass(frozen=True, eq=False)
class Question:
    """Something to be answered in words, about what a stream has shown lately.

    Attributes:
        text: as the person wrote it.
        tell: called with a Reply when the answer begins and whenever there is more of it, on
            threads of the session; it must not wait.
        max_tokens: most tokens of the answer, the end token among them.
        cancelled: nobody wants the answer any more; set on any thread. At most what is under way
            is told then.
    """

    text: str
    tell: Callable[[Reply], None]
    max_tokens: int = MAX_NEW_TOKENS
    cancelled: Event = field(default_factory=Event)
