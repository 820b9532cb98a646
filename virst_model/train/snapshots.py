"""A run's state on disk, from which it goes on as if it had never ended.

`out/checkpoints/step-000100/` holds the parameters that train, the optimiser and how far the run
is; everything that is drawn by lot follows from that. The rest of the model is where it started.
"""

from collections.abc import Iterator
import contextlib
import dataclasses
from dataclasses import dataclass
import json
import os
from pathlib import Path
import shutil
import zlib

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
import torch

from virst_model.checkpoints.saved import SavedError, load_saved
from virst_model.train.trainee import Trainee

FOLDER = "checkpoints"
KEPT = 2
TRAINED, OPTIMIZER, PROGRESS = "weights.safetensors", "optimizer.pt", "progress.json"
PART = ".part"


class TrainingError(Exception):
    """A run cannot go on; `str()` is one line."""


def unwritable(out: Path, error: Exception) -> TrainingError:
    """What to raise where files in `out` cannot be written; it names the newest checkpoint."""
    reason, last = " ".join(str(error).split()), newest(out)
    return TrainingError(
        f"{out}: cannot be written ({reason}); the newest checkpoint is "
        f"{last.name if last else 'none'}: make room and start again with resume=auto"
    )


@dataclass(frozen=True)
class Progress:
    """How far a run is.

    Attributes:
        stage: its name.
        step: steps of the optimiser that are done.
        drawn: batches that all processes have used; the number of the next one.
        processes: how many there were.
        start: fingerprint of what does not train.
    """

    stage: str
    step: int = 0
    drawn: int = 0
    processes: int = 1
    start: int = 0


def newest(out: Path) -> Path | None:
    """The newest checkpoint of a run, or None; one that was not finished is none."""
    checkpoints = _all(out)
    return checkpoints[-1] if checkpoints else None


def save_snapshot(
    out: Path, progress: Progress, trainee: Trainee, optimizer: torch.optim.Optimizer | None
) -> None:
    """Writes a checkpoint beside the others, then names it; the newest two are kept.

    `optimizer` None leaves it out (DeepSpeed writes its own beside).

    Raises:
        TrainingError: it cannot be written; those before it stay.
    """
    with _named(out, progress.step) as part:
        weights = {name: _stored(p) for name, p in trainee.trained().items()}
        save_file(weights, part / TRAINED)
        if optimizer is not None:
            # Through a file of Python, which says why a write failed.
            with (part / OPTIMIZER).open("wb") as file:
                torch.save(optimizer.state_dict(), file)
        (part / PROGRESS).write_text(json.dumps(dataclasses.asdict(progress)))
        _flush(part)
    for old in _all(out)[:-KEPT]:
        shutil.rmtree(old)


def _flush(folder: Path) -> None:
    """Writes files through to the disk, which may only now say that it is full: OSError."""
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())


def fingerprint(trainee: Trainee) -> int:
    """A CRC of the beginnings of the parameters that do not train.

    A checkpoint, which leaves them out, fits only where it is the same.
    """
    crc = 0
    for parameter in trainee.parameters():
        if not parameter.requires_grad:
            some = parameter.detach().flatten()[:64].float().cpu().numpy()
            crc = zlib.crc32(some.tobytes(), crc)
    return crc


def read_progress(folder: Path) -> Progress:
    """How far the run of a checkpoint was; TrainingError where it cannot be read."""
    try:
        progress = Progress(**json.loads((folder / PROGRESS).read_text()))
        for name, value in dataclasses.asdict(progress).items():
            if type(value) is not type(getattr(Progress(""), name)):
                raise ValueError(f"{name} is {value!r} in {PROGRESS}")
        return progress
    except (OSError, ValueError, TypeError) as error:
        raise TrainingError(_unusable(folder, error)) from None


def restore(folder: Path, trainee: Trainee, optimizer: torch.optim.Optimizer | None) -> None:
    """Puts back what `save_snapshot` wrote.

    Raises:
        TrainingError: the checkpoint is damaged, or of a run that trains something else.
    """
    trained = trainee.trained()
    try:
        weights = load_file(folder / TRAINED)
        if weights.keys() != trained.keys():
            other = min(weights.keys() ^ trained.keys())
            raise ValueError(f"{other} does not train in both")
        for name, parameter in trained.items():
            parameter.data.copy_(weights[name])
        if optimizer is not None:
            optimizer.load_state_dict(load_saved(folder / OPTIMIZER))
    except (OSError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise TrainingError(_unusable(folder, error)) from None
    except (SafetensorError, SavedError) as error:
        raise TrainingError(_unusable(folder, error)) from None


def _all(out: Path) -> list[Path]:
    """Finished checkpoints, oldest first."""
    return sorted((out / FOLDER).glob("step-[0-9]*"))


@contextlib.contextmanager
def _named(out: Path, step: int) -> Iterator[Path]:
    """A folder that gets its name once everything is in it."""
    folder = out / FOLDER / f"step-{step:08}"
    part = out / FOLDER / f"{PART}-{step:08}"
    try:
        for left in (out / FOLDER).glob(f"{PART}-*"):  # by a run that was killed while it wrote
            shutil.rmtree(left)
        part.mkdir(parents=True)
        yield part
        if folder.exists():
            shutil.rmtree(folder)
        part.rename(folder)
    except (OSError, RuntimeError, SafetensorError) as error:
        shutil.rmtree(part, ignore_errors=True)
        raise unwritable(out, error) from None


def _stored(parameter: torch.Tensor) -> torch.Tensor:
    return parameter.detach().cpu().contiguous()


def _unusable(folder: Path, error: Exception) -> str:
    reason = " ".join(str(error).split())
    return f"{folder}: cannot be gone on from ({reason}); delete it, or give another out"
