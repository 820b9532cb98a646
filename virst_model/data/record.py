"""What every data set becomes: pictures on disk, what is said of them, and the truth.

A family's file (`rvos.py`, `refer.py`, ...) reads the layout and annotation format of its data
sets and gives `Records`; training, evaluation and `virst data check` know no other
form. Nothing is decoded before it is asked for: a record holds paths and run-length codes.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

# The truth at a frame (its place in Record.frames): bool (H, W) of the picture's own size.
# Raises FileError where annotation and picture do not fit together.
MaskReader = Callable[[int], np.ndarray]
NAMED = 10  # of what is left out for one reason, where people are told


@dataclass(frozen=True)
class Expression:
    """Something said about a record.

    Attributes:
        id: its name in the data set, for the layouts that evaluation servers take.
        text: the sentence, as the annotation has it; white space is not touched here.
        mask: the truth, or None where there is none: a test split, or an answer in words.
        answer: the answer in words, or None where the answer is a mask.
        kind: the data set's own word for what sort of sentence it is ("referring", "reasoning",
            "motion", ...), or empty.
        decided: frame of the deciding event of a sentence about time; 0 for all others.
    """

    id: str
    text: str
    mask: MaskReader | None = None
    answer: str | None = None
    kind: str = ""
    decided: int = 0


@dataclass(frozen=True)
class Record:
    """A video (frames in order) or a still image (one frame), and everything said about it.

    Attributes:
        foreground: all objects of a frame, where the data set's protocol asks for them (ReVOS).
        still: a still image; a video of one frame is none.
        ignored: pixels that a protocol may leave out of its scores (ReasonSeg).
    """

    id: str
    frames: tuple[Path, ...]
    expressions: tuple[Expression, ...]
    foreground: MaskReader | None = None
    still: bool = False
    ignored: MaskReader | None = None


@dataclass(frozen=True)
class LeftOut:
    """Something of a data set that cannot be used.

    Attributes:
        name: of a video or a picture; of a sentence about it RECORD/EXPRESSION.
        reason: in words that are the same for all of a kind ("video without all its frames", ...).
        detail: which file it lacks, or what is wrong with it; or empty.
    """

    name: str
    reason: str
    detail: str = ""


def reasons(left_out: Sequence[LeftOut]) -> Iterator[str]:
    """A line a reason, for people: how many there are, and the first NAMED with their details."""
    by_reason: dict[str, list[LeftOut]] = defaultdict(list)
    for one in left_out:
        by_reason[one.reason].append(one)
    for reason, those in sorted(by_reason.items()):
        names = [f"{one.name} ({one.detail})" if one.detail else one.name for one in those[:NAMED]]
        more = [f"{len(those) - NAMED} more"] if len(those) > NAMED else []
        yield f"{len(those)}, {reason}: {', '.join(names + more)}"


@dataclass
class Records:
    """A split of a data set, as it was found on disk.

    Attributes:
        records: what can be used.
        left_out: what cannot.
        unmarked: frames that nobody drew a mask for, which are none of a record's (own footage).
    """

    records: list[Record] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    unmarked: int = 0

    def leave_out(self, name: str, reason: str, detail: str = "") -> None:
        """Says what cannot be used, and why: see LeftOut."""
        self.left_out.append(LeftOut(name, reason, detail))

    @property
    def skipped(self) -> Counter[str]:
        """How many of each reason are left out, frames without a mask among them."""
        counts = Counter(one.reason for one in self.left_out)
        return counts + Counter({"frame without a mask": self.unmarked})

    @property
    def expressions(self) -> int:
        """How many sentences there are in all."""
        return sum(len(record.expressions) for record in self.records)
