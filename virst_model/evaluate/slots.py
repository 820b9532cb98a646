"""The three slots of a training, and which stage fills each: how the rows of a table are trained.

Sec. A.3 of arXiv 2603.27060: an ablation of the stages (Table 9) always trains three times, each
slot for its own number of steps, so that all rows are trained equally long. A stage that is left
out is replaced: its slot is run with the configuration of another. The section says both that the
"configuration" is another stage's and that "hyperparameters" are "identical"; our reading is that
what trains, learning rate, schedule and propagation come together, as that stage's configuration,
and that the number of steps is the slot's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
import os
from pathlib import Path
import subprocess
import sys

from virst_model.errors import UsageError

# The slots in order, named after the stages that they are made for.
SLOTS = ("alignment", "few_image", "propagation")
# The stage that fills each slot, of each row of Table 9.
LEFT_OUT = {
    "stages 1, 2, 3": ("alignment", "few_image", "propagation"),
    "without stage 1": ("few_image", "few_image", "propagation"),
    "stage 3 only": ("propagation", "propagation", "propagation"),
}


class TrainingFailed(UsageError):
    """A row could not be trained; `str()` is one line."""


@dataclass(frozen=True)
class Training:
    """From what rows are trained, on what, and how long.

    Attributes:
        start: a folder of weights.
        preset: of the stages: "7b" or "tiny".
        data: "synthetic", or the folder of the data sets.
        steps: of each slot; none: those of the preset.
        out: a folder below which each row has its own. What two rows share is trained once, and
            what was stopped goes on.
        device: "cpu" keeps it off a GPU that is there.
    """

    start: Path
    preset: str
    data: str
    steps: tuple[int, ...]
    out: Path
    device: str

    def duration(self) -> str:
        """How long the slots are trained, in words for a title."""
        if not self.steps:
            return f"the {self.preset} preset's steps"
        return f"{'/'.join(map(str, self.steps))} steps in slots 1/2/3"

    def settings(self, stages: Sequence[str]) -> list[list[str]]:
        """What `virst train` is told of each slot that a row's stages fill, in order."""
        settings, start = [], self.start
        for slot, stage, folder in zip(SLOTS, stages, self._folders(stages), strict=False):
            changes = [f"preset={self.preset}", f"data={self.data}", f"slot={slot}"]
            if self.steps:
                steps = self.steps[SLOTS.index(slot)]
                changes += [f"steps={steps}", f"warmup={steps // 10}"]
            changes += [f"start={start}", f"out={folder}"]
            settings.append([stage, *changes])
            start = folder / "weights"
        return settings

    def run(self, stages: Sequence[str]) -> Path:
        """Trains the slots, one from the other, as programs of their own; the last one's weights.

        Raises:
            TrainingFailed: one of them ended with an error, which it has said, or was asked to
                end before its time.
        """
        on_cpu = {"ACCELERATE_USE_CPU": "true"} if self.device == "cpu" else {}
        slots = zip(stages, self.settings(stages), self._folders(stages), strict=True)
        for stage, settings, folder in slots:
            before = _written(folder / "weights")
            command = [sys.executable, "-m", "virst_model", "train", *settings]
            env = {**os.environ, **on_cpu}
            ended = subprocess.run(command, env=env, stdout=subprocess.DEVNULL)
            if ended.returncode:
                raise TrainingFailed(f"{stage}: training ended with status {ended.returncode}")
            # A finished training writes its weights, also where it was finished before.
            if _written(folder / "weights") == before:
                raise TrainingFailed(
                    f"{stage}: training was asked to end early, in {folder}; the same command "
                    "goes on with it"
                )
        return folder / "weights"

    def _folders(self, stages: Sequence[str]) -> list[Path]:
        """Of each slot, named after all that its weights were trained by."""
        return [self.out / "_".join(stages[: number + 1]) for number in range(len(stages))]


def _written(folder: Path) -> int:
    """When a file in a folder was written last, in ns; 0 where there is none."""
    return max((path.stat().st_mtime_ns for path in folder.glob("*")), default=0)
