"""Whom words fit: for sure, and perhaps."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Referents:
    """Ids of the actors that words fit beyond doubt, and of all whom they may fit.

    `sure` is part of `may`. What words mean is certain where the two are the same.
    """

    sure: frozenset[int]
    may: frozenset[int]

    @classmethod
    def of(cls, sure: Iterable[int], may: Iterable[int] | None = None) -> Referents:
        """Without `may` there is no doubt."""
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
