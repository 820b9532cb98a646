"""SAM 2's positions as sines and cosines: of a map's cells, and of distances in time."""

import math

import torch
from torch import Tensor, nn

from virst_model.model.tables import table

# SAM 2 keeps the division of a place by its side from zero.
_EPSILON = 1e-6


class SinePositions(nn.Module):
    """In place of SAM 2's module, which copies its table for each image and starts on any GPU."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Positions (B, dim, H, W) of the cells, in the dtype of `x_BCHW`; to be read only."""
        height, width = x_BCHW.shape[-2:]
        places = cell_places(self.dim, height, width, x_BCHW.device, x_BCHW.dtype)
        return places.expand(len(x_BCHW), -1, -1, -1)


@table
def cell_places(
    dim: int, height: int, width: int, device: torch.device, dtype: torch.dtype
) -> Tensor:
    """(1, dim, height, width): the first half of the channels says y, the second x."""
    down, across = (_waves(side, dim // 2, device) for side in (height, width))
    places = torch.cat(
        [
            down[:, None].expand(-1, width, -1),
            across[None].expand(height, -1, -1),
        ],
        dim=-1,
    )
    return places.permute(2, 0, 1)[None].to(dtype)


@table
def faint_places(
    dim: int, height: int, width: int, device: torch.device, dtype: torch.dtype
) -> Tensor:
    """What memory attention adds to the features first: a tenth of their positions."""
    return 0.1 * cell_places(dim, height, width, device, dtype)


def number_places(values: Tensor, dim: int) -> Tensor:
    """Of numbers, in float32 (..., dim): all sines, then all cosines."""
    angles = values[..., None] / _periods(dim // 2, values.device)
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


def _waves(side: int, channels: int, device: torch.device) -> Tensor:
    """(side, channels): sine and cosine by turns."""
    place = torch.arange(1, side + 1, dtype=torch.float32, device=device)
    angles = (place / (place[-1:] + _EPSILON) * (2 * math.pi))[:, None] / _periods(
        channels, device
    )
    return torch.stack((angles[:, 0::2].sin(), angles[:, 1::2].cos()), dim=2).flatten(1)


@table
def _periods(channels: int, device: torch.device) -> Tensor:
    place = torch.arange(channels, dtype=torch.float32, device=device)
    return 10000 ** (2 * (place // 2) / channels)
