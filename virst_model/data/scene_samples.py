"""Synthetic scenes as samples: what training draws from where there is no data set."""

import numpy as np

from virst_model.data.sample import VIDEO, Sample
from virst_model.data.synthetic import Scene, make_scene

DURATION_S = 8.0
DENSE_S = 1 / 15
HEIGHT, WIDTH = 144, 192


class SceneSamples:
    """An endless row of samples, by number."""

    def __init__(self, seed: int = 0, sentences: int = 3, in_words: float = 0.05) -> None:
        """`in_words`: share of the samples that ask for words; `sentences`: at most, of each."""
        self._seed, self._sentences, self._in_words = seed, sentences, in_words

    def draw(self, number: int, frames: int) -> Sample:
        """Sample `number` (0, 1, ...) with `frames` frames: the same whenever it is drawn.

        Frames are between 1/15 s apart and spread over the whole scene.
        """
        rng = np.random.default_rng([self._seed, number])
        seed = int(rng.integers(2**31))
        scene = make_scene(seed, duration_s=DURATION_S)
        widest = DURATION_S / max(1, frames - 1)
        period = float(rng.uniform(min(DENSE_S, widest), widest))
        start = float(rng.uniform(0, DURATION_S - period * (frames - 1)))
        shown = [scene.render(start + i * period, HEIGHT, WIDTH) for i in range(frames)]
        pictures, ids = zip(*shown, strict=True)
        in_words = rng.random() < self._in_words
        texts, masks, answers = _say(scene, np.stack(ids), self._sentences, in_words, rng)
        return Sample(
            dataset="synthetic",
            record=f"train/{seed}",
            frames_THW3=list(pictures),
            times=tuple(range(frames)),
            texts=texts,
            masks_QTHW=masks,
            answers=answers,
            modality=VIDEO,
        )


def _say(
    scene: Scene, ids_THW: np.ndarray, count: int, in_words: bool, rng: np.random.Generator
) -> tuple[tuple[str, ...], np.ndarray | None, tuple[str, ...] | None]:
    """Sentences about the scene, and their masks or their answers."""
    options = scene.sentences(rng, per_kind=1)
    order = rng.permutation(len(options))[:count]
    chosen = [options[i] for i in order]
    if in_words:
        texts = tuple(f"is {sentence.text} in the video?" for sentence in chosen)
        answers = tuple("Yes." if sentence.object_ids else "No." for sentence in chosen)
        return texts, None, answers
    texts = tuple(sentence.text for sentence in chosen)
    return texts, np.stack([np.isin(ids_THW, one.object_ids) for one in chosen]), None
