"""What pointing learns from: where the target of a sentence is in the clips."""

from dataclasses import dataclass
import math

import torch
import torch.nn.functional as F

from virst_model.model.pointing import Pointed

# Of a visual token, so much must be the target's for [ST] to point at it; where no token has that
# much of a target that is to be seen, it points at the one that has most.
LEAST_SHARE = 0.1
_BEND = 0.1  # of the smooth L1 of a place, in sides of the picture


@dataclass(frozen=True)
class Targets:
    """Where the targets of B sentences are in a window of K clips.

    Attributes:
        shares: (B, K, L + 1), over the visual tokens of a clip and none of them; the sum is 1.
        places: (B, K, T, 2), y and x of the middle of the target in each frame, 0..1.
        visible: (B, K, T) bool.
    """

    shares: torch.Tensor
    places: torch.Tensor
    visible: torch.Tensor


def find_targets(truth_BKTHW: torch.Tensor, owners_BKL: torch.Tensor, tokens: int) -> Targets:
    """The targets in the frames of the clips.

    Args:
        truth_BKTHW: 0/1, the targets' pixels in the frames of the clips.
        owners_BKL: into which of the `tokens` of a clip each of its patches was merged.
    """
    truth = truth_BKTHW.float()
    visible = truth.flatten(3).any(dim=-1)
    shares = token_shares(truth, owners_BKL, tokens)
    best = F.one_hot(shares.argmax(dim=-1), tokens).to(shares.dtype)
    marked = torch.where(shares.amax(dim=-1, keepdim=True) > LEAST_SHARE, shares, best)
    marked = marked * ((marked > LEAST_SHARE) & visible.any(dim=-1)[..., None])
    total = marked.sum(dim=-1, keepdim=True)
    shares = torch.cat((marked / total.clamp(min=1e-6), (total == 0).to(total.dtype)), dim=-1)
    return Targets(shares, _middles(truth), visible)


def token_shares(truth_BKTHW: torch.Tensor, owners_BKL: torch.Tensor, tokens: int) -> torch.Tensor:
    """Which part of each visual token is the target's, (B, K, tokens) 0..1; as `find_targets`."""
    frames = truth_BKTHW.shape[2]
    grid = math.isqrt(owners_BKL.shape[-1] // frames)
    patches = F.adaptive_avg_pool2d(truth_BKTHW.flatten(0, 2)[:, None], grid)
    patches_BKL = patches.view(*truth_BKTHW.shape[:3], grid * grid).flatten(2)
    owners = owners_BKL.expand(len(truth_BKTHW), -1, -1)
    zeros = truth_BKTHW.new_zeros((*truth_BKTHW.shape[:2], tokens))
    counts = zeros.scatter_add(-1, owners, torch.ones_like(patches_BKL))
    return zeros.scatter_add(-1, owners, patches_BKL) / counts.clamp(min=1)


def _middles(truth_BKTHW: torch.Tensor) -> torch.Tensor:
    """(B, K, T, 2) y and x of the middle of the pixels; 0 where there is none."""
    area = truth_BKTHW.sum(dim=(-1, -2)).clamp(min=1)
    rows, columns = truth_BKTHW.sum(dim=-1), truth_BKTHW.sum(dim=-2)

    def mean(counts: torch.Tensor) -> torch.Tensor:
        at = (torch.arange(counts.shape[-1], device=counts.device) + 0.5) / counts.shape[-1]
        return (counts * at).sum(dim=-1) / area

    return torch.stack((mean(rows), mean(columns)), dim=-1)


def pointing_losses(pointed: Pointed, targets: Targets) -> dict[str, torch.Tensor]:
    """ "point", "place" and "shown", a mean over the sentences each.

    The cross entropy of what is pointed at in each clip; the smooth L1 of the places, where the
    target is to be seen; BCE of whether it is, in each frame and in any. A clip that is an image
    has one frame, and of the places those of the first.
    """
    frames = targets.visible.shape[2]
    places, shown = pointed.places[:, :, :frames], pointed.shown[:, :, :frames]
    point = -(pointed.logits.log_softmax(dim=-1) * targets.shares).sum(dim=-1).mean()
    each = F.smooth_l1_loss(places, targets.places, reduction="none", beta=_BEND)
    visible = targets.visible.float()
    place = (each.sum(dim=-1) * visible).sum() / visible.sum().clamp(min=1)
    seen = F.binary_cross_entropy_with_logits(shown, visible)
    any_B = targets.visible.flatten(1).any(dim=1).float()
    window = F.binary_cross_entropy_with_logits(pointed.window, any_B)
    return {"point": point, "place": 2 * place, "shown": seen + window}
