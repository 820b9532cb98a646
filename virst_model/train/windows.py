"""Batches of samples: a window of frames of one video, and Alg. 1's anchors and frames of it."""

from typing import Protocol

import cv2
import numpy as np
import torch

from virst_model.data.sample import IMAGE, Sample
from virst_model.model.prompt import draw_wording, plain_sentence
from virst_model.model.virst import Virst
from virst_model.train.batches import Batch, Frames, Sentences
from virst_model.train.stage import WindowDraws


class Samples(Protocol):
    """An endless row of samples by number, as `virst_model.data.mixture.Mixture` is."""

    def draw(self, number: int, frames: int, spacing: str) -> Sample:
        """Sample `number` (0, 1, ...) with `frames` frames: the same whenever it is drawn.

        Of an image there is one frame. `spacing` is one of `virst_model.data.sample.SPACINGS`.
        """
        ...


class WindowBatches:
    """Batches of one sample each, by number."""

    apart = False  # pictures and videos are decoded outside of Python

    def __init__(self, samples: Samples, model: Virst, draws: WindowDraws, seed: int) -> None:
        """Of `model` only how it takes pictures is used."""
        self._samples, self._model, self._draws, self._seed = samples, model, draws, seed

    def draw(self, number: int) -> Batch:
        """Batch `number` (0, 1, ...): the same whenever it is drawn."""
        rng = np.random.default_rng([self._seed, number, 1])
        frames = int(rng.choice(self._draws.windows))
        sample = self._samples.draw(number, frames, self._draws.spacing)
        if sample.answers is not None:
            return _ask_in_words(sample, self._model)
        return _ask_for_masks(sample, self._model, self._draws, rng)


def _ask_for_masks(
    sample: Sample, model: Virst, draws: WindowDraws, rng: np.random.Generator
) -> Batch:
    """A repeated frame (at the end of a short video) is taken once."""
    times = sorted(set(sample.times))
    first = [sample.times.index(time) for time in times]
    anchors, tracked = _draw_frames(len(times), draws, rng)
    texts = tuple(plain_sentence(text) for text in sample.texts)
    return Batch(
        frames=Frames(
            pixels=torch.stack([model.frame_pixels(sample.frames_THW3[i]) for i in first])[None],
            times=list(range(len(times))),
            clips=_clips(sample, model),
            clip_frames=_clip_frames(sample, model),
            window=[times.index(time) for time in sample.times],
            anchors=anchors,
            tracked=tracked,
            stream=False,
        ),
        sentences=Sentences(
            video=torch.zeros(len(texts), dtype=torch.long),
            texts=texts,
            wordings=tuple(draw_wording(text, int(rng.integers(2**31))) for text in texts),
            kinds=(sample.dataset,) * len(texts),
        ),
        truth=_resized(sample.masks_QTHW[:, first], model.config.segmenter.side),
    )


def _ask_in_words(sample: Sample, model: Virst) -> Batch:
    side, count = model.config.segmenter.side, len(sample.texts)
    return Batch(
        frames=Frames(
            pixels=torch.empty(1, 0, 3, side, side, dtype=model.dtype),
            times=[],
            clips=_clips(sample, model),
            clip_frames=(),
            window=[],
            anchors=[],
            tracked=[],
            stream=False,
        ),
        sentences=Sentences(
            video=torch.zeros(count, dtype=torch.long),
            texts=sample.texts,
            wordings=((0, 0),) * count,
            kinds=(sample.dataset,) * count,
            answers=sample.answers,
        ),
    )


def _draw_frames(
    frames: int, draws: WindowDraws, rng: np.random.Generator
) -> tuple[list[int], list[int]]:
    """Anchors, and the frames around them that are segmented through memory (Alg. 1)."""
    count = min(draws.anchors, frames)
    anchors = sorted(rng.choice(frames, count, replace=False).tolist())
    if not draws.propagation:
        return anchors, []
    near = {t for a in anchors for t in range(a - draws.before, a + draws.after + 1)}
    return anchors, sorted(t for t in near - set(anchors) if 0 <= t < frames)


def _clips(sample: Sample, model: Virst) -> torch.Tensor:
    """Four frames a clip, (1, T/4, 4, 3, u, u); an image alone, (1, 1, 1, 3, u, u)."""
    pixels: dict[int, torch.Tensor] = {}
    for time, frame in zip(sample.times, sample.frames_THW3, strict=True):
        if time not in pixels:
            pixels[time] = model.clip_pixels(frame)
    each = _frames_of_a_clip(sample, model)
    return torch.stack([pixels[time] for time in sample.times]).unflatten(0, (1, -1, each))


def _clip_frames(sample: Sample, model: Virst) -> tuple[tuple[int, ...], ...]:
    """The frames of each clip, by their number among the different frames of the sample."""
    shown, each = sorted(set(sample.times)), _frames_of_a_clip(sample, model)
    numbers = [shown.index(time) for time in sample.times]
    return tuple(tuple(numbers[i : i + each]) for i in range(0, len(numbers), each))


def _frames_of_a_clip(sample: Sample, model: Virst) -> int:
    return 1 if sample.modality == IMAGE else model.config.umt.clip_frames


def _resized(masks_QTHW: np.ndarray, side: int) -> torch.Tensor:
    """(Q, T, s, s) uint8; the nearest pixel, so that a mask stays one."""
    out = np.empty((*masks_QTHW.shape[:2], side, side), np.uint8)
    for place in np.ndindex(*masks_QTHW.shape[:2]):
        mask = masks_QTHW[place].astype(np.uint8)
        out[place] = cv2.resize(mask, (side, side), interpolation=cv2.INTER_NEAREST)
    return torch.from_numpy(out)
