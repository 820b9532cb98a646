"""A sentence about a story, and whom it means at every time."""

from __future__ import annotations

import bisect
from dataclasses import dataclass

import numpy as np

from virst_model.synthetic.fit import Fit
from virst_model.synthetic.timeline import stretches
from virst_model.synthetic.trajectory import TICK_S

KINDS = (
    *("attribute", "relation", "superlative", "plural", "motion", "time", "reasoning"),
    *("shift", "none"),
)


@dataclass(frozen=True)
class Sentence:
    """A sentence of kind KINDS and the actors that it means.

    All kinds but `shift` mean the same actors from the beginning to the end, also while they
    cannot be seen, and nobody who looks at the whole story could doubt whom.

    Attributes:
        spans: (from when in s, ids), in order of time; the first begins before the story.
        decided_s: time of the deciding event of a sentence of kind `time`; 0 for all others.
        unsure: (from, to) in s, while a sentence of kind `shift` passes from one actor to the
            next and two people might not agree.
    """

    text: str
    kind: str
    spans: tuple[tuple[float, tuple[int, ...]], ...]
    decided_s: float = 0.0
    unsure: tuple[tuple[float, float], ...] = ()

    def object_ids(self, t_s: float) -> tuple[int, ...]:
        """Ids of the actors that it means at `t_s`, in ascending order; () is nobody."""
        return self.spans[bisect.bisect_right(self.spans, t_s, key=_start) - 1][1]


def _start(span: tuple[float, tuple[int, ...]]) -> float:
    return span[0]


@dataclass(frozen=True)
class Claim:
    """A sentence that might be said of a story.

    `fit` is whom its words fit; `plural` whether it may be several. A claim that may fit nobody
    is a sentence of kind `none`.
    """

    kind: str
    text: str
    fit: Fit
    plural: bool = False
    decided_s: float = 0.0

    @property
    def holds(self) -> bool:
        """Whether it means somebody, beyond doubt: one, or where it is plural at least two."""
        count = len(self.fit.sure)
        return self.fit.is_certain and (count >= 2 if self.plural else count == 1)

    def sentence(self) -> Sentence:
        """As it is said: of kind `none` where it means nobody."""
        ids = tuple(sorted(self.fit.sure))
        kind, decided_s = (self.kind, self.decided_s) if ids else ("none", 0.0)
        return Sentence(self.text, kind, ((-np.inf, ids),), decided_s)


def shifting(text: str, truth_AT: np.ndarray, doubt_T: np.ndarray) -> Sentence:
    """A sentence of kind `shift` that means actor a + 1 at tick t where truth_AT[a, t]."""
    changes = np.flatnonzero((truth_AT[:, 1:] != truth_AT[:, :-1]).any(axis=0)) + 1
    spans = []
    for tick in [0, *changes.tolist()]:
        ids = tuple((np.flatnonzero(truth_AT[:, tick]) + 1).tolist())
        spans.append((_between(tick) if tick else -np.inf, ids))
    unsure = tuple((_between(start), _between(end)) for start, end in stretches(doubt_T))
    return Sentence(text, "shift", tuple(spans), unsure=unsure)


def _between(tick: int) -> float:
    """A tick speaks for the time until halfway to its neighbours."""
    return round((tick - 0.5) * TICK_S, 4)
