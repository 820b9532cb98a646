"""A sentence about a scene or a story, whom it means at every time, and a question in words."""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

Ids = tuple[int, ...]
Span = tuple[float, float]


@dataclass(frozen=True)
class Sentence:
    """A sentence and the objects that it means.

    All kinds but `shift` mean the same objects from the beginning to the end, also while they
    cannot be seen, and nobody who looks at the whole scene or story could doubt which.

    Attributes:
        kind: one of KINDS, of scenes (`scene_sentences`) or of stories (`stories`).
        spans: (from when in s, ids), in order of time; the first begins before time 0.
        decided_s: time of the deciding event of a sentence of kind `time`; 0 for all others.
        unsure: (from, to) in s, while a sentence of kind `shift` passes from one object to the
            next and two people might not agree.
        deed_s: from when to when in s one must have looked to know whom it means; None where a
            look at any time is enough.
    """

    text: str
    kind: str
    spans: tuple[tuple[float, Ids], ...]
    decided_s: float = 0.0
    unsure: tuple[tuple[float, float], ...] = ()
    deed_s: Span | None = None

    @classmethod
    def of(
        cls, text: str, kind: str, ids: Ids, decided_s: float = 0.0, deed_s: Span | None = None
    ) -> Sentence:
        """A sentence that means the same objects all the time."""
        return cls(text, kind, ((-np.inf, ids),), decided_s, deed_s=deed_s)

    def object_ids(self, t_s: float) -> Ids:
        """Ids of the objects that it means at `t_s`, in ascending order; () is none."""
        return self.spans[bisect.bisect_right(self.spans, t_s, key=_start) - 1][1]

    def masks(self, ids_THW: np.ndarray, times_s: Sequence[float]) -> np.ndarray:
        """bool (T, H, W): the visible pixels of what it means at each time of the id maps."""
        pairs = zip(ids_THW, times_s, strict=True)
        return np.stack([np.isin(ids_HW, self.object_ids(t_s)) for ids_HW, t_s in pairs])


def _start(span: tuple[float, Ids]) -> float:
    return span[0]


@dataclass(frozen=True)
class Question:
    """A question and what is right to answer, both as sentences.

    Attributes:
        ids: of the objects that are to be looked at for the answer; none where nobody is meant.
    """

    text: str
    answer: str
    ids: Ids = ()


@dataclass(frozen=True)
class Referents:
    """Ids of the actors that words fit beyond doubt, and of all whom they may fit.

    `sure` is part of `may`. What words mean is certain where the two are the same.
    """

    sure: frozenset[int]
    may: frozenset[int]

    @classmethod
    def of(cls, sure: Iterable[int], may: Iterable[int] | None = None) -> Referents:
        """`may` need not repeat `sure`; without it there is no doubt."""
        certain = frozenset(sure)
        return cls(certain, certain if may is None else certain | frozenset(may))

    @property
    def is_certain(self) -> bool:
        """Whether nobody is in doubt."""
        return self.sure == self.may

    @property
    def is_one(self) -> bool:
        """Whether it is exactly one actor, beyond doubt."""
        return len(self.sure) == 1 == len(self.may)

    def __and__(self, other: Referents) -> Referents:
        return Referents(self.sure & other.sure, self.may & other.may)

    def __sub__(self, other: Referents) -> Referents:
        return Referents(self.sure - other.may, self.may - other.sure)


@dataclass(frozen=True)
class Claim:
    """A sentence that might be said of a story.

    Attributes:
        kind: what it is if it means somebody; `none` if nobody.
        referents: whom its words fit.
        plural: whether it may mean several.
        decided_s, deed_s: as in `Sentence`.
    """

    kind: str
    text: str
    referents: Referents
    plural: bool = False
    decided_s: float = 0.0
    deed_s: Span | None = None

    @property
    def holds(self) -> bool:
        """Whether it means somebody, beyond doubt: one, or where it is plural at least two."""
        count = len(self.referents.sure)
        return self.referents.is_certain and (count >= 2 if self.plural else count == 1)

    def sentence(self) -> Sentence:
        """As it is said: of kind `none` where it means nobody."""
        ids = tuple(sorted(self.referents.sure))
        if not ids:
            return Sentence.of(self.text, "none", ids)
        return Sentence.of(self.text, self.kind, ids, self.decided_s, self.deed_s)
