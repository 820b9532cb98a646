"""The one training loop: draw, forward, backward, step; look, save, go on."""

import contextlib
from dataclasses import dataclass
import itertools
import math
from pathlib import Path
import signal
from typing import Protocol

from accelerate import Accelerator
from accelerate.utils import gather_object
import numpy as np
import torch

from virst_model.model.virst import Virst
from virst_model.train.batches import Batch
from virst_model.train.criterion import Watched
from virst_model.train.drawers import drawn_ahead
from virst_model.train.gate import look
from virst_model.train.history import write_history
from virst_model.train.journal import Journal
from virst_model.train.schedule import learning_rate
from virst_model.train.settings import Run
from virst_model.train.snapshots import TrainingError, newest
from virst_model.train.stage import Stage
from virst_model.train.state import State
from virst_model.train.trainee import Trainee

Report = dict[str, float]


@dataclass(frozen=True)
class Ending:
    """How a stage ended.

    Attributes:
        finished: all its steps are done.
        asked: SIGTERM or SIGINT came, to any of the processes, be it in the last step: nothing
            more is to be begun.
    """

    finished: bool
    asked: bool


class Batches(Protocol):
    """An endless row of batches, by number.

    Attributes:
        apart: to draw one is so much of Python's own work that processes do it.
    """

    apart: bool

    def draw(self, number: int) -> Batch:
        """Batch `number` (0, 1, ...): the same whenever it is drawn; called by others at once."""
        ...


def train(
    run: Run, stage: Stage, trainee: Trainee, batches: Batches, accelerator: Accelerator
) -> Ending:
    """Trains a stage to its end, from its beginning or from the newest checkpoint.

    Step, draw and dropout follow from (seed, number of the batch) alone. Process r of W takes the
    numbers r, r + W, ..., so that W processes with `accumulate` batches each do what one does
    with W times as many.

    SIGTERM or SIGINT ends it after the step that it is at, with a checkpoint.

    Raises:
        TrainingError: the loss is not a number, or a checkpoint cannot be written or read.
    """
    state = State(run, stage, trainee, accelerator)
    step, drawn = state.restore()
    several = accelerator.num_processes > 1
    numbers = itertools.count(drawn + accelerator.process_index, accelerator.num_processes)
    with contextlib.ExitStack() as stack:
        drawn_batches = drawn_ahead(batches.draw, numbers, run.drawers, batches.apart)
        ahead = stack.enter_context(contextlib.closing(drawn_batches))
        stop = stack.enter_context(Stop())
        journal, ended = None, False
        if accelerator.is_main_process:
            if step < stage.steps:
                write_history(run, stage)
            journal = Journal(Path(run.out), stage.name, step, stage.steps)
            stack.callback(journal.close)
        while step < stage.steps and not ended:
            state.set_rate(learning_rate(stage, step))
            reports = []
            for _ in range(stage.accumulate):
                number, batch = next(ahead)
                batch = batch.to(accelerator.device)
                torch.manual_seed(_seed(run.seed, number))
                with accelerator.accumulate(state.wrapped):
                    loss, terms, watched = state.wrapped(batch, touch=several)
                    accelerator.backward(loss)
                    if accelerator.sync_gradients:
                        accelerator.clip_grad_norm_(trainee.trained().values(), stage.clip)
                    state.optimizer.step()
                    state.optimizer.zero_grad()
                reports.append(_report(batch, loss, terms, watched))
            step += 1
            drawn += stage.accumulate * accelerator.num_processes
            report, ended = _shared(reports, stop.requested)
            _check(report, step, Path(run.out))
            if journal:
                journal.advance(report)
                if step % run.log_every == 0 or step == stage.steps:
                    journal.write(step, {**report, "lr": learning_rate(stage, step - 1)})
                filmed = watched is not None and batch.frames.known is None
                if run.picture_every and step % run.picture_every == 0 and filmed:
                    journal.show(step, batch, watched)
                if run.sight_every and step % run.sight_every == 0:
                    journal.tell(step, _look(accelerator, trainee.model))
            if step % run.save_every == 0 or step == stage.steps or ended:
                state.save(step, drawn)
        asked = ended or any(gather_object([stop.requested]))  # while it was saved, too
    return Ending(step == stage.steps, asked)


class Stop:
    """While it is entered, SIGTERM or SIGINT asks for an end after the step, not at once.

    A second SIGINT does not wait: it raises KeyboardInterrupt, as ever.

    Attributes:
        requested: whether one of them came.
    """

    def __init__(self) -> None:
        self.requested = False

    def __enter__(self) -> "Stop":
        signals = (signal.SIGTERM, signal.SIGINT)
        self._before = {number: signal.signal(number, self._ask) for number in signals}
        return self

    def __exit__(self, *error: object) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)

    def _ask(self, number: int, frame: object) -> None:
        if self.requested and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.requested = True


def _look(accelerator: Accelerator, model: Virst) -> dict[str, float]:
    """As `look`; a stage may train float32 parts among others, which autocast brings together."""
    with accelerator.autocast():
        return look(model)


def _seed(seed: int, number: int) -> int:
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0])


def _report(
    batch: Batch, loss: torch.Tensor, terms: dict[str, torch.Tensor], watched: Watched | None
) -> Report:
    report = {"loss": loss.item()} | {name: value.item() for name, value in terms.items()}
    if watched is None:
        return report
    report["anchor_iou"] = watched.anchor_iou.mean().item()
    if watched.tracked_iou.numel():
        report["tracked_iou"] = watched.tracked_iou.mean().item()
    ious, kinds = watched.anchor_iou.mean(dim=1).tolist(), batch.sentences.kinds
    for kind in sorted(set(kinds)):
        of_kind = [iou for iou, its in zip(ious, kinds, strict=True) if its == kind]
        report[f"iou/{kind}"] = sum(of_kind) / len(of_kind)
    return report


def _shared(reports: list[Report], stop: bool) -> tuple[Report, bool]:
    """Means over the batches of all processes, and whether any of them is to stop.

    All processes must act on what concerns one of them, so each gets the same.
    """
    gathered = gather_object([(reports, stop)])
    every = [report for theirs, _ in gathered for report in theirs]
    names = {name for report in every for name in report}
    each = {name: [report[name] for report in every if name in report] for name in names}
    means = {name: sum(values) / len(values) for name, values in each.items()}
    return means, any(stop for _, stop in gathered)


def _check(report: Report, step: int, out: Path) -> None:
    if math.isfinite(report["loss"]):
        return
    terms = ", ".join(f"{name} {value:.3g}" for name, value in sorted(report.items()))
    last = newest(out)
    raise TrainingError(
        f"{out}: step {step}: the loss is {report['loss']} ({terms}); the newest checkpoint is "
        f"{last.name if last else 'none'}: go on from it with a lower lr"
    )
