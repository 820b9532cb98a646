"""What one training forward takes, wherever it was drawn from."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Frames:
    """S videos, each seen at F times. Frames are named by their index among the F, throughout.

    Attributes:
        pixels: (S, F, 3, side, side) normalised, at the segmenter's side.
        times: frame number of each of the F frames, ascending, the time base of memory.
        clips: (S, K, 4, 3, u, u) normalised clips, at the clip encoder's side; of an image
            (S, 1, 1, 3, u, u).
        clip_frames: the frames of each of the K clips.
        window: the frames that the fusion sees, in order; a frame may be there twice.
        anchors: frames of the window whose masks are decoded from prompts, ascending; the prompts
            of one are those of its first place in the window.
        tracked: other frames, which are segmented through memory, ascending.
        stream: memory is read as in a stream, which has no length.
        known: what frozen encoders make of the clips and of the encoded frames (`train.cache`);
            then `pixels` and `clips` are not read.
    """

    pixels: torch.Tensor
    times: list[int]
    clips: torch.Tensor
    clip_frames: tuple[tuple[int, ...], ...]
    window: list[int]
    anchors: list[int]
    tracked: list[int]
    stream: bool
    known: Encodings | None = None

    @property
    def encoded(self) -> list[int]:
        """The frames that the image encoder sees, ascending."""
        return sorted({*self.window, *self.tracked})

    @property
    def segmented(self) -> list[int]:
        """The frames that get masks, ascending."""
        return sorted({*self.anchors, *self.tracked})


@dataclass(frozen=True)
class Encodings:
    """What frozen encoders make of S videos.

    Attributes:
        clips: (S, K, L, U), the clip encoder's tokens before merging.
        s0, s1, s2: (S, frames, ...), the features of the frames of `Frames.encoded`.
    """

    clips: torch.Tensor
    s0: torch.Tensor
    s1: torch.Tensor
    s2: torch.Tensor


@dataclass(frozen=True)
class Sentences:
    """B sentences about the videos; none where an encoder is trained alone.

    Attributes:
        video: (B,) index among the S videos of the one that each is about.
        texts: the sentences, or questions where there are `answers`.
        wordings: of each, which question and which answer template.
        kinds: of each, what sort of sentence it is, for the log.
        answers: in words, and then no mask is asked for and there are no pixels; or None.
    """

    video: torch.Tensor
    texts: tuple[str, ...]
    wordings: tuple[tuple[int, int], ...]
    kinds: tuple[str, ...]
    answers: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Auxiliaries:
    """What synthetic videos tell beside the masks, for the auxiliary terms.

    Attributes:
        shapes, colours, textures, motions: (S, F, side/4, side/4) class numbers, 0 background;
            motions are those within a frame's clip.
        drawn: (S, F, 3, side, side) normalised: what a camera filmed, as the drawn world shows it;
            `drawn_weights` (S,) 0..1 is how much it is of that world, sizes too. None where
            nothing is distilled.
    """

    shapes: torch.Tensor
    colours: torch.Tensor
    textures: torch.Tensor
    motions: torch.Tensor
    drawn: torch.Tensor | None = None
    drawn_weights: torch.Tensor | None = None


@dataclass(frozen=True)
class Batch:
    """What a model is given, and what is true.

    Attributes:
        frames, sentences: all that a prediction reads.
        truth: (B, F, side, side) uint8 0/1; where answers are in words, of what is to be looked at
            for them, or None where nobody knows.
        auxiliaries: None where nothing but the masks is known.
    """

    frames: Frames
    sentences: Sentences
    truth: torch.Tensor | None = None
    auxiliaries: Auxiliaries | None = None

    def to(self, device: torch.device) -> Batch:
        """The same batch there."""
        return _to(self, device)


def _to(value: object, device: torch.device) -> object:
    """Of a dataclass every tensor, however deep."""
    if torch.is_tensor(value):
        return value.to(device)
    if not dataclasses.is_dataclass(value):
        return value
    names = (field.name for field in dataclasses.fields(value))
    return dataclasses.replace(value, **{n: _to(getattr(value, n), device) for n in names})
