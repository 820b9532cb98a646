"""virst train STAGE ... [key=value ...]: trains stages one after the other, or goes on with it.

    virst train propagation preset=tiny data=synthetic start=
    virst train propagation preset=tiny data=ROOT start=
    virst train trunks alignment few_image propagation preset=tiny data=synthetic out=out/tiny
    accelerate launch -m virst_model train propagation data=ROOT start=DIR

The first trains the packaged model on synthetic scenes, the second on the data sets or your own
footage in ROOT (docs/datasets.md, docs/finetune.md), the third a tiny model from nothing, each
stage from the one before, and the fourth the full model on several GPUs. The same command goes on
with a run that ended early, by Ctrl-C or SIGTERM after the step that it is at; a finished run is
gone on with where `steps` is larger, and by no other settings.
"""

from collections.abc import Sequence
import dataclasses
from itertools import takewhile
import logging
import os
from pathlib import Path
import signal
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
from virst_model.synthetic.photographs import NOTHING, Photographs, read_photographs
from virst_model.train.cache import CachedBatches, CachedWindows, WindowMaker
from virst_model.train.chain import read_chain, weights_of
from virst_model.train.guide import guide
from virst_model.train.history import check_history, steps_done
from virst_model.train.loop import Batches, Ending, train
from virst_model.train.settings import Run, recipes
from virst_model.train.snapshots import TrainingError, unwritable
from virst_model.train.stage import CachedDraws, SceneDraws, Stage
from virst_model.train.synthetic import SyntheticBatches, SyntheticSamples
from virst_model.train.trainee import Trainee, make_trainee, save_weights
from virst_model.train.windows import Samples, WindowBatches

_log = logging.getLogger(__name__)

FAILED = 1  # exit status: a run that had begun
FINISHED = """{stage}: finished; the weights are in {weights}. Next:
    virst segment VIDEO --query "the red circle" --model {weights}
"""
ALREADY = "{stage}: already finished, {steps} steps; the weights are in {weights}\n"
EARLY = "{stage}: ended early; the same command goes on from {out}\n"
NOT_BEGUN = "{stage}: not begun, as asked; the same command goes on with it\n"


@program
def main(arguments: Sequence[str] | None = None) -> int:
    """The program; 2 where a setting or an input cannot be used, 1 where a run broke off."""
    parser = Parser(
        prog="virst train",
        description=__doc__,
        epilog=guide(),
    )
    parser.add_argument(
        "stage", metavar="STAGE", help=f"{', '.join(recipes())}, or a YAML file of your own"
    )
    parser.add_argument(
        "words",
        nargs="*",
        metavar="STAGE|key=value",
        help="more stages, each from the one before; then what is stronger than their files",
    )
    options = parser.parse_args(arguments)
    set_up_logging()
    more = list(takewhile(lambda word: "=" not in word, options.words))
    # Before the first step as Ctrl-C: there is nothing to save yet.
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        chain = read_chain([options.stage, *more], options.words[len(more) :])
        message = _train_all(chain)
    except TrainingError as error:
        fail(error)
        return FAILED
    finally:
        signal.signal(signal.SIGTERM, before)
    sys.stdout.write(message)
    return 0


def _train_all(chain: Sequence[tuple[Run, Stage]]) -> str:
    """Trains each stage, from the weights of the one before.

    Returns:
        What to say at the end; nothing where another process says it.
    """
    on_cpu, precision = _on_cpu(), chain[0][0].precision
    bf16 = precision == "bf16" or (precision == "auto" and not on_cpu)
    accelerator = Accelerator(mixed_precision="bf16" if bf16 else "no", cpu=on_cpu)
    message, asked = "", False
    for run, stage in chain:
        if asked:
            message += NOT_BEGUN.format(stage=stage.name)
            break
        torch.set_num_threads(run.threads)
        was_finished = steps_done(Path(run.out)) == stage.steps
        ending = _train_one(run, stage, accelerator)
        if not ending.finished:
            message += EARLY.format(stage=stage.name, out=run.out)
            break
        asked = ending.asked
        said = ALREADY if was_finished else FINISHED
        message += said.format(stage=stage.name, steps=stage.steps, weights=weights_of(run))
    return message if accelerator.is_main_process else ""


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


def _train_one(run: Run, stage: Stage, accelerator: Accelerator) -> Ending:
    """Trains a stage and, where it is finished, leaves its weights."""
    out = Path(run.out)
    writable(out, "out")
    remark = check_history(run, stage)
    if remark and accelerator.is_main_process:
        _log.warning("%s", remark)
    bf16 = accelerator.mixed_precision == "bf16"
    dtype = torch.bfloat16 if bf16 else torch.float32
    trainee = make_trainee(run, stage, dtype)
    batches = _open_batches(run, stage, trainee)
    ending = train(run, stage, trainee, batches, accelerator)
    if ending.finished and accelerator.is_main_process:
        try:
            save_weights(trainee, weights_of(run))
        except (OSError, SafetensorError) as error:
            raise unwritable(out, error) from None
    accelerator.free_memory()
    accelerator.wait_for_everyone()
    return ending


def _open_batches(run: Run, stage: Stage, trainee: Trainee) -> Batches:
    if isinstance(stage.draws, SceneDraws):
        photographs = _open_photographs(run)
        side, drawn = trainee.model.config.segmenter.side, bool(stage.objective.distil)
        return SyntheticBatches(stage.draws, side, run.seed, photographs, drawn)
    if isinstance(stage.draws, CachedDraws):
        return _open_windows(run, stage.draws, trainee)
    samples, model = _open_samples(run), trainee.model
    if isinstance(samples, Mixture) and samples.in_words:
        model.config = dataclasses.replace(model.config, answers=True)
    return WindowBatches(samples, model, stage.draws, run.seed)


def _open_windows(run: Run, draws: CachedDraws, trainee: Trainee) -> CachedBatches:
    """The windows of the model's encoders, filled where there is a folder for them."""
    maker = WindowMaker(trainee.model, draws, _open_photographs(run))
    if not run.cache:
        return CachedBatches(maker, draws, run.seed)
    windows = CachedWindows(maker, Path(run.cache), draws.count)
    windows.fill(run.drawers)
    return CachedBatches(windows, draws, run.seed)


def _open_photographs(run: Run) -> Photographs:
    return read_photographs(run.photographs) if run.photographs else NOTHING


def _open_samples(run: Run) -> Samples:
    if run.data == "synthetic":
        return SyntheticSamples(run.seed, run.sentences)
    return open_mixture(run.data, run.seed, run.sentences, run.sets, run.ratios)
