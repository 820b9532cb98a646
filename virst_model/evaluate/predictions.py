"""Masks on disk, in the layout that the evaluation servers of MeViS and Ref-YouTube-VOS take.

FOLDER/Annotations/RECORD/EXPRESSION/FRAME.png, 0/255, and FOLDER/answers/RECORD/EXPRESSION.json,
which is written last: an expression that has it is done, one without it is done again.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
import json
import os
from pathlib import Path, PurePosixPath
import shutil

import cv2
import numpy as np

from virst_model.data.record import Expression, Record
from virst_model.errors import FileError


class ResultsError(FileError):
    """The folder of results cannot be used: no run goes on without it."""


@dataclass(frozen=True)
class Outcome:
    """What is known of an expression that is done.

    Attributes:
        frames: how many masks there are.
        first: the first frame that was answered, not searched on; None: never.
        rate: of a stream, answers of the language model a minute; None: not of a stream.
    """

    frames: int
    first: int | None
    rate: float | None = None


class Predictions:
    """The masks of one run, and which expressions of a record are done.

    Its methods raise ResultsError where a name leads out of `folder`, or a file in it cannot be
    read or written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.masks = folder / "Annotations"
        self._answers = folder / "answers"

    def outcome(self, record: Record, expression: Expression) -> Outcome | None:
        """What is known of an expression that is done; None where it is not."""
        path = self._answer_file(record, expression)
        try:
            note = json.loads(path.read_text(encoding="utf-8"))
            return Outcome(note["frames"], note["first"], note.get("rate"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ResultsError(path, f"is no answer ({error}); delete it to do it again") from None

    def mask(self, record: Record, expression: Expression, index: int) -> np.ndarray | None:
        """bool (H, W) of a frame; None where there is none."""
        path = self.files(record, expression)[index]
        if not path.exists():
            return None
        mask_HW = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        if mask_HW is None:
            raise ResultsError(path, "is no mask; delete it to do its sentence again")
        return mask_HW > 127

    def files(self, record: Record, expression: Expression) -> list[Path]:
        """Where the masks of an expression are, or will be: a file a frame."""
        folder = self._folder(record, expression)
        return [folder / f"{frame.stem}.png" for frame in record.frames]

    def missing(self, record: Record) -> list[Expression]:
        """The expressions of a record that are not done, or whose masks are not all there."""
        return [e for e in record.expressions if not self._is_done(record, e)]

    def begin(self, record: Record, expression: Expression) -> Path:
        """An empty folder for the masks of an expression; what a killed run left goes."""
        folder = self._folder(record, expression)
        self._answer_file(record, expression).unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder

    def end(self, record: Record, expression: Expression, answer: Outcome) -> None:
        """Says that all masks of an expression are there."""
        path = self._answer_file(record, expression)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        part.write_text(json.dumps(asdict(answer)), encoding="utf-8")
        os.replace(part, path)

    def _is_done(self, record: Record, expression: Expression) -> bool:
        if self.outcome(record, expression) is None:
            return False
        folder = self._folder(record, expression)
        there = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
        return there.issuperset(f"{frame.stem}.png" for frame in record.frames)

    def _folder(self, record: Record, expression: Expression) -> Path:
        return self.masks / _inside(record.id) / _inside(expression.id)

    def _answer_file(self, record: Record, expression: Expression) -> Path:
        return self._answers / _inside(record.id) / f"{_inside(expression.id)}.json"


def write_mask(folder: Path, frame: Path, mask_HW: np.ndarray) -> None:
    """A bool mask as a 0/255 PNG with its frame's name.

    Raises ResultsError where it cannot be written.
    """
    path = folder / f"{frame.stem}.png"
    try:
        path.write_bytes(cv2.imencode(".png", mask_HW.astype(np.uint8) * 255)[1].tobytes())
    except OSError as error:
        raise ResultsError(path, f"cannot be written ({error.strerror})") from None


def share(records: Sequence[Record], process: int, processes: int) -> Iterator[Record]:
    """The records of process number `process` (from 0) of several: every `processes`-th."""
    return iter(records[process::processes])


def _inside(name: str) -> PurePosixPath:
    """A data set's name as a path below our folder, whatever the data set says."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise ResultsError(name, "is a name that leads out of the folder of results")
    return path
