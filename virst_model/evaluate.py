"""python -m virst_model.evaluate: how well a stream follows sentences on held-out scenes.

Every scene runs once through a synchronous `Session` with all its sentences at once, and once
with a query that is swapped half-way for another object.
"""

import argparse
from collections import defaultdict
import json
from pathlib import Path
import sys

import numpy as np
import torch
from tqdm import tqdm

from virst_model.data.synthetic import Scene, Sentence, make_scene
from virst_model.metrics import boundary, region
from virst_model.session import Session, SessionOptions
from virst_model.structs import SEARCHING, Query
from virst_model.virst import Virst, load

SWAPPED = 0.5  # IoU with the new object from which on a swap counts as followed


def follow(
    model: Virst, scene: Scene, sentences: list[Sentence], frames: int, options: argparse.Namespace
) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """Runs one stream.

    Returns:
        masks (Q, T, H, W) bool; ids (T, H, W), the truth; and for each sentence the first frame
        that is answered, 0 for one that never is, so that silence is scored as it is.
    """
    queries = tuple(Query(i + 1, s.text, i + 1) for i, s in enumerate(sentences))
    masks, truth = [], []
    answered = [frames] * len(queries)
    with Session(model, _session_options(options)) as session:
        session.set_queries(queries)
        for t in range(frames):
            frame, ids = scene.render(t / options.fps, options.height, options.width)
            results = session.step(frame, t / options.fps).results
            masks.append([r.mask_HW for r in results])
            truth.append(ids)
            for index, result in enumerate(results):
                if result.state != SEARCHING:
                    answered[index] = min(answered[index], t)
    first = [0 if t == frames else t for t in answered]
    return np.array(masks).swapaxes(0, 1), np.stack(truth), first


def swap(model: Virst, scene: Scene, pair: tuple[Sentence, Sentence], options) -> bool:
    """Whether the mask goes over to the second sentence's object within the second half."""
    frames, half = options.frames, options.frames // 2
    hits = []
    with Session(model, _session_options(options)) as session:
        for t in range(frames):
            if t in (0, half):
                index = int(t == half)
                session.set_queries((Query(index + 1, pair[index].text, 1),))
            frame, ids = scene.render(t / options.fps, options.height, options.width)
            mask = session.step(frame, t / options.fps).results[0].mask_HW
            if t >= half + half // 2:
                truth = np.stack([np.isin(ids, s.object_ids) for s in pair])
                hits.append(region(truth, np.stack([mask, mask])))
    old, new = np.mean(hits, axis=0)
    return bool(new >= SWAPPED and new > old)


def evaluate(model: Virst, options: argparse.Namespace) -> dict:
    """J, F and J&F (percent) by kind of sentence, and the share of swaps that are followed."""
    scores: dict[str, list[tuple[float, float]]] = defaultdict(list)
    swaps, waited = [], []
    for seed in tqdm(range(options.videos), unit="video"):
        scene = make_scene(seed, options.split, duration_s=options.frames / options.fps)
        sentences = list(scene.sentences(per_kind=1))
        masks, ids, first = follow(model, scene, sentences, options.frames, options)
        for sentence, mask, start in zip(sentences, masks, first, strict=True):
            truth = np.isin(ids, sentence.object_ids)
            j = region(truth[start:], mask[start:]).mean()
            f = boundary(truth[start:], mask[start:]).mean()
            scores[sentence.kind].append((j, f))
            waited.append(start / options.fps)
        pair = _different(sentences)
        if pair:
            swaps.append(swap(model, scene, pair, options))
    rows = {kind: _row(values) for kind, values in sorted(scores.items())}
    every = [pair for values in scores.values() for pair in values]
    rows["overall"] = _row(every)
    return {
        "split": options.split,
        "videos": options.videos,
        "frames": options.frames,
        "fps": options.fps,
        "size": [options.height, options.width],
        "grounding_delay_frames": options.delay,
        "kinds": rows,
        "swap": {"followed": round(100 * float(np.mean(swaps)), 1), "swaps": len(swaps)},
        "first_answer_s": round(float(np.mean(waited)), 2),
    }


def _row(values: list[tuple[float, float]]) -> dict[str, float]:
    j, f = 100 * np.mean(values, axis=0)
    return {
        "sentences": len(values),
        "J": round(float(j), 1),
        "F": round(float(f), 1),
        "J&F": round(float(j + f) / 2, 1),
    }


def _different(sentences: list[Sentence]) -> tuple[Sentence, Sentence] | None:
    single = [s for s in sentences if len(s.object_ids) == 1]
    named = [s for s in single if s.kind in ("colour", "colour_shape", "shape", "size")]
    for one in named:
        for other in named:
            if one.object_ids != other.object_ids:
                return one, other
    return None


def _session_options(options: argparse.Namespace) -> SessionOptions:
    return SessionOptions(sync=True, grounding_delay_frames=options.delay)


def main() -> None:
    """Prints a table and writes results.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, help="folder of weights; the packaged tiny ones")
    parser.add_argument("--split", default="test", choices=("train", "valid", "test"))
    parser.add_argument("--videos", type=int, default=60)
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--fps", type=float, default=10.0)
    parser.add_argument("--height", type=int, default=240)
    parser.add_argument("--width", type=int, default=320)
    parser.add_argument("--delay", type=int, default=1, help="frames that a grounding takes")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("out/evaluate"))
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    results = evaluate(load(options.model), options)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "results.json").write_text(json.dumps(results, indent=1))
    sys.stdout.write(table(results))


def table(results: dict) -> str:
    """The results as a Markdown table."""
    lines = ["| kind | sentences | J | F | J&F |", "|---|---|---|---|---|"]
    for kind, row in results["kinds"].items():
        lines.append(f"| {kind} | {row['sentences']} | {row['J']} | {row['F']} | {row['J&F']} |")
    swaps = results["swap"]
    lines.append(f"\nSwaps followed: {swaps['followed']} % of {swaps['swaps']}.")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
