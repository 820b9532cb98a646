"""Auxiliary heads of a model that starts from nothing, and their losses."""

from collections.abc import Sequence

import torch
from torch import nn
import torch.nn.functional as F

from virst_model.data.grammar import COLOURS, MOTIONS, RANKS, SHAPES, SIZES, parse
from virst_model.losses import bce_each, dice_each

# What a sentence of the synthetic language can say, for the auxiliary head.
SAID = (
    ("colour", COLOURS),
    ("shape", SHAPES),
    ("size", SIZES),
    ("rank", RANKS),
    ("motion", MOTIONS),
    ("plural", (False, True)),
)


class Heads(nn.Module):
    """Auxiliary heads of a model that starts from nothing. Dropped afterwards.

    A trunk learns shapes slowly from masks alone, and a language model is slow to carry a word
    over a hundred tokens to [ST] when only masks tell it that the word mattered.
    """

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.classes = (len(SHAPES) + 1, len(COLOURS) + 1)
        self.dense = nn.Conv2d(dim, 16 * sum(self.classes), 1)
        self.said = [1 + len(names) for _, names in SAID]
        self.phrase = nn.Linear(hidden, sum(self.said))
        self.match = nn.Linear(dim, 16)

    def dense_losses(
        self, s2: torch.Tensor, shapes: torch.Tensor, colours: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        """Shape and colour of every stride-4 cell from the stride-16 features.

        Cross entropy; objects and background have half of the weight each.
        """
        scores = F.pixel_shuffle(self.dense(s2), 4).split(self.classes, dim=1)
        truths = {"shape": shapes, "colour": colours}
        found = {}
        for score, (name, truth) in zip(scores, truths.items(), strict=True):
            each = F.cross_entropy(score, truth, reduction="none")
            thing = (truth > 0).float()
            things = (each * thing).sum() / thing.sum().clamp(min=1)
            rest = (each * (1 - thing)).sum() / (1 - thing).sum().clamp(min=1)
            found[name] = (things + rest) / 2
        return found

    def phrase_loss(self, states_BND: torch.Tensor, texts: Sequence[str]) -> torch.Tensor:
        """What each sentence says (colour, shape, ...) from its mean [ST] state; cross entropy."""
        scores = self.phrase(states_BND.mean(dim=1)).split(self.said, dim=1)
        phrases = [parse(text) for text in texts]
        loss = states_BND.new_zeros(())
        for score, (name, values) in zip(scores, SAID, strict=True):
            words = [getattr(phrase, name) for phrase in phrases]
            truth = [0 if word is None else 1 + values.index(word) for word in words]
            loss = loss + F.cross_entropy(score, torch.tensor(truth, device=score.device))
        return loss / len(SAID)

    def match_loss(self, cells_BSC: torch.Tensor, truth_BHW: torch.Tensor) -> torch.Tensor:
        """BCE and Dice of a mask read from the mask decoder's image tokens alone.

        The decoder's masks are products with an eighth of its width; that is few numbers to
        learn from which of many objects is meant. This asks its attention directly.
        """
        grid = round(cells_BSC.shape[1] ** 0.5)
        maps = self.match(cells_BSC).transpose(1, 2).unflatten(2, (grid, grid))
        logits = F.pixel_shuffle(maps, 4)[:, 0]
        truth = F.adaptive_avg_pool2d(truth_BHW.float(), logits.shape[-1])
        seen = (truth.flatten(1).amax(1) > 0).float()
        dice = (dice_each(logits, truth) * seen).sum() / seen.sum().clamp(min=1)
        return bce_each(logits, truth).mean() + dice


def look_loss(looks: list[torch.Tensor], truth_BTHW: torch.Tensor, grid: int) -> torch.Tensor:
    """-log of the attention that the fusion pays to the target in the prompt's own frame.

    Half of the heads learn it, in every layer; frames without the target do not count. Words and
    pixels find each other sooner this way than through the mask decoder alone.
    """
    share = F.adaptive_avg_pool2d(truth_BTHW.float(), grid).flatten(2)
    target_BTS = (2 * share).clamp(max=1)
    seen_BT = (share.amax(dim=2) > 0.05).float()
    loss = share.new_zeros(())
    for look in looks:
        half = look[:, : look.shape[1] // 2].mean(dim=(1, 2))  # (B, T, T, S)
        own_BTS = half.diagonal(dim1=1, dim2=2).transpose(1, 2)
        paid_BT = (own_BTS * target_BTS).sum(dim=2)
        loss = loss - ((paid_BT + 1e-4).log() * seen_BT).sum() / seen_BT.sum().clamp(min=1)
    return loss / len(looks)
