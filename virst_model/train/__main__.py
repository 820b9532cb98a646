"""python -m virst_model.train: trains the tiny preset on synthetic scenes, stage after stage."""

import argparse
from concurrent.futures import ThreadPoolExecutor
import json
import logging
import math
from pathlib import Path
import time

import numpy as np
import torch
from tqdm import tqdm

from virst_model.config import tiny
from virst_model.data.grammar import KNOWN_WORDS
from virst_model.train.batches import Batch, draw_batch
from virst_model.train.forward import Heads, losses, total
from virst_model.train.stages import TINY, Stage
from virst_model.train.tokenizer import train_tokenizer
from virst_model.virst import Virst, build, save

VOCAB = 512
SAVE_EVERY_S = 120.0
_log = logging.getLogger(__name__)


def main() -> None:
    """Trains the stages that are asked for and leaves weights after each, and every 2 minutes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("out/train"))
    parser.add_argument("--start", type=Path, help="a checkpoint.pt of an earlier stage")
    parser.add_argument("--stages", nargs="*", default=[s.name for s in TINY])
    parser.add_argument("--minutes", type=float, help="for each stage, instead of its own")
    parser.add_argument("--steps", type=int, help="end each stage after so many steps")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO)
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    options.out.mkdir(parents=True, exist_ok=True)

    config = tiny(VOCAB, tuple(sorted(set(KNOWN_WORDS))))
    model = build(config, options.seed, train_tokenizer(VOCAB)).train()
    heads = Heads(config.segmenter.dim, config.llm.hidden)
    if options.start:
        state = torch.load(options.start, weights_only=True)
        model.load_state_dict(state["model"])
        heads.load_state_dict(state["heads"], strict=False)  # of an earlier set of heads
    for number, stage in enumerate(TINY):
        if stage.name in options.stages:
            minutes = options.minutes or stage.minutes
            run_stage(model, heads, stage, options.seed + number, minutes, options)


def run_stage(
    model: Virst,
    heads: Heads,
    stage: Stage,
    seed: int,
    minutes: float,
    options: argparse.Namespace,
) -> None:
    """Trains one stage for `minutes` of wall time (or `options.steps`)."""
    _freeze(model, stage)
    parameters = [p for p in (*model.parameters(), *heads.parameters()) if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=stage.lr, weight_decay=0.02, betas=(0.9, 0.98))
    started = saved = time.monotonic()
    step = 0
    config = model.config
    side = config.segmenter.side
    log = (options.out / f"{stage.name}.jsonl").open("a")
    watched: dict[str, float] = {}
    drawer = ThreadPoolExecutor(1)  # draws the next batch beside the step
    ahead = drawer.submit(draw_batch, stage, side, seed, step)
    with drawer, tqdm(total=round(minutes * 60), unit="s", desc=stage.name) as bar:
        while True:
            elapsed = time.monotonic() - started
            done = step >= options.steps if options.steps else elapsed >= minutes * 60
            if done:
                break
            progress = step / options.steps if options.steps else elapsed / (minutes * 60)
            for group in optimizer.param_groups:
                group["lr"] = stage.lr * _schedule(stage, step, progress)
            batch, ahead = ahead.result(), drawer.submit(draw_batch, stage, side, seed, step + 1)
            terms, ious = losses(model, heads, batch)
            loss = total(terms, stage, config.behaviour.iou_twice)
            if not torch.isfinite(loss):
                raise SystemExit(f"{stage.name}: loss is {loss.item()} at step {step}; {terms}")
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            step += 1
            _watch(watched, loss, terms, ious, batch)
            bar.update(round(elapsed) - bar.n)
            bar.set_postfix(step=step, loss=f"{watched['loss']:.3f}")
            if step % 50 == 0:
                log.write(
                    json.dumps({"step": step, "s": round(elapsed), **_rounded(watched)}) + "\n"
                )
                log.flush()
            if time.monotonic() - saved > SAVE_EVERY_S:
                _save(model, heads, stage, options.out)
                saved = time.monotonic()
    _save(model, heads, stage, options.out)


def _freeze(model: Virst, stage: Stage) -> None:
    names = [name for name, _ in model.named_parameters()]
    for prefix in stage.frozen:
        if not any(name.startswith(prefix) for name in names):
            raise ValueError(f"{stage.name}: no parameter is called {prefix}*")
    for name, parameter in model.named_parameters():
        parameter.requires_grad = not name.startswith(stage.frozen)


def _schedule(stage: Stage, step: int, progress: float) -> float:
    falling = 0.5 * (1 + math.cos(math.pi * progress))
    return min(1.0, (step + 1) / stage.warmup) * (stage.final + (1 - stage.final) * falling)


def _watch(
    watched: dict[str, float],
    loss: torch.Tensor,
    terms: dict[str, torch.Tensor],
    ious: dict[str, torch.Tensor],
    batch: Batch,
) -> None:
    """Keeps running means of everything worth a look, IoU by kind of sentence among it."""
    now = {"loss": loss.item()} | {name: value.item() for name, value in terms.items()}
    if ious:
        now["masks"] = ious["anchor_iou"].mean().item()
    if ious and ious["tracked_iou"].numel():
        now["tracked_iou"] = ious["tracked_iou"].mean().item()
    kinds = np.array([s.kind for s in batch.sentences])
    for kind in set(kinds.tolist()):
        mine = torch.from_numpy(kinds == kind)
        now[f"iou/{kind}"] = ious["anchor_iou"][mine].mean().item()
    for name, value in now.items():
        watched[name] = 0.97 * watched.get(name, value) + 0.03 * value


def _rounded(values: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in sorted(values.items())}


def _save(model: Virst, heads: Heads, stage: Stage, out: Path) -> None:
    state = {"model": model.state_dict(), "heads": heads.state_dict()}
    torch.save(state, out / f"{stage.name}.part")
    (out / f"{stage.name}.part").rename(out / f"{stage.name}.pt")
    save(model, out / "weights")


if __name__ == "__main__":
    main()
