"""python -m virst_model.evaluate.tables N: a table of the paper on synthetic stories.

    python -m virst_model.evaluate.tables 5                      anchor strategies
    python -m virst_model.evaluate.tables 6                      alpha
    python -m virst_model.evaluate.tables 4 --steps 200          fusion, retrained
    python -m virst_model.evaluate.tables 8 --steps 200          after each stage of training
    python -m virst_model.evaluate.tables 8 --trained out/train  after each stage of a training
    python -m virst_model.evaluate.tables 9 --steps 200          stages left out

Tables 5 and 6 need no training. The rows of the others are trained from the same weights,
`--steps` optimiser steps a stage; they are real, and say how small they are.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
import subprocess
import sys

import cv2
import numpy as np
import torch

from virst_model.anchors import STRATEGIES
from virst_model.checkpoints import WeightsError
from virst_model.command_line import (
    UsageError,
    add_model_options,
    fail,
    load_model,
    set_up_logging,
)
from virst_model.data.synthetic import RGB
from virst_model.evaluate.stories import StoryRun, evaluate, with_behaviour
from virst_model.virst import TINY, Virst, build, load, save

ALPHAS = (2, 3, 4, 6, 8)
# Initial and Second ST-Fusion of each row of Table 4.
FUSIONS = ((False, "mlp"), (True, "mlp"), (False, "attention"), (True, "attention"))
# Stages of each row.
AFTER_EACH_STAGE = (
    ("alignment",),
    ("alignment", "few_image"),
    ("alignment", "few_image", "propagation"),
)
# What config/train/trunks.yaml leaves of stage 0, below the folder of a training.
TRUNKS = Path("trunks/tracking")
LEFT_OUT = (
    ("propagation",),
    ("few_image", "propagation"),
    ("alignment", "few_image", "propagation"),
)
# How far a pixel may be from a colour that a sentence names, in RGB.
NEAR = 60.0

Line = tuple[str, Virst]


class TrainingFailed(UsageError):
    """A row could not be trained; `str()` is one line."""


def anchor_rows(model: Virst) -> Iterator[Line]:
    """Table 5."""
    for name in STRATEGIES:
        yield name, with_behaviour(model, anchors=name)


def alpha_rows(model: Virst) -> Iterator[Line]:
    """Table 6."""
    for alpha in ALPHAS:
        yield f"alpha {alpha}", with_behaviour(model, alpha=alpha)


def fusion_rows(model: Virst, out: Path, steps: int) -> Iterator[Line]:
    """Table 4: each variant starts from the same weights, less what it does not have."""
    for initial, second in FUSIONS:
        name = f"{'initial and ' if initial else ''}{second}"
        folder = out / name.replace(" ", "_")
        fusion = replace(model.config.fusion, initial=initial, second=second)
        variant = build(replace(model.config, fusion=fusion), 0, model.tokenizer)
        known = variant.state_dict()
        same = {n: x for n, x in model.state_dict().items() if n in known}
        variant.load_state_dict(same, strict=False)
        save(variant, folder / "start", torch.float32)
        yield name, load(_train(("alignment", "few_image"), folder / "start", folder, steps))


def stage_rows(
    start: Path, out: Path, rows: Sequence[tuple[str, ...]], steps: int
) -> Iterator[Line]:
    """Tables 8 and 9: the same start, trained by the stages of each row."""
    yield "none", load(start)
    for stages in rows:
        yield " + ".join(stages), load(_train(stages, start, out, steps))


def trained_rows(trained: Path) -> Iterator[Line]:
    """Table 8 of a training that was run: what each stage left under its own folder."""
    yield "none", load(trained / TRUNKS / "weights")
    for stages in AFTER_EACH_STAGE:
        yield " + ".join(stages), load(trained / stages[-1] / "weights")


def _train(stages: Sequence[str], start: Path, out: Path, steps: int) -> Path:
    """Trains the stages, one from the other, as programs of their own; the last one's weights.

    A folder is named after all stages that led to it: what two rows share is trained once.
    """
    configs = Path(__file__).parents[2] / "config" / "train"
    for number, stage in enumerate(stages, start=1):
        folder = out / "_".join(stages[:number])
        settings = ["preset=tiny", "data=synthetic", f"steps={steps}", f"warmup={steps // 10}"]
        command = [sys.executable, "-m", "virst_model.train", str(configs / f"{stage}.yaml")]
        ended = subprocess.run([*command, *settings, f"start={start}", f"out={folder}"])
        if ended.returncode:
            raise TrainingFailed(f"{stage}: training ended with status {ended.returncode}")
        start = folder / "weights"
    return start


def colour_score(image_HW3: np.ndarray, text: str) -> float:
    """Share of the picture in the colours that a sentence names: CLIP's part in Table 5."""
    named = [rgb for word, rgb in RGB.items() if word in text.lower().split()]
    small = cv2.resize(image_HW3, (64, 48), interpolation=cv2.INTER_AREA).astype(np.float32)
    near = [np.linalg.norm(small - np.float32(rgb), axis=2) < NEAR for rgb in named]
    return float(np.mean(near)) if near else 0.0


def print_table(lines: Iterator[Line], run: StoryRun, title: str) -> None:
    """Each row as soon as it is measured."""
    size = f"{run.videos} stories, {run.mode}"
    sys.stdout.write(f"{title} ({size})\n\n| | sentences | J | J&F |\n|---|---|---|---|\n")
    for name, model in lines:
        row = evaluate(model, run, colour_score)["rows"]["overall"]
        sys.stdout.write(f"| {name} | {row['sentences']} | {row['J']:.1f} | {row['J&F']:.1f} |\n")
        sys.stdout.flush()


def _chosen(options: argparse.Namespace) -> tuple[Iterator[Line], str]:
    """The rows of the table that is asked for, and its title."""
    model, start = load_model(options), options.model or TINY
    out, size = options.out / f"{options.steps}_steps", f"{options.steps} steps a stage"
    if options.table == 4:
        return fusion_rows(model, out, options.steps), f"Table 4, fusion, {size}"
    if options.table == 5:
        return anchor_rows(model), "Table 5, anchor strategies"
    if options.table == 6:
        return alpha_rows(model), "Table 6, alpha"
    if options.table == 9:
        lines = stage_rows(start, out, LEFT_OUT, options.steps)
        return lines, f"Table 9, stages left out, {size}"
    if options.trained:
        return trained_rows(options.trained), f"Table 8, after each stage, {options.trained}"
    lines = stage_rows(start, out, AFTER_EACH_STAGE, options.steps)
    return lines, f"Table 8, after each stage, {size}"


def main(arguments: Sequence[str] | None = None) -> int:
    """The program; 2 where an option cannot be used or a row not be trained, said in one line."""
    parser = argparse.ArgumentParser(
        prog="python -m virst_model.evaluate.tables",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("table", type=int, choices=(4, 5, 6, 8, 9))
    parser.add_argument("--videos", type=int, default=40)
    parser.add_argument("--kinds", default="attribute,motion,relation", help="a sentence of each")
    parser.add_argument("--steps", type=int, default=200, help="a stage, of retrained rows")
    parser.add_argument(
        "--trained",
        type=Path,
        metavar="DIR",
        help="Table 8 of the stages that were trained to DIR/trunks, DIR/alignment, ...",
    )
    parser.add_argument("--threads", type=int, default=2, help="CPU threads")
    parser.add_argument("--out", type=Path, default=Path("out/tables"), metavar="DIR")
    add_model_options(parser)
    options = parser.parse_args(arguments)
    set_up_logging()
    torch.set_num_threads(options.threads)
    run = StoryRun(videos=options.videos, kinds=tuple(options.kinds.split(",")), mode="offline")
    try:
        lines, title = _chosen(options)
        print_table(lines, run, title)
    except (UsageError, WeightsError) as error:
        return fail(error)
    return 0


if __name__ == "__main__":
    sys.exit(main())
