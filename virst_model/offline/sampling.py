"""Which frames of a video the language model sees, and which of them fusion and anchors."""

from dataclasses import dataclass
import itertools
import random

import numpy as np

from virst_model.config import CLIP_FRAMES, BehaviourConfig

# What the release pads a short video to.
PADDED_FRAMES = 8


@dataclass(frozen=True)
class SampledFrames:
    """Frame numbers of a video, ascending; padding repeats the last.

    Attributes:
        vlm: what the language model sees, a multiple of 4; of an image its one frame.
        fused: what fusion and anchors see, T of the paper; some of the former.
    """

    vlm: tuple[int, ...]
    fused: tuple[int, ...]

    @property
    def places(self) -> list[int]:
        """Which of the frames `vlm` each of `fused` is; of one that repeats, in their order."""
        places: list[int] = []
        for index in self.fused:
            again = places and self.vlm[places[-1]] == index
            places.append(self.vlm.index(index, places[-1] + 1 if again else 0))
        return places


# All of an image, T = 1, as the release's loaders of images have it; the paper is silent.
WHOLE_IMAGE = SampledFrames((0,), (0,))


def sample_frames(length: int, behaviour: BehaviourConfig, seed: int = 0) -> SampledFrames:
    """One frame from each of equal segments of a video of `length` >= 1 frames.

    As many as there are, in fours, and at most `behaviour.vlm_frames`; of these the fusion sees at
    most `behaviour.stf_frames`. Videos too short for a clip fill it with their last frame, which
    the fusion sees once; the release pads to 8, and its fusion sees the padding too.

    With `behaviour.sampling` "random" the draws for a seed are those of the release seeded with
    it before the video.

    Raises:
        ValueError: no frame, or a limit below one clip.
    """
    if length < 1:
        raise ValueError(f"a video needs at least 1 frame, not {length}")
    if behaviour.vlm_frames < CLIP_FRAMES or behaviour.stf_frames < 1:
        raise ValueError(
            f"vlm_frames must be at least {CLIP_FRAMES} and stf_frames at least 1, "
            f"not {behaviour.vlm_frames} and {behaviour.stf_frames}"
        )
    least = PADDED_FRAMES if behaviour.pad_short else CLIP_FRAMES
    if length < least:
        real = tuple(range(length))
        vlm = real + real[-1:] * (least - length)
        fused = vlm if behaviour.pad_short else real
    else:
        count = CLIP_FRAMES * (min(behaviour.vlm_frames, length) // CLIP_FRAMES)
        draw = np.random.RandomState(seed) if behaviour.sampling == "random" else None
        fused = vlm = _one_of_each(length, count, draw)
    if len(fused) > behaviour.stf_frames:
        if behaviour.sampling == "random":
            # Over places, not frames, so that the draws are those of the release.
            places = random.Random(seed).sample(range(len(vlm)), behaviour.stf_frames)
        else:
            places = _one_of_each(len(vlm), behaviour.stf_frames, None)
        fused = tuple(vlm[place] for place in sorted(places))
    return SampledFrames(vlm, fused)


def _one_of_each(
    length: int, segments: int, draw: np.random.RandomState | None
) -> tuple[int, ...]:
    """The middle of each segment, or one drawn from it; the earlier of two middles."""
    edges = np.linspace(0, length, segments + 1).astype(int).tolist()
    pairs = itertools.pairwise(edges)
    if draw is None:
        return tuple((start + stop - 1) // 2 for start, stop in pairs)
    return tuple(int(draw.randint(start, stop)) for start, stop in pairs)
