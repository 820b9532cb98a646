"""The rotation of rotary positions, which the fusion and the segmenter share."""

import math

import torch
from torch import Tensor

from virst_model.model.tables import is_traced, table

# Cosines and sines of rotary positions, float32 (L, width / 2, 2).
Turn = Tensor


def rotate_pairs(x: Tensor, turn: Turn) -> Tensor:
    """Turns the channel pairs (0, 1), (2, 3), ... by an angle each; computed in float32.

    Args:
        x: (..., L, width), an even width.
        turn: of the L places.

    Returns:
        As `x`, in its dtype.
    """
    pairs = x.float().unflatten(-1, (-1, 2))
    if is_traced():  # compilers and exporters know no complex numbers
        (even, odd), (cos, sin) = pairs.unbind(-1), turn.unbind(-1)
        turned = torch.stack((even * cos - odd * sin, even * sin + odd * cos), dim=-1)
    else:
        # As the release does it: one operator instead of seven.
        turned = torch.view_as_real(torch.view_as_complex(pairs) * torch.view_as_complex(turn))
    return turned.flatten(-2).to(x.dtype)


def turn_by(angles: Tensor) -> Turn:
    """The turn by angles (L, width / 2)."""
    return torch.stack((angles.cos(), angles.sin()), dim=-1)


@table
def axial_turn(cells: int, width: int, device: torch.device) -> Turn:
    """Of the cells of a square, row by row: the first half of the pairs turns with x, then y."""
    side = math.isqrt(cells)
    frequency = 10000.0 ** -(torch.arange(0, width, 4, device=device).float() / width)
    place = torch.arange(cells, device=device)
    across, down = place % side, place.div(side, rounding_mode="floor")
    return turn_by(torch.cat([across[:, None] * frequency, down[:, None] * frequency], dim=1))
