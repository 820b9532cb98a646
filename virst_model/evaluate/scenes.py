"""How well a stream follows sentences on held-out synthetic scenes.

Every scene runs once through a synchronous `Session` with all its sentences at once, and once
with a query that is swapped half-way for another object.
"""

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from virst_model.evaluate.film import Film, follow, swap
from virst_model.evaluate.metrics import boundary, region
from virst_model.model.virst import Virst
from virst_model.synthetic.scenes import Sentence, make_scene


@dataclass(frozen=True)
class SceneRun:
    """Which scenes, how long, and how they are streamed.

    Attributes:
        delay: frames that a grounding takes.
    """

    split: str = "test"
    videos: int = 60
    frames: int = 60
    fps: float = 10.0
    height: int = 240
    width: int = 320
    delay: int = 1


def evaluate(model: Virst, run: SceneRun) -> dict:
    """J, F and J&F (percent) by kind of sentence, and the share of swaps that are followed."""
    scores: dict[str, list[tuple[float, float]]] = defaultdict(list)
    swaps, waited = [], []
    for seed in tqdm(range(run.videos), unit="video"):
        scene = make_scene(seed, run.split, duration_s=run.frames / run.fps)
        sentences = list(scene.sentences(per_kind=1))
        film = Film(scene.render, run.frames, run.fps, (run.height, run.width))
        masks, first = follow(model, film, [s.text for s in sentences], run.delay)
        for sentence, mask, answered in zip(sentences, masks, first, strict=True):
            truth = np.isin(film.ids_THW, sentence.object_ids)
            start = answered or 0  # silence is scored as it is
            j = region(truth[start:], mask[start:]).mean()
            f = boundary(truth[start:], mask[start:]).mean()
            scores[sentence.kind].append((j, f))
            waited.append(start / run.fps)
        pair = _different(sentences)
        if pair:
            asked = ((s.text, np.isin(film.ids_THW, s.object_ids)) for s in pair)
            swaps.append(swap(model, film, *asked, run.delay))
    rows = {kind: _row(values) for kind, values in sorted(scores.items())}
    every = [pair for values in scores.values() for pair in values]
    rows["overall"] = _row(every)
    return {
        "split": run.split,
        "videos": run.videos,
        "frames": run.frames,
        "fps": run.fps,
        "size": [run.height, run.width],
        "grounding_delay_frames": run.delay,
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


def table(results: dict) -> str:
    """The results as a Markdown table."""
    lines = ["| kind | sentences | J | F | J&F |", "|---|---|---|---|---|"]
    for kind, row in results["kinds"].items():
        lines.append(f"| {kind} | {row['sentences']} | {row['J']} | {row['F']} | {row['J&F']} |")
    swaps = results["swap"]
    lines.append(f"\nSwaps followed: {swaps['followed']} % of {swaps['swaps']}.")
    return "\n".join(lines) + "\n"
