"""What travels between the parts of the model, and the letters of the shapes.

The key of shape letters in names (`prompts_TNC`) and docstrings; docs/architecture.md has it, too:

    B  batch: frames, sentences, or pairs of both
    T  frames of a window, of a clip or of a video
    F  frames of a training batch, of which its windows are some
    S  scenes: the videos of a training batch
    Q  queries
    A  anchors
    K  clips
    N  [ST] tokens, 10
    L  tokens of a sequence: words, patches, cells of a grid, memory
    V  vocabulary
    D  width of the language model
    U  width of the clip encoder
    C  width of the segmenter
    M  width of a memory map
    P  FIFO length + 1, 7
    H W  height and width of pictures and masks
    h w  the mask logits' grid, a quarter of the segmenter's input
    g  side of the segmenter's stride-16 grid
    s  side of the segmenter's input
    u  side of the clip encoder's input

Digits are themselves: `frame_HW3`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

# What SAM 2 writes into the mask logits of an absent object.
ABSENT_LOGIT = -1024.0


@dataclass(frozen=True)
class VisualTokens:
    """What the language model is given of K clips.

    Attributes:
        embeds: (K, L, D), L tokens of each clip, 64.
        places: (K, L, numbers), where each comes from, of a model that points; else None.
        owners: (K, patches), into which token each patch of the clip was merged; else None.
    """

    embeds: torch.Tensor
    places: torch.Tensor | None = None
    owners: torch.Tensor | None = None

    @staticmethod
    def join(clips: Sequence[VisualTokens]) -> VisualTokens:
        """Clips in the order of time, as one."""

        def cat(parts: list[torch.Tensor | None]) -> torch.Tensor | None:
            return None if parts[0] is None else torch.cat(parts)

        return VisualTokens(
            torch.cat([clip.embeds for clip in clips]),
            cat([clip.places for clip in clips]),
            cat([clip.owners for clip in clips]),
        )

    @property
    def sequence(self) -> torch.Tensor:
        """(K * L, D), as the language model reads them."""
        return self.embeds.flatten(0, 1)

    def blank(self) -> VisualTokens:
        """As many tokens that say nothing: zeros, places too."""
        places = None if self.places is None else torch.zeros_like(self.places)
        return VisualTokens(torch.zeros_like(self.embeds), places, self.owners)


@dataclass(frozen=True)
class FrameFeatures:
    """SAM 2 features of B frames, encoded once and shared by window, fusion, anchors and tracking.

    Attributes:
        s0: stride 4, after the decoder's conv_s0, (B, C/8, 4g, 4g).
        s1: stride 8, after the decoder's conv_s1, (B, C/4, 2g, 2g).
        s2: stride 16, the "vision_features" of the image encoder, no memory added, (B, C, g, g).
    """

    s0: torch.Tensor
    s1: torch.Tensor
    s2: torch.Tensor

    @staticmethod
    def join(frames: Sequence[FrameFeatures]) -> FrameFeatures:
        """Frames as one batch, in their order; one alone is not copied."""
        return frames[0] if len(frames) == 1 else FrameFeatures(*_cat(frames))

    def select(self, index: slice | torch.Tensor | list[int]) -> FrameFeatures:
        """The frames at `index` of the batch; an int is not allowed, the batch axis stays."""
        return FrameFeatures(self.s0[index], self.s1[index], self.s2[index])

    def expand(self, count: int) -> FrameFeatures:
        """One frame (B = 1) seen `count` times, without a copy."""
        return FrameFeatures(*(x.expand(count, -1, -1, -1) for x in (self.s0, self.s1, self.s2)))


@dataclass(frozen=True)
class Decoded:
    """The mask decoder's answer for a batch of (frame, query) pairs.

    Attributes:
        logits: mask logits at stride 4, (B, h, w); `ABSENT_LOGIT` everywhere where the object is
            predicted absent (object_score <= 0).
        raw_logits: the same before that rule, (B, h, w); what a mask loss can learn from.
        score: predicted IoU of the mask, (B,).
        object_score: logit that the object is visible, (B,).
        pointer: object pointer, (B, C); `no_obj_ptr` where absent.
    """

    logits: torch.Tensor
    raw_logits: torch.Tensor
    score: torch.Tensor
    object_score: torch.Tensor
    pointer: torch.Tensor

    def select(self, index: slice | torch.Tensor | list[int]) -> Decoded:
        """The pairs at `index` of the batch; the batch axis stays."""
        return Decoded(
            self.logits[index],
            self.raw_logits[index],
            self.score[index],
            self.object_score[index],
            self.pointer[index],
        )

    @staticmethod
    def join(parts: Sequence[Decoded]) -> Decoded:
        """Pairs as one batch, in their order; one alone is not copied."""
        return parts[0] if len(parts) == 1 else Decoded(*_cat(parts))

    def split(self) -> list[Decoded]:
        """Each pair as a batch of its own; views."""
        return [self.select(slice(row, row + 1)) for row in range(len(self.score))]


@dataclass(frozen=True)
class MemoryEntry:
    """What one segmented frame leaves in memory: maps (B, g*g, M) and a pointer (B, C)."""

    maps: torch.Tensor
    pointer: torch.Tensor

    def select(self, index: slice | torch.Tensor | list[int]) -> MemoryEntry:
        """The pairs at `index` of the batch; the batch axis stays."""
        return MemoryEntry(self.maps[index], self.pointer[index])

    def copy(self) -> MemoryEntry:
        """The same in memory of its own."""
        return MemoryEntry(self.maps.clone(), self.pointer.clone())

    def split(self) -> list[MemoryEntry]:
        """Each pair as a batch of its own; views."""
        return [self.select(slice(row, row + 1)) for row in range(len(self.pointer))]


@dataclass(frozen=True)
class MemoryRead:
    """A read of fixed shape: empty slots are padded with zeros and masked.

    Attributes:
        maps: (B, alpha + P - 1, g*g, M): alpha anchors, then the FIFO, nearest frame first.
        map_valid: bool (B, alpha + P - 1).
        pointers: (B, alpha + 15, C): alpha anchors, then the FIFO; 15 is `max_pointers` - 1.
        pointer_valid: bool (B, alpha + 15).
        pointer_time: signed distance in frames divided by 15 (or by video length - 1),
            (B, alpha + 15).
        complete: all slots are valid, as the host knows: nothing is to be masked.
    """

    maps: torch.Tensor
    map_valid: torch.Tensor
    pointers: torch.Tensor
    pointer_valid: torch.Tensor
    pointer_time: torch.Tensor
    complete: bool = False

    @staticmethod
    def batch(reads: list[MemoryRead]) -> MemoryRead:
        """Reads of several queries as one batch, in their order; one alone is not copied."""
        if len(reads) == 1:
            return reads[0]
        return MemoryRead(
            torch.cat([r.maps for r in reads]),
            torch.cat([r.map_valid for r in reads]),
            torch.cat([r.pointers for r in reads]),
            torch.cat([r.pointer_valid for r in reads]),
            torch.cat([r.pointer_time for r in reads]),
            all(r.complete for r in reads),
        )


def _cat(parts: Sequence[FrameFeatures] | Sequence[Decoded]) -> list[torch.Tensor]:
    """Each of their tensors, joined along the batch."""
    return [torch.cat(tensors) for tensors in zip(*(vars(x).values() for x in parts), strict=True)]
