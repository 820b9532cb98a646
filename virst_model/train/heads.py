"""Auxiliary heads of a model that starts from nothing, and their losses."""

from collections.abc import Mapping, Sequence
import math

import torch
from torch import nn
import torch.nn.functional as F

from virst_model.config import VirstConfig
from virst_model.synthetic.actors import TEXTURES
from virst_model.synthetic.grammar import COLOURS, MOTIONS
from virst_model.synthetic.shapes import SHAPES
from virst_model.train.batches import Auxiliaries, Batch
from virst_model.train.losses import bce_each, dice_each

CELLS = 4  # a side, of a clip encoder's patch
UNKNOWN = -100  # a class that nobody can tell; it is not learned
# The terms of the heads: on what the encoders see, and on what is made of a sentence.
ENCODER_TERMS = ("clip_shape", "clip_colour", "clip_motion", "clip_filled", "shape", "colour")
DETAIL_TERMS = ("clip_texture", "clip_place", "texture")
SENTENCE_TERMS = ("words", "present", "match")
CLASSES = {
    "shape": 1 + len(SHAPES),
    "colour": 1 + len(COLOURS),
    "texture": 1 + len(TEXTURES),
    "motion": 1 + len(MOTIONS),
}
# Of a place in the picture, a square of its error in 0..1: as much as the classes cost.
_PLACE = 10.0


class Heads(nn.Module):
    """Auxiliary heads of a model that starts from nothing. Dropped afterwards.

    A trunk learns shapes slowly from masks alone, and a language model is slow to carry a word
    over a hundred tokens to [ST] when only masks tell it that the word mattered.
    """

    def __init__(self, config: VirstConfig) -> None:
        super().__init__()
        dim = config.segmenter.dim
        seen = sum(CLASSES[name] for name in ("shape", "colour", "texture"))
        self.dense = nn.Conv2d(dim, 16 * seen, 1)
        self.clip = nn.Linear(config.umt.dim, sum(CLASSES.values()))
        self.place = nn.Linear(config.umt.dim, 2)
        self.filled = nn.Linear(config.umt.dim, config.umt.clip_frames * CELLS**2)
        self.words = nn.Linear(config.llm.hidden, config.llm.vocab)
        self.present = nn.Linear(config.llm.hidden, 1)
        self.match = nn.Linear(dim, 16)

    def of_clips(self, tokens_KLU: torch.Tensor) -> dict[str, torch.Tensor]:
        """Of each place of the clips: classes (K, L, classes), its own y and x, and `filled`.

        `filled`, so that a token looks for its place in the other frames, without which no motion
        is seen, is which cells of the place are filled in which frame: (K, L, frames * CELLS**2).
        """
        return {
            "clip": self.clip(tokens_KLU),
            "place": self.place(tokens_KLU),
            "filled": self.filled(tokens_KLU),
        }

    def of_pictures(self, s2_BCgg: torch.Tensor) -> dict[str, torch.Tensor]:
        """Classes of every stride-4 cell from the stride-16 features, (B, classes, 4h, 4w)."""
        return {"dense": F.pixel_shuffle(self.dense(s2_BCgg), 4)}

    def of_sentences(self, states_BND: torch.Tensor) -> dict[str, torch.Tensor]:
        """From the mean [ST] state: `words` (B, V), which words each sentence has, and `present`
        (B,), whether the window shows its target at all.
        """
        words = self.words(states_BND.mean(dim=1))
        return {"words": words, "present": self.present(states_BND.mean(dim=1))[:, 0]}

    def of_masks(self, cells_BLC: torch.Tensor) -> dict[str, torch.Tensor]:
        """A mask (B, 4h, 4w) read from the mask decoder's image tokens (L = h * w) alone.

        The decoder's masks are products with an eighth of its width; that is few numbers to
        learn from which of many objects is meant. This asks its attention directly.
        """
        grid = math.isqrt(cells_BLC.shape[1])
        maps = self.match(cells_BLC).transpose(1, 2).unflatten(2, (grid, grid))
        return {"match": F.pixel_shuffle(maps, 4)[:, 0]}


def head_losses(
    scores: Mapping[str, torch.Tensor], words: Sequence[Sequence[int]], batch: Batch
) -> dict[str, torch.Tensor]:
    """Those of `ENCODER_TERMS`, `DETAIL_TERMS` and `SENTENCE_TERMS` whose scores are there.

    Args:
        scores: of the methods of `Heads`, by name.
        words: of each sentence, the ids of its words.
    """
    terms: dict[str, torch.Tensor] = {}
    frames, known, truth = batch.frames, batch.auxiliaries, batch.truth
    if "clip" in scores:
        classes, filled = clip_truths(known, frames.clip_frames, scores["clip"].shape[1])
        losses = class_losses(scores["clip"].mT, classes)
        terms |= {f"clip_{name}": loss for name, loss in losses.items()}
        terms["clip_place"] = _PLACE * place_loss(scores["place"], len(frames.clip_frames[0]))
        terms["clip_filled"] = F.binary_cross_entropy_with_logits(scores["filled"], filled)
    if "dense" in scores:
        pictures = {
            "shape": known.shapes,
            "colour": known.colours,
            "texture": known.textures,
        }
        classes = {name: x[:, frames.encoded].flatten(0, 1) for name, x in pictures.items()}
        terms |= class_losses(scores["dense"], classes)
    if "words" in scores:
        terms["words"] = words_loss(scores["words"], words)
        present_B = truth[:, frames.window].flatten(1).any(dim=1).float()
        terms["present"] = F.binary_cross_entropy_with_logits(scores["present"], present_B)
    if "match" in scores:
        terms["match"] = match_loss(
            scores["match"], torch.cat([truth[:, frame] for frame in frames.segmented])
        )
    return terms


def clip_truths(
    known: Auxiliaries, clip_frames: Sequence[Sequence[int]], places: int
) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """What there is at each of the L `places` of the clips of all videos, the same in each frame.

    Returns:
        classes: name -> class numbers (S * K, L) at the patch's centre.
        filled: (S * K, L, 4 * CELLS**2) 0/1, of the patch's cells in all frames of the clip.
    """
    frames = torch.tensor(clip_frames, device=known.shapes.device)
    maps = {
        "shape": known.shapes,
        "colour": known.colours,
        "texture": known.textures,
        "motion": known.motions,
    }
    grid = math.isqrt(places // frames.shape[1])
    step = known.shapes.shape[-1] // grid
    centres = slice(step // 2, None, step)
    classes = {
        name: truth[:, frames][..., centres, centres].flatten(0, 1).flatten(1)
        for name, truth in maps.items()
    }
    objects = (known.shapes[:, frames] > 0).float().flatten(0, 2)
    cells = F.adaptive_avg_pool2d(objects, grid * CELLS).round()
    cells = cells.view(-1, frames.shape[1], grid, CELLS, grid, CELLS)
    filled = cells.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)
    return classes, filled.repeat(1, frames.shape[1], 1)


def class_losses(
    scores: torch.Tensor, truths: Mapping[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """By name, the cross entropy of scores (B, classes of all truths, ...).

    A mean of objects and one of background count alike; `UNKNOWN` counts in neither.
    """
    losses = {}
    parts = scores.split([CLASSES[name] for name in truths], dim=1)
    for score, (name, truth) in zip(parts, truths.items(), strict=True):
        each = F.cross_entropy(score, truth, reduction="none", ignore_index=UNKNOWN)
        inside, background = (truth > 0).float(), (truth == 0).float()
        objects = (each * inside).sum() / inside.sum().clamp(min=1)
        rest = (each * background).sum() / background.sum().clamp(min=1)
        losses[name] = (objects + rest) / 2
    return losses


def place_loss(places_KL2: torch.Tensor, frames: int) -> torch.Tensor:
    """Mean square of how far y and x, 0..1, of each place of a clip (t, y, x) are off."""
    grid = math.isqrt(places_KL2.shape[1] // frames)
    middles = (torch.arange(grid, device=places_KL2.device) + 0.5) / grid
    grid_gg2 = torch.stack(torch.meshgrid(middles, middles, indexing="ij"), dim=-1)
    truth_L2 = grid_gg2.flatten(0, 1).repeat(frames, 1)
    return F.mse_loss(places_KL2.float(), truth_L2.expand_as(places_KL2))


def words_loss(scores_BV: torch.Tensor, words: Sequence[Sequence[int]]) -> torch.Tensor:
    """-log of each word that a sentence has, a mean over its words and then the sentences."""
    logs = scores_BV.log_softmax(dim=1)
    each = [-row[sorted(set(ids))].mean() for row, ids in zip(logs, words, strict=True)]
    return torch.stack(each).mean()


def match_loss(logits_BHW: torch.Tensor, truth_BHW: torch.Tensor) -> torch.Tensor:
    """BCE and Dice; Dice of the masks that are not empty."""
    truth = F.adaptive_avg_pool2d(truth_BHW.float(), logits_BHW.shape[-1])
    filled = (truth.flatten(1).amax(1) > 0).float()
    dice = (dice_each(logits_BHW, truth) * filled).sum() / filled.sum().clamp(min=1)
    return bce_each(logits_BHW, truth).mean() + dice


def look_loss(looks: Sequence[torch.Tensor], truth_BTHW: torch.Tensor) -> torch.Tensor:
    """-log of the attention that the fusion pays to the target in the prompt's own frame.

    Half of the heads learn it, in every layer; frames without the target do not count. Words and
    pixels find each other sooner this way than through the mask decoder alone.
    """
    grid = math.isqrt(looks[0].shape[-1])
    share = F.adaptive_avg_pool2d(truth_BTHW.float(), grid).flatten(2)
    target_BTS = (2 * share).clamp(max=1)
    there_BT = (share.amax(dim=2) > 0.05).float()
    loss = share.new_zeros(())
    for look in looks:
        half = look[:, : look.shape[1] // 2].mean(dim=(1, 2))  # (B, T, T, S)
        own_BTS = half.diagonal(dim1=1, dim2=2).transpose(1, 2)
        paid_BT = (own_BTS * target_BTS).sum(dim=2)
        loss = loss - ((paid_BT + 1e-4).log() * there_BT).sum() / there_BT.sum().clamp(min=1)
    return loss / len(looks)
