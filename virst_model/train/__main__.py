"""virst train STAGE.yaml [key=value ...]: trains a stage, or goes on with it.

    virst train config/train/propagation.yaml preset=tiny data=synthetic start=
    virst train config/train/propagation.yaml preset=tiny data=ROOT start=
    accelerate launch -m virst_model train config/train/propagation.yaml data=ROOT start=DIR

The first trains the packaged model on synthetic scenes, the second on the data sets or your own
footage in ROOT (docs/datasets.md, docs/finetune.md), the third the full model on several GPUs. The
same command goes on with a run that ended early.
"""

from collections.abc import Sequence
import dataclasses
import os
from pathlib import Path
import sys

from accelerate import Accelerator
from accelerate.utils import parse_flag_from_env
from safetensors import SafetensorError
import torch

from virst_model.arguments import Parser
from virst_model.checkpoints.device import DeviceError, choose_device
from virst_model.checkpoints.options import set_up_logging, writable
from virst_model.data.mixture import Mixture, open_mixture
from virst_model.errors import UsageError, fail, program
from virst_model.train.guide import guide
from virst_model.train.loop import Batches, train
from virst_model.train.scene_samples import SceneSamples
from virst_model.train.scenes import SceneBatches
from virst_model.train.settings import Run, read_settings
from virst_model.train.snapshots import TrainingError, unwritable
from virst_model.train.stages import STAGES, SceneDraws, Stage
from virst_model.train.trainee import Trainee, make_trainee, save_weights
from virst_model.train.windows import Samples, WindowBatches

FAILED = 1  # exit status: a run that had begun
FINISHED = """{stage}: finished; the weights are in {weights}. Next:
    virst segment VIDEO --query "the red circle" --model {weights}
"""


@program
def main(arguments: Sequence[str] | None = None) -> int:
    """The program; 2 where a setting or an input cannot be used, 1 where a run broke off."""
    parser = Parser(
        prog="virst train",
        description=__doc__,
        epilog=guide(),
    )
    parser.add_argument("stage", type=Path, metavar="STAGE.yaml", help="in config/train/")
    parser.add_argument("changes", nargs="*", metavar="key=value", help="stronger than the file")
    options = parser.parse_args(arguments)
    set_up_logging()
    try:
        run, stages = read_settings(options.stage, options.changes)
        said = _train_all(run, stages)
    except TrainingError as error:
        fail(error)
        return FAILED
    sys.stdout.write(said)
    return 0


def _train_all(run: Run, stages: Sequence[Stage]) -> str:
    """Each stage in a folder of its own where there are several, from the weights before.

    Returns:
        What to say at the end; nothing where another process says it.
    """
    torch.set_num_threads(run.threads)
    on_cpu = _on_cpu()
    bf16 = run.precision == "bf16" or (run.precision == "auto" and not on_cpu)
    accelerator = Accelerator(mixed_precision="bf16" if bf16 else "no", cpu=on_cpu)
    together = STAGES[run.stage, run.preset]
    names = [stage.name for stage in together]
    for stage in stages:
        number = names.index(stage.name)
        out = Path(run.out, stage.name) if len(together) > 1 else Path(run.out)
        one = dataclasses.replace(run, out=str(out), seed=run.seed + number)
        if not _train_one(one, stage, accelerator):
            said = f"{stage.name}: ended early; the same command goes on from {out}\n"
            break
        run = dataclasses.replace(run, start=str(out / "weights"))
        said = FINISHED.format(stage=stage.name, weights=run.start)
    return said if accelerator.is_main_process else ""


def _on_cpu() -> bool:
    """Whether to train on the CPU: accelerate is told to, or there is no GPU that computes.

    One of several processes has a GPU of its own; it cannot go to the CPU while others do not.

    Raises:
        UsageError: its GPU cannot be used.
    """
    if parse_flag_from_env("ACCELERATE_USE_CPU"):
        return True
    several = "LOCAL_RANK" in os.environ and torch.cuda.is_available()
    try:
        return choose_device(f"cuda:{os.environ['LOCAL_RANK']}" if several else "auto") == "cpu"
    except DeviceError as error:
        raise UsageError(f"{error}, which is ACCELERATE_USE_CPU=true") from None


def _train_one(run: Run, stage: Stage, accelerator: Accelerator) -> bool:
    """Trains a stage and leaves its weights; False where it was asked to end early."""
    out = Path(run.out)
    writable(out, "out")
    bf16 = accelerator.mixed_precision == "bf16"
    dtype = torch.bfloat16 if bf16 else torch.float32
    trainee = make_trainee(run, stage, dtype)
    batches = _open_batches(run, stage, trainee)
    finished = train(run, stage, trainee, batches, accelerator)
    if finished and accelerator.is_main_process:
        try:
            save_weights(trainee, out / "weights")
        except (OSError, SafetensorError) as error:
            raise unwritable(out, error) from None
    accelerator.free_memory()
    accelerator.wait_for_everyone()
    return finished


def _open_batches(run: Run, stage: Stage, trainee: Trainee) -> Batches:
    if isinstance(stage.draws, SceneDraws):
        return SceneBatches(stage.draws, trainee.model.config.segmenter.side, run.seed)
    samples, model = _open_samples(run), trainee.model
    if isinstance(samples, Mixture) and samples.in_words:
        model.config = dataclasses.replace(model.config, answers=True)
    return WindowBatches(samples, model, stage.draws, run.seed)


def _open_samples(run: Run) -> Samples:
    if run.data == "synthetic":
        return SceneSamples(run.seed, run.sentences)
    return open_mixture(run.data, run.seed, run.sentences, run.sets, run.ratios)
