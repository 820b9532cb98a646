"""The loss terms of eq. (15) and (16), each a mean over (frame, query) pairs.

What the release does: docs/released.md, facts 34 and 35.
"""

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F

from virst_model.model.features import Decoded, FrameFeatures
from virst_model.model.prompt import IGNORE

# Released: sums are divided by it, which makes the epsilon a thousandth of a pixel.
DICE_SCALE = 1000.0
DICE_EPSILON = 1e-6


def bce_each(logits_BHW: torch.Tensor, truth_BHW: torch.Tensor) -> torch.Tensor:
    """Binary cross entropy, a pixel mean for each pair, (B,)."""
    loss = F.binary_cross_entropy_with_logits(logits_BHW, truth_BHW, reduction="none")
    return loss.flatten(1).mean(1)


def dice_each(logits_BHW: torch.Tensor, truth_BHW: torch.Tensor) -> torch.Tensor:
    """1 - Dice of the mask probabilities for each pair, (B,)."""
    prob = logits_BHW.sigmoid().flatten(1)
    truth = truth_BHW.flatten(1)
    overlap = 2 * (prob * truth / DICE_SCALE).sum(1) + DICE_EPSILON
    total = (prob / DICE_SCALE).sum(1) + (truth / DICE_SCALE).sum(1) + DICE_EPSILON
    return 1 - overlap / total


def mask_losses(
    decoded: Decoded, truth_BHW: torch.Tensor, absent_as_decoded: bool = True
) -> dict[str, torch.Tensor]:
    """BCE, Dice, IoU and occlusion losses of B pairs, unweighted means.

    Args:
        decoded: the decoder's answers.
        truth_BHW: 0/1 masks of any size; the logits are resized to it (bilinear).
        absent_as_decoded: a mask that the decoder calls absent counts with its -1024 logits, as in
            the release; otherwise its raw logits still learn, which a model needs that starts from
            nothing, and masks without truth are left to the occlusion term.
    """
    logits = decoded.logits if absent_as_decoded else decoded.raw_logits
    logits = F.interpolate(logits[:, None], truth_BHW.shape[-2:], mode="bilinear")[:, 0]
    truth = truth_BHW.to(logits.dtype)
    present = truth.flatten(1).amax(1)
    counted = torch.ones_like(present) if absent_as_decoded else present
    with torch.no_grad():
        hit = logits > 0
        union = (hit | (truth > 0)).flatten(1).sum(1)
        both = (hit & (truth > 0)).flatten(1).sum(1)
        # Nothing wanted, nothing found: no error by the paper's words, but one in the release.
        empty = 0.0 if absent_as_decoded else 1.0
        iou = torch.where(union > 0, both / union.clamp(min=1), empty)
    many = counted.sum().clamp(min=1)
    return {
        "bce": (bce_each(logits, truth) * counted).sum() / many,
        "dice": (dice_each(logits, truth) * counted).sum() / many,
        "iou": (decoded.score - iou).abs().mean(),
        "occ": F.binary_cross_entropy_with_logits(decoded.object_score, present),
    }


def weighted_sum(
    terms: Mapping[str, torch.Tensor], weights: Mapping[str, float], iou_twice: bool = False
) -> torch.Tensor:
    """Eq. (15) and (16): the weighted sum of the terms.

    Args:
        terms: scalars by name, added up in this order.
        weights: of each of the names.
        iou_twice: the IoU term counts twice, as in the release.
    """
    loss = sum(weights[name] * value for name, value in terms.items())
    return loss + weights["iou"] * terms["iou"] if iou_twice and "iou" in terms else loss


def learned_tokens(
    head: Callable[[torch.Tensor], torch.Tensor], hidden_BLD: torch.Tensor, labels_BL: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits (n, V) of the n next tokens that are not ignored, and what they are to be, (n,).

    `head` turns states into logits: only those before such a token, for the logits of a whole
    sequence are the largest tensor of a full-size model.
    """
    learned = labels_BL[:, 1:] != IGNORE
    return head(hidden_BLD[:, :-1][learned]), labels_BL[:, 1:][learned]


def distil_loss(
    features: FrameFeatures, taught: FrameFeatures, weights_B: torch.Tensor
) -> torch.Tensor:
    """How far features are from those of a teacher, in its own spread; s2 counts twice s0 or s1.

    Args:
        weights_B: 0..1, of each picture.
    """
    loss = weights_B.new_zeros(())
    for name, share in (("s0", 0.5), ("s1", 0.5), ("s2", 1.0)):
        ours, theirs = getattr(features, name), getattr(taught, name)
        spread = theirs.var(dim=(0, 2, 3)).mean().sqrt()
        each = F.smooth_l1_loss(ours / spread, theirs / spread, reduction="none")
        loss = loss + share * (each.mean(dim=(1, 2, 3)) * weights_B).mean()
    return loss


def token_loss(logits_LV: torch.Tensor, labels_n: torch.Tensor) -> torch.Tensor:
    """Cross entropy in float32, a mean over the tokens."""
    return F.cross_entropy(logits_LV.float(), labels_n)
