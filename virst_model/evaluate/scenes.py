"""How well a stream follows sentences on held-out synthetic scenes.

Every scene runs once through a synchronous `Session` with all its sentences at once, and once
with a query that is swapped half-way for another object.
"""

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from virst_model.data.synthetic import Scene, Sentence, make_scene
from virst_model.metrics import boundary, region
from virst_model.session import Session, SessionOptions
from virst_model.structs import SEARCHING, Query
from virst_model.virst import Virst


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


SWAPPED = 0.5  # IoU with the new object from which on a swap counts as followed


def follow(
    model: Virst, scene: Scene, sentences: list[Sentence], run: SceneRun
) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """Runs one stream.

    Returns:
        masks (Q, T, H, W) bool; ids (T, H, W), the truth; and for each sentence the first frame
        that is answered, 0 for one that never is, so that silence is scored as it is.
    """
    queries = tuple(Query(i + 1, s.text, i + 1) for i, s in enumerate(sentences))
    masks, truth, frames = [], [], run.frames
    answered = [frames] * len(queries)
    with Session(model, _session_options(run)) as session:
        session.set_queries(queries)
        for t in range(frames):
            frame, ids = scene.render(t / run.fps, run.height, run.width)
            results = session.step(frame, t / run.fps).results
            masks.append([r.mask_HW for r in results])
            truth.append(ids)
            for index, result in enumerate(results):
                if result.state != SEARCHING:
                    answered[index] = min(answered[index], t)
    first = [0 if t == frames else t for t in answered]
    return np.array(masks).swapaxes(0, 1), np.stack(truth), first


def swap(model: Virst, scene: Scene, pair: tuple[Sentence, Sentence], run: SceneRun) -> bool:
    """Whether the mask goes over to the second sentence's object within the second half."""
    frames, half = run.frames, run.frames // 2
    hits = []
    with Session(model, _session_options(run)) as session:
        for t in range(frames):
            if t in (0, half):
                index = int(t == half)
                session.set_queries((Query(index + 1, pair[index].text, 1),))
            frame, ids = scene.render(t / run.fps, run.height, run.width)
            mask = session.step(frame, t / run.fps).results[0].mask_HW
            if t >= half + half // 2:
                truth = np.stack([np.isin(ids, s.object_ids) for s in pair])
                hits.append(region(truth, np.stack([mask, mask])))
    old, new = np.mean(hits, axis=0)
    return bool(new >= SWAPPED and new > old)


def evaluate(model: Virst, run: SceneRun) -> dict:
    """J, F and J&F (percent) by kind of sentence, and the share of swaps that are followed."""
    scores: dict[str, list[tuple[float, float]]] = defaultdict(list)
    swaps, waited = [], []
    for seed in tqdm(range(run.videos), unit="video"):
        scene = make_scene(seed, run.split, duration_s=run.frames / run.fps)
        sentences = list(scene.sentences(per_kind=1))
        masks, ids, first = follow(model, scene, sentences, run)
        for sentence, mask, start in zip(sentences, masks, first, strict=True):
            truth = np.isin(ids, sentence.object_ids)
            j = region(truth[start:], mask[start:]).mean()
            f = boundary(truth[start:], mask[start:]).mean()
            scores[sentence.kind].append((j, f))
            waited.append(start / run.fps)
        pair = _different(sentences)
        if pair:
            swaps.append(swap(model, scene, pair, run))
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


def _session_options(run: SceneRun) -> SessionOptions:
    return SessionOptions(sync=True, grounding_delay_frames=run.delay)


def table(results: dict) -> str:
    """The results as a Markdown table."""
    lines = ["| kind | sentences | J | F | J&F |", "|---|---|---|---|---|"]
    for kind, row in results["kinds"].items():
        lines.append(f"| {kind} | {row['sentences']} | {row['J']} | {row['F']} | {row['J&F']} |")
    swaps = results["swap"]
    lines.append(f"\nSwaps followed: {swaps['followed']} % of {swaps['swaps']}.")
    return "\n".join(lines) + "\n"
