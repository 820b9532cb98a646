"""Synthetic scenes and stories as samples: what training draws from without a data set."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from virst_model.data.sample import SEGMENTS, VIDEO, Sample
from virst_model.synthetic.scenes import Scene
from virst_model.synthetic.stories import Story
from virst_model.synthetic.world import Said, draw_shown, say

T = TypeVar("T")

DURATION_S = 8.0
DENSE_S = 1 / 15
HEIGHT, WIDTH = 144, 192


class SceneSamples:
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
        shown = draw_shown(self._stories, DURATION_S, rng)
        seconds = _draw_seconds(frames, spacing, rng)
        filmed = [shown.render(second, HEIGHT, WIDTH) for second in seconds]
        pictures, ids = zip(*filmed, strict=True)
        masks = answers = None
        if rng.random() < self._in_words:
            texts, answers = _ask_in_words(shown, self._sentences, rng)
        else:
            said = _pick(say(shown, seconds[0], seconds[-1], rng), self._sentences, rng)
            texts = tuple(one.text for one in said)
            masks = np.stack([_mask(one, ids, seconds) for one in said])
        return Sample(
            dataset="synthetic",
            record=f"train/{shown.seed}",
            frames_THW3=list(pictures),
            times=tuple(range(frames)),
            texts=texts,
            masks_QTHW=masks,
            answers=answers,
            modality=VIDEO,
        )


def _draw_seconds(frames: int, spacing: str, rng: np.random.Generator) -> list[float]:
    if spacing == SEGMENTS:
        return ((np.arange(frames) + rng.random(frames)) * DURATION_S / frames).tolist()
    widest = DURATION_S / max(1, frames - 1)
    period = float(rng.uniform(min(DENSE_S, widest), widest))
    start = float(rng.uniform(0, DURATION_S - period * (frames - 1)))
    return [start + i * period for i in range(frames)]


def _pick(options: Sequence[T], count: int, rng: np.random.Generator) -> list[T]:
    return [options[i] for i in rng.permutation(len(options))[:count]]


def _mask(said: Said, ids: Sequence[np.ndarray], seconds: Sequence[float]) -> np.ndarray:
    """bool (T, H, W)."""
    each = zip(ids, seconds, strict=True)
    return np.stack([np.isin(ids_HW, said.object_ids(second)) for ids_HW, second in each])


def _ask_in_words(
    shown: Scene | Story, count: int, rng: np.random.Generator
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Questions and their answers."""
    if isinstance(shown, Story):
        asked = [(one.question, one.answer) for one in shown.questions(rng, count)]
    else:
        options = _pick(shown.sentences(rng, per_kind=1), count, rng)
        asked = [
            (f"is {one.text} in the video?", "Yes." if one.object_ids else "No.")
            for one in options
        ]
    questions, answers = zip(*asked, strict=True)
    return questions, answers
