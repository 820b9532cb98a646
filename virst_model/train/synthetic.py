"""Synthetic scenes and stories as training takes them: samples, and batches with their helps.

`SyntheticSamples` stand where a data set's samples do. `SyntheticBatches` are for a model that
starts from nothing: many worlds at once, with classes for the auxiliary heads.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from virst_model.config import LEAST_FRAMES
from virst_model.data.sample import SEGMENTS, VIDEO, Sample
from virst_model.model.anchors import anchor_indices
from virst_model.model.prompt import plain_sentence
from virst_model.model.virst import IMAGE_MEAN, IMAGE_STD
from virst_model.synthetic.actors import TEXTURES
from virst_model.synthetic.filmed import Filmed, film
from virst_model.synthetic.grammar import COLOURS, MOTIONS
from virst_model.synthetic.photographs import NOTHING, Photographs
from virst_model.synthetic.scene_objects import UNNAMED
from virst_model.synthetic.sentence import Question, Sentence
from virst_model.synthetic.shapes import SHAPES
from virst_model.synthetic.world import (
    World,
    WorldObject,
    draw_world,
    render_all,
    sentences_of_piece,
)
from virst_model.train.batches import Auxiliaries, Batch, Frames, Sentences
from virst_model.train.heads import UNKNOWN
from virst_model.train.stage import SceneDraws

SAMPLE_S = 8.0  # how long a world is that a sample is of
DENSE_S = 1 / 15
HEIGHT, WIDTH = 144, 192

# A world of a batch is as long as what is looked at: what is said of it is to be seen. It is at
# least so long that things have time to happen, and at most so that nothing waits for it.
LEAST_S, MOST_S = 4.6, 7.0
PERIODS_S = (0.2, 0.3)  # between the frames of a window
APART_S = 2.0
FAR_WEIGHT = 0.25  # of a near or far view: sizes that the drawn world does not have
QUESTIONS = 4  # asked of a world
STILL = 0.03  # sides of the picture; what moves less within a clip stands still


class SyntheticSamples:
    """An endless row of samples, by number."""

    def __init__(
        self,
        seed: int = 0,
        sentences: int = 3,
        in_words: float = 0.05,
        stories: float = 0.5,
    ) -> None:
        """`in_words` and `stories`: shares of the samples that ask for words, and of stories.

        `sentences`: at most, of each.
        """
        self._seed, self._sentences = seed, sentences
        self._in_words, self._stories = in_words, stories

    def draw(self, number: int, frames: int, spacing: str = SEGMENTS) -> Sample:
        """Sample `number` (0, 1, ...) with `frames` frames: the same whenever it is drawn.

        `spacing` as for a video (`virst_model.data.sample.Draw`), but that a scene has no frames
        to count: with "log_uniform" they are between 1/15 s apart and spread over the whole
        scene, every period as often.
        """
        rng = np.random.default_rng([self._seed, number])
        world = draw_world(self._stories, SAMPLE_S, rng)
        times_s = _draw_times(frames, spacing, rng)
        pictures_THW3, ids_THW = render_all(world, times_s, HEIGHT, WIDTH)
        masks = answers = None
        if rng.random() < self._in_words:
            questions = world.questions(rng, self._sentences)
            texts = tuple(question.text for question in questions)
            answers = tuple(question.answer for question in questions)
        else:
            options = sentences_of_piece(world, times_s[0], times_s[-1], rng)
            sentences = [options[i] for i in rng.permutation(len(options))[: self._sentences]]
            texts = tuple(sentence.text for sentence in sentences)
            masks = np.stack([sentence.masks(ids_THW, times_s) for sentence in sentences])
        return Sample(
            dataset="synthetic",
            record=f"train/{world.seed}",
            frames_THW3=list(pictures_THW3),
            times=tuple(range(frames)),
            texts=texts,
            masks_QTHW=masks,
            answers=answers,
            modality=VIDEO,
        )


def _draw_times(frames: int, spacing: str, rng: np.random.Generator) -> list[float]:
    if spacing == SEGMENTS:
        return ((np.arange(frames) + rng.random(frames)) * SAMPLE_S / frames).tolist()
    widest = SAMPLE_S / max(1, frames - 1)
    period = float(rng.uniform(min(DENSE_S, widest), widest))
    start = float(rng.uniform(0, SAMPLE_S - period * (frames - 1)))
    return [start + i * period for i in range(frames)]


def draw_any_world(
    stories: float,
    filmed: float,
    duration_s: float,
    rng: np.random.Generator,
    photographs: Photographs = NOTHING,
) -> World:
    """A story or a scene, drawn or filmed, by their shares.

    Without filmed ones no number is drawn for them: what is drawn is what it was before there
    were any.
    """
    world = draw_world(stories, duration_s, rng)
    if filmed and rng.random() < filmed:
        return film(world, rng, photographs)
    return world


class SyntheticBatches:
    """An endless row of batches, by number, at one picture side."""

    apart = True

    def __init__(
        self,
        draws: SceneDraws,
        side: int,
        seed: int,
        photographs: Photographs = NOTHING,
        drawn: bool = False,
    ) -> None:
        """`photographs` are in what is filmed; `drawn`: filmed worlds as they are drawn, too."""
        self._draws, self._side, self._seed = draws, side, seed
        self._photographs, self._drawn = photographs, drawn

    def draw(self, number: int) -> Batch:
        """Batch `number` (0, 1, ...): the same whenever it is drawn."""
        rng = np.random.default_rng([self._seed, number])
        draws, photographs = self._draws, self._photographs
        in_words = bool(draws.in_words) and rng.random() < draws.in_words
        if in_words:
            draws = replace(draws, windows=(max(draws.windows),), tracked=0)
        plan = _plan(draws, rng)
        # What is asked in words is about all that happens: all of it is looked at.
        length_s = plan.seconds[-1] if in_words else max(LEAST_S, plan.seconds[-1])
        worlds = [
            draw_any_world(draws.stories, draws.filmed, length_s, rng, photographs)
            for _ in range(draws.scenes)
        ]
        if not draws.sentences:
            worlds = list(map(_alone, worlds))
        start = float(rng.uniform(0, length_s - plan.seconds[-1]))
        seconds = [start + s for s in plan.seconds]
        views = [render_all(world, seconds, self._side, self._side) for world in worlds]
        pictures, ids_SFHW = (np.stack(part) for part in zip(*views, strict=True))
        frames = _frames(plan, normalise(pictures))
        if in_words:
            asked = [world.questions(rng, QUESTIONS) for world in worlds]
            if any(asked):  # near views are asked nothing
                return ask_in_words(frames, asked, ids_SFHW)
        last = seconds[len(seconds) - len(plan.tracked) - 1]
        sentences, video = [], []
        for index, world in enumerate(worlds if draws.sentences else ()):
            options = sentences_of_piece(world, start, last, rng)
            chosen = _choose(options, draws, rng)
            sentences += chosen
            video += [index] * len(chosen)
        masks = [
            sentence.masks(ids_SFHW[index], seconds)
            for sentence, index in zip(sentences, video, strict=True)
        ]
        truth = np.array(masks, np.uint8).reshape(-1, *ids_SFHW.shape[1:])
        small = ids_SFHW[:, :, 2::4, 2::4]
        return Batch(
            frames=frames,
            sentences=Sentences(
                video=torch.tensor(video),
                texts=tuple(plain_sentence(sentence.text) for sentence in sentences),
                wordings=((0, 0),) * len(sentences),
                kinds=tuple(sentence.kind for sentence in sentences),
            ),
            truth=torch.from_numpy(truth),
            auxiliaries=Auxiliaries(
                shapes=_classes(small, worlds, _shape),
                colours=_classes(small, worlds, _colour),
                textures=_classes(small, worlds, _texture),
                motions=_motions(ids_SFHW, small, plan.clips),
                **self._draw_flat(worlds, seconds, pictures),
            ),
        )

    def _draw_flat(
        self, worlds: Sequence[World], seconds: Sequence[float], pictures_SFHW3: np.ndarray
    ) -> dict[str, torch.Tensor]:
        """`drawn` and `drawn_weights` of the auxiliaries; nothing where they are not asked for."""
        if not self._drawn:
            return {}
        side, flat = self._side, pictures_SFHW3.copy()
        weights = torch.ones(len(worlds))
        for place, world in enumerate(worlds):
            if isinstance(world, Filmed):
                flat[place] = [world.render_flat(second, side, side) for second in seconds]
                weights[place] = 1.0 if world.zoom.scale == 1 else FAR_WEIGHT
        return {"drawn": normalise(flat), "drawn_weights": weights}


def _alone(world: World) -> World:
    """Without distractors: heads tell what each thing is, and of these nobody says it."""
    return replace(world, distractors=None) if isinstance(world, Filmed) else world


@dataclass(frozen=True)
class _Plan:
    """Which moments a batch looks at.

    Attributes:
        seconds: of each frame, from the first on.
        clips, window, anchors, tracked, times: as in `Frames`.
    """

    seconds: list[float]
    clips: list[list[int]]
    window: list[int]
    anchors: list[int]
    tracked: list[int]
    times: list[int]


def _plan(draws: SceneDraws, rng: np.random.Generator) -> _Plan:
    count = int(rng.choice(draws.windows))
    # The longest window, and a little to track, is no longer than a scene.
    widest = (MOST_S - 0.5) / count
    period = float(min(rng.uniform(*PERIODS_S), widest))
    rate = float(rng.uniform(7, 18))  # the camera's frames a second
    seconds = [i * period for i in range(count)]
    clips = [list(range(i, i + 4)) for i in range(0, count, 4)]
    window, anchors = list(range(count)), anchor_indices(count)
    if count % 4:  # pictures alone: the further apart, the more there is to learn
        seconds, clips = [i * APART_S for i in range(count)], []
    elif count < LEAST_FRAMES and draws.sentences:  # as a stream fills it up
        window += [count - 1] * (LEAST_FRAMES - count)
        clips.append([count - 1] * 4)
        anchors = [count - 1]
    if draws.fused and not count % 4:
        window = sorted(rng.choice(count, draws.fused, replace=False).tolist())
        anchors = window
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


def _frames(plan: _Plan, pixels_SF3ss: torch.Tensor) -> Frames:
    clips = pixels_SF3ss[:, torch.tensor(plan.clips)] if plan.clips else pixels_SF3ss[:, :0, None]
    return Frames(
        pixels=pixels_SF3ss,
        times=plan.times,
        clips=clips,
        clip_frames=tuple(tuple(clip) for clip in plan.clips),
        window=plan.window,
        anchors=plan.anchors,
        tracked=plan.tracked,
        stream=True,
    )


def ask_in_words(
    frames: Frames, asked_S: Sequence[Sequence[Question]], ids_SFHW: np.ndarray
) -> Batch:
    """The batch that asks of each video its questions; of the frames, the clips alone are read.

    Its truth is what is to be looked at for the answers.
    """
    asked = [(video, question) for video, each in enumerate(asked_S) for question in each]
    truth = np.stack([np.isin(ids_SFHW[video], question.ids) for video, question in asked])
    return Batch(
        frames=replace(
            frames, pixels=frames.pixels[:, :0], times=[], window=[], anchors=[], tracked=[]
        ),
        sentences=Sentences(
            video=torch.tensor([video for video, _ in asked], dtype=torch.long),
            texts=tuple(question.text for _, question in asked),
            wordings=((0, 0),) * len(asked),
            kinds=("words",) * len(asked),
            answers=tuple(question.answer for _, question in asked),
        ),
        truth=torch.from_numpy(truth.astype(np.uint8)),
    )


def normalise(pictures_SFHW3: np.ndarray) -> torch.Tensor:
    """(S, F, 3, H, W) of uint8 pictures, as the segmenter takes them."""
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (IMAGE_MEAN, IMAGE_STD))
    pixels = torch.from_numpy(pictures_SFHW3).permute(0, 1, 4, 2, 3).float() / 255
    return (pixels - mean) / std


def _choose(
    options: list[Sentence], draws: SceneDraws, rng: np.random.Generator
) -> list[Sentence]:
    if not options:  # a near view can leave nothing that is true of it
        return []
    weights = dict(draws.kinds)
    weight = np.array([weights.get(sentence.kind, 1.0) for sentence in options])
    count = min(draws.sentences, len(options))
    chosen = rng.choice(len(options), count, replace=False, p=weight / weight.sum())
    return [options[i] for i in chosen]


def _classes(
    ids_SFhw: np.ndarray, worlds: Sequence[World], class_of: Callable[[WorldObject], int]
) -> torch.Tensor:
    out = np.zeros_like(ids_SFhw, dtype=np.int64)
    for index, world in enumerate(worlds):
        table = np.zeros(256, np.int64)
        for item in world.objects:
            table[item.id] = class_of(item)
        out[index] = table[ids_SFhw[index]]
    return torch.from_numpy(out)


def _shape(item: WorldObject) -> int:
    """What is cut out of a photograph has none of the shapes."""
    return UNKNOWN if item.shape == UNNAMED else 1 + SHAPES.index(item.shape)


def _texture(item: WorldObject) -> int:
    """Objects of scenes are plain; what is cut out of a photograph has a texture of its own."""
    if item.shape == UNNAMED:
        return UNKNOWN
    return 1 + TEXTURES.index(getattr(item, "texture", "plain"))


def _colour(item: WorldObject) -> int:
    """Of what has two colours, nobody can tell; what the drawn worlds do not have has no class."""
    known = len(item.colours) == 1 and item.colours[0] in COLOURS
    return 1 + COLOURS.index(item.colours[0]) if known else UNKNOWN


def _motions(
    ids_SFHW: np.ndarray, small_SFhw: np.ndarray, clips: Sequence[Sequence[int]]
) -> torch.Tensor:
    """Which way each object goes within each clip, by where its pixels are at both ends."""
    out = np.zeros_like(small_SFhw, dtype=np.int64)
    for scene, ids_FHW in enumerate(ids_SFHW):
        for clip in clips:
            if len(set(clip)) == 1:
                continue  # A repeated frame has no motion, and its frame has one of its own.
            for number in np.unique(ids_FHW[list(clip)]):
                if number:
                    way = _way(ids_FHW[clip[0]] == number, ids_FHW[clip[-1]] == number)
                    for frame in clip:
                        out[scene, frame][small_SFhw[scene, frame] == number] = way
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
