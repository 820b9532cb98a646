"""Batches of synthetic scenes and stories, for a model that starts from nothing."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from virst_model.model.anchors import anchor_indices
from virst_model.model.prompt import plain_sentence
from virst_model.model.virst import IMAGE_MEAN, IMAGE_STD
from virst_model.synthetic.grammar import COLOURS, MOTIONS
from virst_model.synthetic.scenes import Scene
from virst_model.synthetic.shown import Said, draw_shown, say
from virst_model.synthetic.stories.figures import SHAPES
from virst_model.synthetic.stories.story import Story
from virst_model.train.batches import Auxiliaries, Batch, Frames, Sentences
from virst_model.train.heads import UNKNOWN
from virst_model.train.stages import SceneDraws

DURATION_S = 7.0
PERIODS_S = (0.2, 0.3)  # between the frames of a window
APART_S = 2.0
STILL = 0.03  # sides of the picture; what moves less within a clip stands still


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
    scenes = [draw_shown(draws.stories, DURATION_S, rng) for _ in range(draws.scenes)]
    start = float(rng.uniform(0, max(0.0, DURATION_S - plan.seconds[-1])))
    seconds = [start + s for s in plan.seconds]
    shown = [_render(scene, seconds, side) for scene in scenes]
    pictures, ids_SFHW = (np.stack(part) for part in zip(*shown, strict=True))
    said, scene = [], []
    for index, one in enumerate(scenes if draws.sentences else ()):
        last = seconds[len(seconds) - len(plan.tracked) - 1]
        drawn = _draw_sentences(say(one, start, last, rng), draws, rng)
        said += drawn
        scene += [index] * len(drawn)
    truth = np.zeros((len(said), *ids_SFHW.shape[1:]), np.uint8)
    for row, index, sentence in zip(truth, scene, said, strict=True):
        for mask, ids, second in zip(row, ids_SFHW[index], seconds, strict=True):
            mask[:] = np.isin(ids, sentence.object_ids(second))
    small = ids_SFHW[:, :, 2::4, 2::4]
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (IMAGE_MEAN, IMAGE_STD))
    pixels = torch.from_numpy(pictures).permute(0, 1, 4, 2, 3).float() / 255
    pixels = (pixels - mean) / std
    return Batch(
        frames=Frames(
            pixels=pixels,
            times=plan.times,
            clips=pixels[:, torch.tensor(plan.clips)] if plan.clips else pixels[:, :0, None],
            window=plan.window,
            anchors=plan.anchors,
            tracked=plan.tracked,
            stream=True,
        ),
        sentences=Sentences(
            video=torch.tensor(scene),
            texts=tuple(plain_sentence(sentence.text) for sentence in said),
            wordings=((0, 0),) * len(said),
            kinds=tuple(sentence.kind for sentence in said),
        ),
        truth=torch.from_numpy(truth),
        auxiliaries=Auxiliaries(
            shapes=_classes(small, scenes, _shape),
            colours=_classes(small, scenes, _colour),
            motions=_motions(ids_SFHW, small, plan.clips),
            clip_frames=tuple(tuple(clip) for clip in plan.clips),
        ),
    )


def _plan(draws: SceneDraws, rng: np.random.Generator) -> _Plan:
    count = int(rng.choice(draws.windows))
    # The longest window, and a little to track, is no longer than a scene.
    widest = (DURATION_S - 0.5) / count
    period = float(min(rng.uniform(*PERIODS_S), widest))
    rate = float(rng.uniform(7, 18))  # the camera's frames a second
    seconds = [i * period for i in range(count)]
    clips = [list(range(i, i + 4)) for i in range(0, count, 4)]
    window, anchors = list(range(count)), anchor_indices(count)
    if count % 4:  # pictures alone: the further apart, the more there is to learn
        seconds, clips = [i * APART_S for i in range(count)], []
    elif draws.fused:
        window = sorted(rng.choice(count, draws.fused, replace=False).tolist())
        anchors = window
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
    scene: Scene | Story, seconds: list[float], side: int
) -> tuple[np.ndarray, np.ndarray]:
    frames, ids = zip(*[scene.render(second, side, side) for second in seconds], strict=True)
    return np.stack(frames), np.stack(ids)


def _draw_sentences(
    options: list[Said], draws: SceneDraws, rng: np.random.Generator
) -> list[Said]:
    weights = dict(draws.kinds)
    weight = np.array([weights.get(one.kind, 1.0) for one in options])
    count = min(draws.sentences, len(options))
    chosen = rng.choice(len(options), count, replace=False, p=weight / weight.sum())
    return [options[i] for i in chosen]


def _classes(
    ids_SFhw: np.ndarray, scenes: Sequence[Scene | Story], class_of: Callable[[object], int]
) -> torch.Tensor:
    out = np.zeros_like(ids_SFhw, dtype=np.int64)
    for index, scene in enumerate(scenes):
        table = np.zeros(256, np.int64)
        for thing in scene.objects if isinstance(scene, Scene) else scene.actors:
            table[thing.id] = class_of(thing)
        out[index] = table[ids_SFhw[index]]
    return torch.from_numpy(out)


def _shape(thing: object) -> int:
    return 1 + SHAPES.index(thing.shape)


def _colour(thing: object) -> int:
    """Of what has two colours, nobody can tell."""
    colours = getattr(thing, "colours", None) or (thing.colour,)
    return 1 + COLOURS.index(colours[0]) if len(colours) == 1 else UNKNOWN


def _motions(
    ids_SFHW: np.ndarray, small_SFhw: np.ndarray, clips: Sequence[Sequence[int]]
) -> torch.Tensor:
    """Which way each object goes within each clip, by where its pixels are at both ends."""
    out = np.zeros_like(small_SFhw, dtype=np.int64)
    for scene, ids_FHW in enumerate(ids_SFHW):
        for clip in clips:
            if len(set(clip)) == 1:
                continue  # A repeated frame has no motion, and its frame has one of its own.
            for thing in np.unique(ids_FHW[list(clip)]):
                if thing:
                    way = _way(ids_FHW[clip[0]] == thing, ids_FHW[clip[-1]] == thing)
                    for frame in clip:
                        out[scene, frame][small_SFhw[scene, frame] == thing] = way
    return torch.from_numpy(out)


def _way(before_HW: np.ndarray, after_HW: np.ndarray) -> int:
    """Class of a motion between two masks of one object."""
    if not before_HW.any() or not after_HW.any():
        return UNKNOWN
    y, x = (np.mean(b) - np.mean(a) for a, b in zip(before_HW.nonzero(), after_HW.nonzero()))
    if max(abs(x), abs(y)) < STILL * before_HW.shape[0]:
        return 1 + MOTIONS.index("still")
    if abs(x) > abs(y):
        return 1 + MOTIONS.index("left" if x < 0 else "right")
    return 1 + MOTIONS.index("up" if y < 0 else "down")
