"""What the model makes of a window whatever is asked about it, kept for the next question."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Pooled:
    """Frames' features as both fusions look at them, each frame for itself.

    Attributes:
        initial: (T, L, D), of the Initial ST-Fusion; None of a model without it.
        second: (T, L, C), of the Second.
    """

    initial: Tensor | None
    second: Tensor

    @staticmethod
    def join(parts: Sequence[Pooled]) -> Pooled:
        """The frames of all parts, in their order."""
        initial = None
        if parts[0].initial is not None:
            initial = torch.cat([part.initial for part in parts])
        return Pooled(initial, torch.cat([part.second for part in parts]))

    def repeat_last(self, times: int) -> Pooled:
        """The last frame, so many times."""
        initial = None if self.initial is None else self.initial[-1:].expand(times, -1, -1)
        return Pooled(initial, self.second[-1:].expand(times, -1, -1))


@dataclass(frozen=True)
class Prefix:
    """What the language model made of a conversation up to the end of the visual tokens.

    Attributes:
        layers: of each layer keys and values, (1, heads, L, width). Nobody writes into them.
        hidden: states (1, L, D) after the final norm.
    """

    layers: tuple[tuple[Tensor, Tensor], ...]
    hidden: Tensor


@dataclass
class Seen:
    """Of one window; the first question about it fills in what is None.

    Attributes:
        pooled: its frames'.
        asked_ND: the [ST] embeddings after the Initial ST-Fusion: all sentences have the same.
        prefix: what all conversations about the window begin with.
        apart: the language model reads the prefix by itself, once for all questions; else each
            question is one pass, which is less work for one.
    """

    pooled: Pooled | None = None
    asked_ND: Tensor | None = None
    prefix: Prefix | None = None
    apart: bool = False
