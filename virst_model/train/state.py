"""What changes while a run trains: prepared by Accelerate, saved, and restored."""

import logging
from pathlib import Path

from accelerate import Accelerator, DistributedType
from accelerate.utils import gather_object
import torch

from virst_model.train.settings import Run
from virst_model.train.snapshots import (
    Progress,
    TrainingError,
    fingerprint,
    newest,
    read_progress,
    restore,
    save_snapshot,
)
from virst_model.train.stage import Stage
from virst_model.train.trainee import Trainee

_log = logging.getLogger(__name__)


class State:
    """Parameters and optimiser of a run, with DeepSpeed or without.

    Attributes:
        wrapped, optimizer: as Accelerate prepared them; to call, and to step.
    """

    def __init__(self, run: Run, stage: Stage, trainee: Trainee, accelerator: Accelerator) -> None:
        self._run, self._stage, self._out = run, stage, Path(run.out)
        self._trainee, self._accelerator = trainee, accelerator
        self._deepspeed = accelerator.distributed_type == DistributedType.DEEPSPEED
        self._start = fingerprint(trainee)
        accelerator.gradient_accumulation_steps = stage.accumulate
        self._plain = torch.optim.AdamW(
            trainee.trained().values(),
            lr=stage.lr,
            weight_decay=stage.weight_decay,
            betas=stage.betas,
        )
        self.wrapped: torch.nn.Module = trainee
        self.optimizer: torch.optim.Optimizer = self._plain

    def restore(self) -> tuple[int, int]:
        """Prepares everything; returns the steps that are done and the batches that are drawn.

        Raises:
            TrainingError: there is a checkpoint, and the run cannot go on from it.
        """
        folder, name = newest(self._out), self._stage.name
        if folder and self._run.resume == "never":
            raise TrainingError(
                f"{folder}: out holds a run already; go on with resume=auto, or give another out"
            )
        done = read_progress(folder) if folder else Progress(name)
        if done.stage != name:
            raise TrainingError(f"{folder}: is of the stage {done.stage}, not {name}")
        if folder and done.start != self._start:
            raise TrainingError(
                f"{folder}: is of a run with another start; give that start, or another out"
            )
        if folder:
            restore(folder, self._trainee, None if self._deepspeed else self._plain)
        self._prepare()
        if folder and self._deepspeed:
            self._restore_engine(folder, done)
        return done.step, done.drawn

    def set_rate(self, rate: float) -> None:
        """Sets the learning rate of the next step."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate

    def save(self, step: int, drawn: int) -> None:
        """Writes a checkpoint; all processes call it.

        Raises:
            TrainingError: in all of them, where the main one cannot write it.
        """
        processes = self._accelerator.num_processes
        progress = Progress(self._stage.name, step, drawn, processes, self._start)
        reason = ""
        if self._accelerator.is_main_process:
            try:
                plain = None if self._deepspeed else self._plain
                save_snapshot(self._out, progress, self._trainee, plain)
            except TrainingError as error:
                reason = str(error)
        reasons = [text for text in gather_object([reason]) if text]
        if reasons:
            raise TrainingError(reasons[0])
        if self._deepspeed:
            self.wrapped.save_checkpoint(newest(self._out), tag="deepspeed")

    def _prepare(self) -> None:
        plugin = self._accelerator.state.deepspeed_plugin
        if plugin is not None:
            plugin.deepspeed_config |= {
                "train_micro_batch_size_per_gpu": 1,
                "gradient_accumulation_steps": self._stage.accumulate,
                "gradient_clipping": self._stage.clip,
            }
        exact = {name: buffer.clone() for name, buffer in self._trainee.named_buffers()}
        self.wrapped, self.optimizer = self._accelerator.prepare(self._trainee, self._plain)
        # DeepSpeed rounds tables of positions, too; those would be other positions.
        for name, buffer in self._trainee.named_buffers():
            buffer.data = exact[name].to(buffer.device)

    def _restore_engine(self, folder: Path, done: Progress) -> None:
        """Each process of DeepSpeed holds its part of the optimiser's state."""
        if done.processes == self._accelerator.num_processes:
            self.wrapped.load_checkpoint(folder, tag="deepspeed")
        else:
            _log.warning(
                "%s was saved by %d processes, now there are %d: the moments of AdamW start anew",
                folder,
                done.processes,
                self._accelerator.num_processes,
            )
