"""UMT: the video transformer that reads four-frame clips.

Source: VideoChat-Flash's UMT-L tower (arXiv 2501.00574) as VIRST uses it. Parameter names equal
those of the released encoder (docs/released.md, fact 9).
"""

from collections.abc import Sequence
import itertools

import torch
from torch import Tensor, nn
import torch.nn.functional as F

from virst_model.config import UmtConfig


class Umt(nn.Module):
    """Encodes clips and images; attention sees all frames of a clip at once.

    Positions are a sinusoid table of base_frames x base_grid x base_grid places, resized to the
    clip's size; they are no parameters. n = (u / patch)**2 tokens a frame; U is `dim`.
    """

    def __init__(self, config: UmtConfig) -> None:
        super().__init__()
        side, patch, dim = config.side, config.patch, config.dim
        if side % patch:
            raise ValueError(f"side ({side}) must be divisible by patch ({patch})")
        self.config = config
        self.side = side
        self.clip_frames = config.clip_frames
        self.grid = side // patch
        stem, inner = config.stem, int(dim * config.mlp_ratio)
        self.patch_embed = _Stem(patch, stem, dim) if stem else _PatchEmbed(patch, dim)
        blocks = (_Block(dim, config.heads, inner) for _ in range(config.depth))
        self.blocks = nn.ModuleList(blocks)
        self.vision_layernorm = nn.LayerNorm(dim, eps=1e-12)
        self.apply(_init_weights)

    def forward(self, clips_KT3uu: Tensor) -> Tensor:
        """Normalised clips (K,clip_frames,3,u,u) -> tokens (K,clip_frames*n,U), in t, y, x.

        Raises:
            ValueError: another number of frames, or another side.
        """
        if clips_KT3uu.shape[1] != self.clip_frames:
            raise ValueError(f"clips have {clips_KT3uu.shape[1]} frames, not {self.clip_frames}")
        return self._encode(clips_KT3uu, self.config.base_frames)

    def encode_image(self, images_K3uu: Tensor) -> Tensor:
        """Normalised images (K,3,u,u) -> tokens (K,n,U), in y, x; ValueError for another side."""
        return self._encode(images_K3uu[:, None], 1)

    def _encode(self, clips_KT3uu: Tensor, base_frames: int) -> Tensor:
        if clips_KT3uu.shape[-2:] != (self.side, self.side):
            raise ValueError(
                f"frames are {tuple(clips_KT3uu.shape[-2:])}, not ({self.side}, {self.side})"
            )
        x = self.patch_embed(clips_KT3uu)
        # Made anew each time: next to the blocks it costs nothing, and there is no buffer to lose
        # when weights are loaded into a model that was built on the meta device.
        table = _position_table(self.config, clips_KT3uu.shape[1], base_frames, x.device)
        x = x + table.to(x.dtype)
        for block in self.blocks:
            x = block(x)
        return self.vision_layernorm(x)


class _PatchEmbed(nn.Module):
    """Clips (K,T,3,u,u) -> patches (K,T*n,U), each by itself."""

    def __init__(self, patch: int, dim: int) -> None:
        super().__init__()
        self.proj = nn.Conv3d(3, dim, (1, patch, patch), stride=(1, patch, patch))

    def forward(self, clips: Tensor) -> Tensor:
        # The kernel spans one frame, so this is a 2-D convolution, for which fast kernels exist.
        weight = self.proj.weight.squeeze(2)
        frames = F.conv2d(clips.flatten(0, 1), weight, self.proj.bias, weight.shape[-2:])
        return frames.unflatten(0, clips.shape[:2]).flatten(3).mT.flatten(1, 2)


class _Stem(nn.Module):
    """Clips (K,T,3,u,u) -> patches (K,T*n,U), through convolutions that each halve the side.

    All but the first see the frame before and the frame after. Not in the release: attention among
    patches of a small encoder that starts from nothing learns colours and then neither shape nor
    motion; convolutions learn both (arXiv 2106.14881 says so of the former).
    """

    def __init__(self, patch: int, stem: Sequence[int], dim: int) -> None:
        super().__init__()
        widths = (3, *stem, dim)
        if patch != 2 ** (len(widths) - 1):
            raise ValueError(
                f"{len(widths) - 1} convolutions make patches of "
                f"{2 ** (len(widths) - 1)} pixels, not {patch}"
            )
        self.layers = nn.ModuleList()
        for before, after in itertools.pairwise(widths):
            frames = 3 if self.layers else 1
            kernel, padding = (frames, 3, 3), (frames // 2, 1, 1)
            layer = nn.Conv3d(before, after, kernel, stride=(1, 2, 2), padding=padding)
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
            self.layers.append(layer)

    def forward(self, clips: Tensor) -> Tensor:
        x = self.layers[0](clips.transpose(1, 2))
        for layer in self.layers[1:]:
            x = layer(F.gelu(x))
        return x.flatten(2).mT


class _Block(nn.Module):
    """Pre-norm transformer block: tokens (K,L,U) -> (K,L,U)."""

    def __init__(self, dim: int, heads: int, inner: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.attn = _Attention(dim, heads)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = _Mlp(dim, inner)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class _Attention(nn.Module):
    """Self-attention with a bias on queries and values; one on keys would change no weight."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        if dim % heads:
            raise ValueError(f"dim ({dim}) must be divisible by heads ({heads})")
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim, bias=False)
        self.q_bias = nn.Parameter(torch.zeros(dim))
        self.v_bias = nn.Parameter(torch.zeros(dim))
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        bias = torch.cat((self.q_bias, torch.zeros_like(self.q_bias), self.v_bias))
        qkv = F.linear(x, self.qkv.weight, bias).unflatten(-1, (3, self.heads, -1))
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        return self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class _Mlp(nn.Module):
    def __init__(self, dim: int, inner: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, inner)
        self.fc2 = nn.Linear(inner, dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


def _init_weights(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def _position_table(
    config: UmtConfig, frames: int, base_frames: int, device: torch.device
) -> Tensor:
    """Table of positions (frames*grid*grid,U), float32, resized from the base table.

    The base numbers its places in one row and is then read as (base_frames, base_grid, base_grid);
    it is resized in space first (bicubic), then in time (linear), as in the release. Where
    `config.positions` is "plane", there is no base.
    """
    grid, base_grid, dim = config.side // config.patch, config.base_grid, config.dim
    if config.positions == "plane":
        return _plane(frames, grid, dim, device)
    table = _sinusoids(base_frames * base_grid**2, dim, device)
    if grid != base_grid:
        maps = table.view(base_frames, base_grid, base_grid, dim).permute(0, 3, 1, 2)
        maps = F.interpolate(maps, (grid, grid), mode="bicubic", align_corners=False)
        table = maps.permute(0, 2, 3, 1).reshape(-1, dim)
    if frames != base_frames:
        rows = table.view(base_frames, -1, dim).permute(1, 2, 0)
        table = F.interpolate(rows, frames, mode="linear").permute(2, 0, 1).reshape(-1, dim)
    return table


def _plane(frames: int, grid: int, dim: int, device: torch.device) -> Tensor:
    """Table (frames*grid*grid,dim), float32: sinusoids of t, y and x in channels of their own.

    y and x have three eighths of the channels each, t has the rest. Not in the release.
    """
    side = 2 * (3 * dim // 16)
    widths = (dim - 2 * side, side, side)
    counts = (frames, grid, grid)
    tables = [_sinusoids(n, w, device, base=100.0) for n, w in zip(counts, widths, strict=True)]
    places = torch.meshgrid(*(torch.arange(n, device=device) for n in counts), indexing="ij")
    rows = [table[place.flatten()] for table, place in zip(tables, places, strict=True)]
    return torch.cat(rows, dim=-1)


def _sinusoids(places: int, dim: int, device: torch.device, base: float = 10000.0) -> Tensor:
    """Table (places,U): channels 2i, 2i+1 hold sine, cosine of place / base**(2i/dim)."""
    # float64: in float32 an angle near 800 is off by some 1e-5.
    place = torch.arange(places, device=device, dtype=torch.float64)
    frequency = base ** (-torch.arange(0, dim, 2, device=device, dtype=torch.float64) / dim)
    angles = place[:, None] * frequency
    return torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(1).float()
