"""What a run says of itself: a bar, a JSON line and TensorBoard scalars a step, pictures."""

from collections.abc import Iterator, Mapping
import contextlib
import json
from pathlib import Path
import time
from typing import TextIO

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from virst_model.answer import TRACKING, QueryResult, StepResult
from virst_model.model.virst import IMAGE_MEAN, IMAGE_STD
from virst_model.overlay import draw_overlay
from virst_model.train.batches import Batch
from virst_model.train.criterion import Watched
from virst_model.train.snapshots import unwritable

LOG = "log.jsonl"
PICTURE = (512, 512)  # small ones are drawn larger, so that captions can be read
ON_THE_BAR = ("loss", "ce", "bce", "dice", "iou", "occ", "anchor_iou")


class Journal:
    """`out/log.jsonl` and `out/tensorboard`; of a run that goes on, what came after is dropped."""

    def __init__(self, out: Path, name: str, step: int, steps: int) -> None:
        self._started = time.monotonic()
        self._out = out
        with _writing(out):
            self._log = _reopened(out / LOG, step)
            self._board = SummaryWriter(out / "tensorboard", purge_step=step + 1)
        self._bar = tqdm(total=steps, initial=step, desc=name, unit="step", dynamic_ncols=True)

    def advance(self, report: Mapping[str, float]) -> None:
        """A step is done: moves the bar."""
        postfix = {name: f"{report[name]:.3f}" for name in ON_THE_BAR if name in report}
        self._bar.set_postfix(postfix, refresh=False)
        self._bar.update()

    def write(self, step: int, report: Mapping[str, float]) -> None:
        """Logs the values of a step.

        Raises:
            TrainingError: they cannot be written.
        """
        line = {"step": step, "s": round(time.monotonic() - self._started, 1)}
        line |= {name: float(f"{value:.6g}") for name, value in sorted(report.items())}
        with _writing(self._out):
            self._log.write(json.dumps(line) + "\n")
            self._log.flush()
            for name, value in report.items():
                self._board.add_scalar(name, value, step)
            self._board.flush()

    def tell(self, step: int, report: Mapping[str, float]) -> None:
        """As `write`, and says it above the bar.

        Raises:
            TrainingError: as `write`.
        """
        self.write(step, report)
        said = ", ".join(f"{name} {value:.1f}" for name, value in report.items())
        self._bar.write(f"step {step}: {said}")

    def show(self, step: int, batch: Batch, watched: Watched) -> None:
        """Two pictures of the first video's first anchor: what was found, and the truth.

        The number at a sentence is the IoU of its mask.

        Raises:
            TrainingError: they cannot be written.
        """
        frame, sentences = batch.frames.anchors[0], batch.sentences
        rows = (sentences.video == 0).nonzero()[:, 0].cpu()
        picture = _picture(batch.frames.pixels[0, frame])
        texts = [sentences.texts[row] for row in rows]
        masks = F.interpolate(watched.first_logits[rows, None], PICTURE, mode="bilinear")[:, 0] > 0
        truth = F.interpolate(batch.truth[rows, None, frame].float(), PICTURE)[:, 0] > 0
        ious = watched.anchor_iou[rows, 0].tolist()
        for name, drawn, scores in (("found", masks, ious), ("truth", truth, [1.0] * len(rows))):
            overlay = draw_overlay(picture, _answers(texts, scores, drawn.cpu().numpy()))
            rgb = np.ascontiguousarray(overlay[..., ::-1])
            with _writing(self._out):
                self._board.add_image(name, rgb, step, dataformats="HWC")

    def close(self) -> None:
        """Ends the bar and writes what is not yet written."""
        self._bar.close()
        with contextlib.suppress(OSError):  # said already, where it was written
            self._board.close()
        with contextlib.suppress(OSError):
            self._log.close()


@contextlib.contextmanager
def _writing(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise unwritable(out, error) from None


def _reopened(path: Path, step: int) -> TextIO:
    """The log to add to, without the lines after `step`."""
    lines = path.read_text().splitlines() if path.exists() else []
    kept = [line for line in lines if _step_of(line) <= step]
    part = path.with_suffix(".part")
    part.write_text("".join(f"{line}\n" for line in kept))
    part.replace(path)
    return path.open("a")


def _step_of(line: str) -> float:
    """Infinite where the line was cut off by the end of its run."""
    try:
        return json.loads(line)["step"]
    except ValueError:
        return float("inf")


def _picture(pixels_3HW: torch.Tensor) -> np.ndarray:
    """The uint8 RGB frame that was normalised, at PICTURE's size."""
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (IMAGE_MEAN, IMAGE_STD))
    image = (pixels_3HW.cpu().float() * std + mean).clamp(0, 1) * 255
    rgb = image.round().byte().permute(1, 2, 0).contiguous().numpy()
    return cv2.resize(rgb, PICTURE)


def _answers(texts: list[str], scores: list[float], masks_QHW: np.ndarray) -> StepResult:
    """What `draw_overlay` takes, of one frame."""
    results = []
    for number, (text, score, mask) in enumerate(zip(texts, scores, masks_QHW, strict=True), 1):
        ys, xs = np.nonzero(mask)
        box = (0, 0, 0, 0)
        if len(xs):
            x, y = int(xs.min()), int(ys.min())
            box = (x, y, int(xs.max()) - x + 1, int(ys.max()) - y + 1)
        results.append(QueryResult(number, number, text, TRACKING, score, 1.0, mask, box, len(xs)))
    empty = np.zeros(masks_QHW.shape[1:], np.uint8)
    return StepResult(0, 0.0, tuple(results), empty, empty)
