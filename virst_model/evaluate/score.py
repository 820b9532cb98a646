"""Compares masks on disk with a data set's truth, expression by expression."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from virst_model.data.record import Expression, MaskReader, Record
from virst_model.errors import FileError
from virst_model.evaluate.metrics import accuracy, boundary, region, robustness
from virst_model.evaluate.predictions import Predictions


@dataclass(frozen=True)
class Score:
    """What one expression got. Shares are 0..1.

    Attributes:
        j, f: means over the frames that count: from the first answer on, and for a sentence about
            time from its deciding event on. One that is never answered counts from frame 0 on.
        j_all, f_all: means over all frames, what the benchmarks print.
        a, r: accuracy and robustness (ReVOS); None where the data set names no foreground.
        first: the first answered frame; None: never, or nothing was predicted.
        frames: of the record.
        overlap, union: pixels over all frames, for cIoU.
        course: J&F of each frame.
        missing: there is no prediction, which scores 0.
        rate: of a stream, answers of the language model a minute; None: not of a stream.
    """

    record: str
    expression: str
    kind: str
    text: str
    j: float
    f: float
    j_all: float
    f_all: float
    a: float | None
    r: float | None
    first: int | None
    frames: int
    overlap: int
    union: int
    course: tuple[float, ...]
    missing: bool = False
    rate: float | None = None

    @property
    def jf(self) -> float:
        """J&F over the frames that count."""
        return (self.j + self.f) / 2


def score(
    record: Record,
    expression: Expression,
    predictions: Predictions,
    foreground: MaskReader | None = None,
    ignored: MaskReader | None = None,
) -> Score:
    """The score of an expression; 0 where it has not been predicted.

    A mask that is missing within a prediction counts as empty there. Pixels that are `ignored`
    are in neither mask, as LISA's IoU and, for the boundary, DAVIS' void pixels have it.

    Raises:
        FileError: there is no truth, or it does not fit the predicted masks.
    """
    if expression.mask is None:
        raise FileError(record.id, f"expression {expression.id} has no truth to compare with")
    outcome = predictions.outcome(record, expression)
    truth_THW = np.stack([expression.mask(t) for t in range(len(record.frames))])
    masks_THW = np.zeros_like(truth_THW)
    for t in range(len(record.frames) if outcome else 0):
        mask_HW = predictions.mask(record, expression, t)
        if mask_HW is None:
            continue
        if mask_HW.shape != truth_THW.shape[1:]:
            raise FileError(
                record.frames[t],
                f"the mask of {expression.id} is {mask_HW.shape}, the truth {truth_THW.shape[1:]}",
            )
        masks_THW[t] = mask_HW
    if ignored is not None:
        counts = ~np.stack([ignored(t) for t in range(len(record.frames))])
        truth_THW, masks_THW = truth_THW & counts, masks_THW & counts
    j, f = region(truth_THW, masks_THW), boundary(truth_THW, masks_THW)
    if outcome is None:
        j, f = np.zeros_like(j), np.zeros_like(f)
    first = outcome.first if outcome else None
    start = min(max(first or 0, expression.decided), len(j) - 1)
    a = r = None
    if foreground is not None:
        all_THW = np.stack([foreground(t) for t in range(len(record.frames))])
        a = float(accuracy(truth_THW, masks_THW).mean()) if outcome else 0.0
        r = float(robustness(truth_THW, masks_THW, all_THW).mean()) if outcome else 0.0
    return Score(
        record=record.id,
        expression=expression.id,
        kind=expression.kind,
        text=expression.text,
        j=float(j[start:].mean()),
        f=float(f[start:].mean()),
        j_all=float(j.mean()),
        f_all=float(f.mean()),
        a=a,
        r=r,
        first=first,
        frames=len(j),
        overlap=int((truth_THW & masks_THW).sum()),
        union=int((truth_THW | masks_THW).sum()),
        course=tuple(((j + f) / 2).round(4).tolist()),
        missing=outcome is None,
        rate=outcome.rate if outcome else None,
    )


ALL = "J&F all frames"  # a column: what the benchmarks print
RATE = "groundings a minute"  # a column of streams: answers of the language model, a sentence
# A row of a table: the name of a column -> its value, percent or a number.
Row = dict[str, float]


def video_row(scores: Sequence[Score]) -> Row:
    """J, F and J&F in percent over the frames that count, and over all frames."""
    j, f = _percent(s.j for s in scores), _percent(s.f for s in scores)
    j_all, f_all = _percent(s.j_all for s in scores), _percent(s.f_all for s in scores)
    row = {"expressions": len(scores), "J": j, "F": f, "J&F": (j + f) / 2}
    row[ALL] = (j_all + f_all) / 2
    if all(s.a is not None for s in scores):
        row |= {"A": _percent(s.a for s in scores), "R": _percent(s.r for s in scores)}
    rates = [s.rate for s in scores if s.rate is not None]
    if rates:
        row[RATE] = float(np.mean(rates))
    row["never answered"] = sum(s.first is None for s in scores)
    return row


def image_row(scores: Sequence[Score]) -> Row:
    """gIoU, the mean of the images' IoU, and cIoU, of all their pixels together; percent."""
    overlap, union = sum(s.overlap for s in scores), sum(s.union for s in scores)
    return {
        "expressions": len(scores),
        "gIoU": _percent(s.j_all for s in scores),
        "cIoU": 100 * overlap / union if union else 100.0,
    }


def table_rows(
    scores: Sequence[Score], row: Callable[[Sequence[Score]], Row], parts: Sequence[str] = ()
) -> dict[str, Row]:
    """A row a kind of expression, and "overall".

    Args:
        scores: at least one.
        row: makes a row of some scores.
        parts: kinds whose mean is "overall", as ReVOS has it (referring and reasoning); without,
            it is over all expressions.
    """
    kinds: dict[str, list[Score]] = defaultdict(list)
    for scored in scores:
        kinds[scored.kind or "all"].append(scored)
    rows = {kind: row(mine) for kind, mine in sorted(kinds.items())} if len(kinds) > 1 else {}
    chosen = [rows[part] for part in parts if part in rows]
    if chosen and len(chosen) == len(parts):
        rows["overall"] = {
            name: _sum_or_mean([part[name] for part in chosen]) for name in chosen[0]
        }
    else:
        rows["overall"] = row(scores)
    return rows


def markdown(rows: dict[str, Row]) -> str:
    """The rows as a Markdown table."""
    columns = list(next(iter(rows.values())))
    lines = ["| |" + "|".join(f" {column} " for column in columns) + "|"]
    lines.append("|---" * (len(columns) + 1) + "|")
    for name, row in rows.items():
        cells = [
            str(value) if isinstance(value, int) else f"{value:.1f}" for value in row.values()
        ]
        lines.append(f"| {name} |" + "|".join(f" {cell} " for cell in cells) + "|")
    return "\n".join(lines) + "\n"


def _percent(values: Iterable[float]) -> float:
    return 100 * float(np.mean(list(values)))


def _sum_or_mean(values: list[float]) -> float:
    return sum(values) if isinstance(values[0], int) else float(np.mean(values))
