"""Batches of synthetic scenes, for a model that starts from nothing."""

from dataclasses import dataclass

import numpy as np
import torch

from virst_model.anchors import anchor_indices
from virst_model.data.grammar import COLOURS, SHAPES
from virst_model.data.synthetic import Scene, Sentence, make_scene
from virst_model.train.batches import Batch
from virst_model.train.stages import SceneDraws
from virst_model.virst import IMAGE_MEAN, IMAGE_STD

DURATION_S = 7.0


class SceneBatches:
    """Batches by number, at one picture side."""

    def __init__(self, draws: SceneDraws, side: int, seed: int) -> None:
        self._draws, self._side, self._seed = draws, side, seed

    def draw(self, number: int) -> Batch:
        """Batch `number` (0, 1, ...): the same whenever it is drawn."""
        return draw_batch(self._draws, self._side, self._seed, number)


@dataclass(frozen=True)
class _Plan:
    """Which moments a batch looks at."""

    seconds: list[float]
    clips: list[list[int]]
    window: list[int]
    anchors: list[int]
    tracked: list[int]
    times: list[int]


def draw_batch(draws: SceneDraws, side: int, seed: int, number: int) -> Batch:
    """Batch `number`: a function of its arguments alone."""
    rng = np.random.default_rng([seed, number])
    plan = _plan(draws, rng)
    scenes = [
        make_scene(int(rng.integers(2**31)), "train", duration_s=DURATION_S)
        for _ in range(draws.scenes)
    ]
    start = float(rng.uniform(0, DURATION_S - plan.seconds[-1]))
    pictures, ids = zip(*[_render(s, start, plan.seconds, side) for s in scenes], strict=True)
    sentences, scene = [], []
    for index, one in enumerate(scenes):
        drawn = _draw_sentences(one, draws, rng)
        sentences += drawn
        scene += [index] * len(drawn)
    ids_SFHW = np.stack(ids)
    truth = np.zeros((len(sentences), *ids_SFHW.shape[1:]), np.uint8)
    for row, index, sentence in zip(truth, scene, sentences, strict=True):
        row[:] = np.isin(ids_SFHW[index], sentence.object_ids)
    small = ids_SFHW[:, :, 2::4, 2::4]
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (IMAGE_MEAN, IMAGE_STD))
    pixels = torch.from_numpy(np.stack(pictures)).permute(0, 1, 4, 2, 3).float() / 255
    pixels = (pixels - mean) / std
    return Batch(
        pixels=pixels,
        clips=pixels[:, torch.tensor(plan.clips)] if sentences else pixels[:, :0, None],
        window=plan.window,
        anchors=plan.anchors,
        tracked=plan.tracked,
        times=plan.times,
        stream=True,
        scene=torch.tensor(scene),
        texts=tuple(sentence.text for sentence in sentences),
        wordings=((0, 0),) * len(sentences),
        kinds=tuple(sentence.kind for sentence in sentences),
        truth=torch.from_numpy(truth),
        shapes=_classes(small, scenes, "shape", SHAPES),
        colours=_classes(small, scenes, "colour", COLOURS),
    )


def _plan(draws: SceneDraws, rng: np.random.Generator) -> _Plan:
    count = int(rng.choice(draws.windows))
    period = float(rng.uniform(0.2, 0.3))
    rate = float(rng.uniform(7, 18))  # the camera's frames a second
    seconds = [i * period for i in range(count)]
    clips = [list(range(i, i + 4)) for i in range(0, count, 4)]
    window, anchors = list(range(count)), anchor_indices(count)
    if not draws.sentences:  # pictures alone: the further apart, the more there is to learn
        seconds = [i * 2.0 for i in range(count)]
    if draws.fused:
        window = sorted(rng.choice(count, draws.fused, replace=False).tolist())
        anchors = list(range(draws.fused))
    elif count < 8:
        newest = count - 1
        window += [newest] * (8 - count)
        clips.append([newest] * 4)
        anchors = [newest]
    # The newest anchor of a stream lags behind the frame that is segmented.
    gap = float(rng.uniform(0, 1.2)) if rng.random() < 0.5 else 0.0
    many = draws.tracked if rng.random() < draws.track_share else 0
    tracked = [seconds[-1] + gap + (i + 1) / rate for i in range(many)]
    return _Plan(
        seconds=seconds + tracked,
        clips=clips,
        window=window,
        anchors=anchors,
        tracked=list(range(count, count + many)),
        times=[round(s * rate) for s in seconds + tracked],
    )


def _render(
    scene: Scene, start: float, seconds: list[float], side: int
) -> tuple[np.ndarray, np.ndarray]:
    frames, ids = zip(*[scene.render(start + s, side, side) for s in seconds], strict=True)
    return np.stack(frames), np.stack(ids)


def _draw_sentences(scene: Scene, draws: SceneDraws, rng: np.random.Generator) -> list[Sentence]:
    if not draws.sentences:
        return []
    weights = dict(draws.kinds)
    options = scene.sentences(rng, per_kind=1)
    weight = np.array([weights.get(s.kind, 1.0) for s in options])
    count = min(draws.sentences, len(options))
    chosen = rng.choice(len(options), count, replace=False, p=weight / weight.sum())
    return [options[i] for i in chosen]


def _classes(
    ids: np.ndarray, scenes: list[Scene], attribute: str, names: tuple[str, ...]
) -> torch.Tensor:
    out = np.zeros_like(ids, dtype=np.int64)
    for index, scene in enumerate(scenes):
        table = np.zeros(256, np.int64)
        for thing in scene.objects:
            table[thing.id] = 1 + names.index(getattr(thing, attribute))
        out[index] = table[ids[index]]
    return torch.from_numpy(out)
