"""What the rows of the paper's tables are: the same model set otherwise, or trained otherwise."""

from collections.abc import Callable, Iterator
import copy
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from virst_model.checkpoints.load import load as load_weights
from virst_model.checkpoints.load import save
from virst_model.checkpoints.switches import with_behaviour
from virst_model.config import VirstConfig
from virst_model.errors import UsageError
from virst_model.evaluate.slots import LEFT_OUT, SLOTS, Training
from virst_model.model.anchors import STRATEGIES
from virst_model.model.fusion import MlpFusion
from virst_model.model.virst import Virst

# Table 6.
ALPHAS = (2, 3, 4, 6, 8)
# Initial and Second ST-Fusion of each row of Table 4.
FUSIONS = ((False, "mlp"), (True, "mlp"), (False, "attention"), (True, "attention"))
# Stages of each row of Table 8.
AFTER_EACH_STAGE = tuple(SLOTS[:count] for count in (1, 2, 3))
# What the recipe trunks.yaml leaves of stage 0, below the folder of a training.
TRUNKS_FOLDER = Path("trunks/tracking")

# Of what is pointed at, layers of `Pointing` that each row closes (ours, not the paper's).
INTO_FUSION, INTO_PROMPTS = ("to_queries", "to_memory"), ("to_prompt",)
CLOSED_WAYS = {
    "with pointing": (),
    "not into the fusion's queries": ("to_queries",),
    "not into the fusion": INTO_FUSION,
    "not into the prompts": INTO_PROMPTS,
    "into neither": (*INTO_FUSION, *INTO_PROMPTS),
}

# A row's name, and the model that it is about.
Line = tuple[str, Virst]
# A folder of weights -> the model, where the program runs it.
Load = Callable[[Path], Virst]


def anchor_rows(model: Virst, guide: str) -> Iterator[Line]:
    """Table 5, Sec. 4.4: which of the sampled frames are anchors; `guide` is what scores them.

    The first frame and the guided one are "single-frame baselines", with one anchor.
    """
    for name in STRATEGIES:
        title = f"guided, one anchor by {guide}" if name == "guided" else name
        yield title, with_behaviour(model, anchors=name)


def alpha_rows(model: Virst, alphas: tuple[int, ...] = ALPHAS) -> Iterator[Line]:
    """Table 6: how many anchors a frame reads."""
    for alpha in alphas:
        yield f"alpha {alpha}", with_behaviour(model, alpha=alpha)


def fusion_rows(training: Training, load: Load) -> Iterator[Line]:
    """Table 4: stages 1 and 2 from the same weights, less the fusion that a row has not.

    Raises:
        UsageError: the weights' own second fusion is no attention.
        TrainingFailed: a row could not be trained.
    """
    for initial, second in FUSIONS:
        name = f"{'initial and ' if initial else ''}{second}"
        out = training.out / name.replace(" ", "_")
        _write_variant(training.start, initial, second, out / "start")
        row = replace(training, start=out / "start", out=out)
        yield name, load(row.run(SLOTS[:2]))


def check_start(config: VirstConfig) -> None:
    """Raises UsageError where Table 4 cannot start from weights of `config`."""
    second = config.fusion.second
    if second != "attention":
        raise UsageError(
            f"--start: Table 4 starts from a second fusion of attention, not {second}"
        )


def _write_variant(start: Path, initial: bool, second: str, folder: Path) -> None:
    """The weights with other fusions; an MLP begins with random ones, the same each time.

    In float32, whatever a row is scored in: a training goes on from what its start holds.
    """
    model = load_weights(start, dtype=torch.float32)
    check_start(model.config)
    own = model.config.fusion
    model.config = replace(model.config, fusion=replace(own, initial=initial, second=second))
    if second == "mlp":
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model.second_fusion = MlpFusion(model.config)
    save(model, folder, torch.float32)


def pointing_rows(model: Virst) -> Iterator[Line]:
    """Ours: the same weights, told less of where [ST] points; nothing is trained for a row.

    A way that is closed adds nothing, as all do before they are trained.
    """
    own = model.pointing
    for name, closed in CLOSED_WAYS.items():
        model.pointing = copy.deepcopy(own)
        for way in closed:
            for parameter in getattr(model.pointing, way).parameters():
                nn.init.zeros_(parameter)
        yield name, model
    model.pointing = own


def check_pointing(config: VirstConfig) -> None:
    """Raises UsageError where weights of `config` do not point."""
    if not config.pointing:
        raise UsageError("--model: these weights do not point; give those of a model that does")


def stage_rows(training: Training, load: Load) -> Iterator[Line]:
    """Table 8: the same start, trained by the stages of each row."""
    yield "none", load(training.start)
    for stages in AFTER_EACH_STAGE:
        yield " + ".join(stages), load(training.run(stages))


def left_out_rows(training: Training, load: Load) -> Iterator[Line]:
    """Table 9, Sec. A.3: three slots each, a stage that is left out replaced by another."""
    for name, stages in LEFT_OUT.items():
        yield name, load(training.run(stages))


def trained_rows(trained: Path, load: Load) -> Iterator[Line]:
    """Table 8 of a training that was run: what each stage left under its own folder."""
    yield "none", load(trained / TRUNKS_FOLDER / "weights")
    for stages in AFTER_EACH_STAGE:
        yield " + ".join(stages), load(trained / stages[-1] / "weights")
