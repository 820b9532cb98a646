"""What one training forward takes, wherever it was drawn from."""

import dataclasses
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Batch:
    """S videos, each seen at F times, and B sentences about them.

    Attributes:
        pixels: (S, F, 3, s, s) normalised.
        clips: (S, K, 4, 3, u, u) normalised clips, K of each video; of an image
            (S, 1, 1, 3, u, u).
        window: indices of F that the fusion sees, in order; a frame may be there twice.
        anchors: positions in `window` whose masks are decoded from prompts; different frames.
        tracked: indices of F that are segmented through memory, in order of time.
        times: frame number of each of the F frames, ascending, the time base of memory.
        stream: memory is read as in a stream, which has no length.
        scene: (B,) index of the video of each sentence.
        texts: B sentences, or questions where there are `answers`.
        wordings: of each, which question and which answer template.
        kinds: of each, what sort of sentence it is, for the log.
        truth: (B, F, s, s) uint8 0/1; None where answers are in words.
        answers: B answers in words, or None; with them F is 0.
        clip_frames: indices of F in each of the K clips; empty where they are not known.
        shapes, colours, motions: (S, F, h, w) class numbers, 0 background, for the
            auxiliary heads; motions are those within a frame's clip. None without heads.
    """

    pixels: torch.Tensor
    clips: torch.Tensor
    window: list[int]
    anchors: list[int]
    tracked: list[int]
    times: list[int]
    stream: bool
    scene: torch.Tensor
    texts: tuple[str, ...]
    wordings: tuple[tuple[int, int], ...]
    kinds: tuple[str, ...]
    truth: torch.Tensor | None
    answers: tuple[str, ...] | None = None
    shapes: torch.Tensor | None = None
    colours: torch.Tensor | None = None
    motions: torch.Tensor | None = None
    clip_frames: tuple[tuple[int, ...], ...] = ()

    def to(self, device: torch.device) -> "Batch":
        """The same batch there."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        moved = {name: x.to(device) for name, x in fields.items() if torch.is_tensor(x)}
        return dataclasses.replace(self, **moved)
