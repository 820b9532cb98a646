"""The rotation of rotary positions, which the fusion and the segmenter share."""

import torch
from torch import Tensor


def rotate_pairs(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turns the channel pairs (0, 1), (2, 3), ... by an angle each; computed in float32.

    Args:
        x: (..., L, width), an even width.
        cos, sin: float32 (L, width / 2), of the angles.

    Returns:
        As `x`, in its dtype.
    """
    even, odd = x.float().unflatten(-1, (-1, 2)).unbind(-1)
    turned = torch.stack((even * cos - odd * sin, even * sin + odd * cos), dim=-1)
    return turned.flatten(-2).to(x.dtype)
