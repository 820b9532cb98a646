"""Auxiliary heads of a model that starts from nothing, and their losses."""

from collections.abc import Sequence

import torch
from torch import nn
import torch.nn.functional as F

from virst_model.config import VirstConfig
from virst_model.synthetic.grammar import COLOURS, MOTIONS
from virst_model.synthetic.shapes import SHAPES
from virst_model.train.losses import bce_each, dice_each

CELLS = 4  # a side, of a clip encoder's patch
UNKNOWN = -100  # a class that nobody can tell; it is not learned
CLASSES = {"shape": 1 + len(SHAPES), "colour": 1 + len(COLOURS), "motion": 1 + len(MOTIONS)}


class Heads(nn.Module):
    """Auxiliary heads of a model that starts from nothing. Dropped afterwards.

    A trunk learns shapes slowly from masks alone, and a language model is slow to carry a word
    over a hundred tokens to [ST] when only masks tell it that the word mattered.
    """

    def __init__(self, config: VirstConfig) -> None:
        super().__init__()
        dim = config.segmenter.dim
        self.dense = nn.Conv2d(dim, 16 * (CLASSES["shape"] + CLASSES["colour"]), 1)
        self.clip = nn.Linear(config.umt.dim, sum(CLASSES.values()))
        self.filled = nn.Linear(config.umt.dim, config.umt.clip_frames * CELLS**2)
        self.words = nn.Linear(config.llm.hidden, config.llm.vocab)
        self.present = nn.Linear(config.llm.hidden, 1)
        self.match = nn.Linear(dim, 16)

    def dense_losses(
        self, s2: torch.Tensor, shapes: torch.Tensor, colours: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        """Shape and colour of every stride-4 cell from the stride-16 features."""
        scores = F.pixel_shuffle(self.dense(s2), 4)
        truths = {"shape": shapes, "colour": colours}
        return _class_losses(scores, truths, "")

    def clip_losses(
        self, tokens_KLU: torch.Tensor, truths: dict[str, torch.Tensor], filled: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        """What the clip encoder's tokens know of their places.

        Classes (K, L) of what each shows; and, so that a token looks for its place in the other
        frames, without which no motion is seen: which cells of the place are `filled` in which
        frame, (K, L, frames * CELLS**2) 0/1.
        """
        terms = _class_losses(self.clip(tokens_KLU).mT, truths, "clip_")
        scores = self.filled(tokens_KLU)
        return terms | {"clip_filled": F.binary_cross_entropy_with_logits(scores, filled)}

    def words_loss(self, states_BND: torch.Tensor, words: Sequence[Sequence[int]]) -> torch.Tensor:
        """Which words each sentence has, by their ids, from its mean [ST] state; -log of each."""
        scores = self.words(states_BND.mean(dim=1)).log_softmax(dim=1)
        each = [-row[sorted(set(ids))].mean() for row, ids in zip(scores, words, strict=True)]
        return torch.stack(each).mean()

    def present_loss(self, states_BND: torch.Tensor, truth_BTHW: torch.Tensor) -> torch.Tensor:
        """Whether the window shows the target at all, from the mean [ST] state; BCE."""
        truth_B = truth_BTHW.flatten(1).any(dim=1).float()
        return F.binary_cross_entropy_with_logits(
            self.present(states_BND.mean(dim=1))[:, 0], truth_B
        )

    def match_loss(self, cells_BLC: torch.Tensor, truth_BHW: torch.Tensor) -> torch.Tensor:
        """BCE and Dice of a mask read from the mask decoder's image tokens alone.

        The decoder's masks are products with an eighth of its width; that is few numbers to
        learn from which of many objects is meant. This asks its attention directly.
        """
        grid = round(cells_BLC.shape[1] ** 0.5)
        maps = self.match(cells_BLC).transpose(1, 2).unflatten(2, (grid, grid))
        logits = F.pixel_shuffle(maps, 4)[:, 0]
        truth = F.adaptive_avg_pool2d(truth_BHW.float(), logits.shape[-1])
        seen = (truth.flatten(1).amax(1) > 0).float()
        dice = (dice_each(logits, truth) * seen).sum() / seen.sum().clamp(min=1)
        return bce_each(logits, truth).mean() + dice


def _class_losses(
    scores: torch.Tensor, truths: dict[str, torch.Tensor], prefix: str
) -> dict[str, torch.Tensor]:
    """Cross entropy of scores (B, classes of all truths, ...); things and background alike."""
    found = {}
    parts = scores.split([CLASSES[name] for name in truths], dim=1)
    for score, (name, truth) in zip(parts, truths.items(), strict=True):
        each = F.cross_entropy(score, truth, reduction="none", ignore_index=UNKNOWN)
        thing, rest = (truth > 0).float(), (truth == 0).float()
        things = (each * thing).sum() / thing.sum().clamp(min=1)
        others = (each * rest).sum() / rest.sum().clamp(min=1)
        found[prefix + name] = (things + others) / 2
    return found


def look_loss(looks: list[torch.Tensor], truth_BTHW: torch.Tensor, grid: int) -> torch.Tensor:
    """-log of the attention that the fusion pays to the target in the prompt's own frame.

    Half of the heads learn it, in every layer; frames without the target do not count. Words and
    pixels find each other sooner this way than through the mask decoder alone.
    """
    share = F.adaptive_avg_pool2d(truth_BTHW.float(), grid).flatten(2)
    target_BTL = (2 * share).clamp(max=1)
    seen_BT = (share.amax(dim=2) > 0.05).float()
    loss = share.new_zeros(())
    for look in looks:
        half = look[:, : look.shape[1] // 2].mean(dim=(1, 2))  # (B, T, T, L)
        own_BTL = half.diagonal(dim1=1, dim2=2).transpose(1, 2)
        paid_BT = (own_BTL * target_BTL).sum(dim=2)
        loss = loss - ((paid_BT + 1e-4).log() * seen_BT).sum() / seen_BT.sum().clamp(min=1)
    return loss / len(looks)
