"""Spatio-temporal fusion (STF) of [ST] tokens with the segmenter's features, around the LLM.

Source: VIRST (arXiv 2603.27060), Initial and Second ST-Fusion; Table 4 for the MLP that stands in
for the second. Both attention modules see the segmenter's raw stride-16 level, reduced to a
grid x grid map a frame (`fusion.grid`, 8), tokens ordered t, y, x. The features' batch may be 1
while that of the [ST] tokens is B: one video that B sentences share. Parameter names inside the
modules equal the released ones (see checkpoints/names.py); docs/released.md, facts 13-18.
"""

import torch
from torch import Tensor, nn
import torch.nn.functional as F

from virst_model.config import VirstConfig
from virst_model.model.pointing import Hint
from virst_model.model.rotary import Turn, rotate_pairs, turn_by
from virst_model.model.tables import table

Turns = tuple[Turn, Turn]  # of queries, of keys


class InitialFusion(nn.Module):
    """Initial ST-Fusion: the [ST] input embeddings look at the video before the LLM reads them.

    out = seg + gate * attention(norm(seg), norm(tokens)); gate is a learned scalar, 0.1 at the
    start. There is no positional encoding and no dropout, as in the release.

    Of the config it reads D (`llm.hidden`), C and g (`segmenter`), grid and heads (`fusion`).
    """

    def __init__(self, config: VirstConfig) -> None:
        """Raises ValueError: D is no multiple of heads, or g no grid times a power of two."""
        super().__init__()
        hidden, dim, heads = config.llm.hidden, config.segmenter.dim, config.fusion.heads
        _check_divisible("llm.hidden", hidden, heads)
        self.side_grid = config.segmenter.grid
        self.spatial_down = _spatial_down(config)
        self.spatial_norm = nn.LayerNorm(dim)
        self.vision_proj = nn.Linear(dim, hidden)
        self.norm_q = nn.LayerNorm(hidden)
        self.norm_kv = nn.LayerNorm(hidden)
        self.cross_attn = nn.MultiheadAttention(hidden, heads, batch_first=True)
        self.gate = nn.Parameter(torch.tensor(0.1))

    def forward(self, seg_BND: Tensor, s2_BTCgg: Tensor) -> Tensor:
        """[ST] embeddings (B,N,D) and features (B or 1,T,C,g,g) -> fused embeddings (B,N,D)."""
        return self.fuse(seg_BND, self.pool(s2_BTCgg))

    def pool(self, s2_BTCgg: Tensor) -> Tensor:
        """Features (B,T,C,g,g) -> what [ST] looks at, (B,T,grid*grid,D), each frame for itself."""
        tokens = self.norm_kv(self.vision_tokens(s2_BTCgg))
        return tokens.unflatten(1, (s2_BTCgg.shape[1], -1))

    def fuse(self, seg_BND: Tensor, pooled_BTLD: Tensor) -> Tensor:
        """As `forward`, of features that `pool` has pooled."""
        tokens = _share(pooled_BTLD.flatten(1, 2), len(seg_BND))
        fused, _ = self.cross_attn(self.norm_q(seg_BND), tokens, tokens, need_weights=False)
        return seg_BND + self.gate * fused

    def vision_tokens(self, s2_BTCgg: Tensor) -> Tensor:
        """Features (B,T,C,g,g) -> (B,T*grid*grid,D), ordered t, y, x, before norm_kv."""
        reduced = _reduce(self.spatial_down, s2_BTCgg, self.side_grid)
        return self.vision_proj(self.spatial_norm(reduced))


class SecondFusion(nn.Module):
    """Second ST-Fusion: [ST] hidden states -> N prompt tokens for each frame.

    Every [ST] token is copied to all T frames; post-norm decoder layers then attend over all N*T
    copies and over the video. Only the rotary positions of the cross attention tell the copies
    apart: t is the index in the window, not a time.

    Of the config it reads D (`llm.hidden`), C and g (`segmenter`), and `fusion`.
    """

    def __init__(self, config: VirstConfig) -> None:
        """Raises ValueError: C / heads is odd or below 6, or g no grid times a power of two."""
        super().__init__()
        fusion, dim = config.fusion, config.segmenter.dim
        _check_divisible("segmenter.dim", dim, fusion.heads)
        self.side_grid = config.segmenter.grid
        self.grid = fusion.grid
        self.head_dim = dim // fusion.heads
        if self.head_dim < 6 or self.head_dim % 2:
            # Below, no channel pair is left for the time, and all frames get the same prompt.
            raise ValueError(
                f"segmenter.dim / fusion.heads ({self.head_dim}) must be even and at least 6"
            )
        self.spatial_down = _spatial_down(config)
        self.memory_norm = nn.LayerNorm(dim)
        self.seg_proj = nn.Linear(config.llm.hidden, dim)
        self.decoder = nn.ModuleList(
            _DecoderLayer(dim, fusion.heads, fusion.dropout) for _ in range(fusion.layers)
        )

    def forward(self, seg_BND: Tensor, s2_BTCgg: Tensor, hint: Hint | None = None) -> Tensor:
        """[ST] hidden states (B,N,D) and features (B or 1,T,C,g,g) -> prompts (B,N,T,C).

        With a `hint`, of a model that points, what that adds is added.
        """
        return self.fuse(seg_BND, self.pool(s2_BTCgg), hint)

    def pool(self, s2_BTCgg: Tensor) -> Tensor:
        """Features (B,T,C,g,g) -> (B,T,grid*grid,C), each frame for itself."""
        reduced = self.memory_norm(_reduce(self.spatial_down, s2_BTCgg, self.side_grid))
        return reduced.unflatten(1, (s2_BTCgg.shape[1], -1))

    def fuse(self, seg_BND: Tensor, pooled_BTLC: Tensor, hint: Hint | None = None) -> Tensor:
        """As `forward`, of features that `pool` has pooled."""
        x, memory, turns = self._start(seg_BND, pooled_BTLC, hint)
        for layer in self.decoder:
            x = layer(x, memory, turns)
        return _hinted(x.unflatten(1, (seg_BND.shape[1], -1)), hint)

    def look(
        self, seg_BND: Tensor, s2_BTCgg: Tensor, hint: Hint | None = None
    ) -> tuple[Tensor, list[Tensor]]:
        """The prompts of `forward`, and where each layer looked, (B,heads,N,T,T,grid*grid).

        A weight belongs to the copy of an [ST] token at a frame (first T) and a cell of a frame
        (second T, row-major cells); the weights of a copy sum to 1. What Figure 5 shows.
        """
        x, memory, turns = self._start(seg_BND, self.pool(s2_BTCgg), hint)
        tokens, frames = seg_BND.shape[1], s2_BTCgg.shape[1]
        looks = []
        for layer in self.decoder:
            weights = layer.cross_weights(x, memory, turns)
            looks.append(weights.unflatten(-1, (frames, -1)).unflatten(2, (tokens, -1)))
            x = layer(x, memory, turns)
        return _hinted(x.unflatten(1, (tokens, -1)), hint), looks

    def _start(
        self, seg_BND: Tensor, pooled_BTLC: Tensor, hint: Hint | None
    ) -> tuple[Tensor, Tensor, Turns]:
        """First queries (B,N*T,C) ordered n, t; memory (B,T*grid*grid,C); angles of both."""
        frames, memory = pooled_BTLC.shape[1], pooled_BTLC.flatten(1, 2)
        queries = self.seg_proj(seg_BND).repeat_interleave(frames, dim=1)
        turns = _turns(seg_BND.shape[1], frames, self.grid, self.head_dim, memory.device)
        memory = _share(memory, len(seg_BND))
        if hint is not None:
            # After pooling: pooled maps stay one a frame, whatever is asked.
            memory = memory + hint.memory
            queries = queries + hint.queries.repeat(1, seg_BND.shape[1], 1)
        return queries, memory, turns


class MlpFusion(nn.Module):
    """Table 4's `fusion.second: mlp`: an MLP on each [ST] token, one prompt for all frames."""

    def __init__(self, config: VirstConfig) -> None:
        """Of the config it reads D (`llm.hidden`) and C (`segmenter.dim`)."""
        super().__init__()
        hidden, dim = config.llm.hidden, config.segmenter.dim
        self.mlp = nn.Sequential(nn.Linear(hidden, hidden), nn.GELU(), nn.Linear(hidden, dim))

    def forward(self, seg_BND: Tensor, s2_BTCgg: Tensor, hint: Hint | None = None) -> Tensor:
        """[ST] hidden states (B,N,D) and features (B or 1,T,C,g,g) -> prompts (B,N,T,C).

        Of the features only T is read. The result is a view: the same prompt at each frame, if
        no `hint` adds to it.
        """
        return self.fuse(seg_BND, self.pool(s2_BTCgg), hint)

    def pool(self, s2_BTCgg: Tensor) -> Tensor:
        """Nothing of so many frames: (B,T,0,C)."""
        return s2_BTCgg.new_empty((*s2_BTCgg.shape[:2], 0, s2_BTCgg.shape[2]))

    def fuse(self, seg_BND: Tensor, pooled_BTLC: Tensor, hint: Hint | None = None) -> Tensor:
        """As `forward`, of what `pool` made of the features."""
        prompts = self.mlp(seg_BND)[:, :, None].expand(-1, -1, pooled_BTLC.shape[1], -1)
        return _hinted(prompts, hint)


def _hinted(prompts_BNTC: Tensor, hint: Hint | None) -> Tensor:
    return prompts_BNTC if hint is None else prompts_BNTC + hint.prompts[:, None]


class _DecoderLayer(nn.Module):
    """Post-norm layer: self-attention without positions, rotary cross attention, feed-forward."""

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.cross_attn = _RotaryAttention(dim, heads, dropout)
        self.self_attn = nn.MultiheadAttention(dim, heads, dropout=dropout, batch_first=True)
        self.ff = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))
        self.norm1 = nn.LayerNorm(dim)
        self.norm2 = nn.LayerNorm(dim)
        self.norm3 = nn.LayerNorm(dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, memory: Tensor, turns: Turns) -> Tensor:
        x = self._mix(x)
        x = self.norm2(x + self.dropout(self.cross_attn(x, memory, turns)))
        return self.norm3(x + self.dropout(self.ff(x)))

    def cross_weights(self, x: Tensor, memory: Tensor, turns: Turns) -> Tensor:
        """The cross attention's weights (B,heads,queries,memory) for the input of forward."""
        return self.cross_attn.weights(self._mix(x), memory, turns)

    def _mix(self, x: Tensor) -> Tensor:
        mixed, _ = self.self_attn(x, x, x, need_weights=False)
        return self.norm1(x + self.dropout(mixed))


class _RotaryAttention(nn.Module):
    """Attention whose queries and keys are rotated by given angles; values are not."""

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.q_proj = nn.Linear(dim, dim)
        self.k_proj = nn.Linear(dim, dim)
        self.v_proj = nn.Linear(dim, dim)
        self.o_proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor, memory: Tensor, turns: Turns) -> Tensor:
        q, k = self._rotated(x, memory, turns)
        v = self._split(self.v_proj(memory))
        dropout = self.dropout if self.training else 0.0
        out = F.scaled_dot_product_attention(q, k, v, dropout_p=dropout)
        return self.o_proj(out.transpose(1, 2).flatten(2))

    def weights(self, x: Tensor, memory: Tensor, turns: Turns) -> Tensor:
        q, k = self._rotated(x, memory, turns)
        return torch.softmax(q @ k.mT / q.shape[-1] ** 0.5, dim=-1)

    def _rotated(self, x: Tensor, memory: Tensor, turns: Turns) -> tuple[Tensor, Tensor]:
        q = rotate_pairs(self._split(self.q_proj(x)), turns[0])
        return q, rotate_pairs(self._split(self.k_proj(memory)), turns[1])

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


@table
def _turns(tokens: int, frames: int, grid: int, head_dim: int, device: torch.device) -> Turns:
    """Of the copies of [ST] tokens, ordered n, t; of the cells of all frames."""
    t, y, x = torch.meshgrid(
        *(torch.arange(n, device=device) for n in (frames, grid, grid)), indexing="ij"
    )
    cells = torch.stack((t, y, x), dim=-1).reshape(-1, 3)
    # A query has a time and no place: at y = x = 0 the rotation is the identity.
    times = F.pad(torch.arange(frames, device=device)[:, None], (0, 2)).repeat(tokens, 1)
    return _turn(times, head_dim), _turn(cells, head_dim)


def _turn(places_L3: Tensor, head_dim: int) -> Turn:
    """Places (t,y,x) -> the turns of the channel pairs, blocks t | y | x | 0.

    An axis gets a third of the pairs, rounded down; the pairs left over are not rotated.
    """
    pairs = head_dim // 2 // 3
    exponents = torch.arange(pairs, device=places_L3.device, dtype=torch.float32) / pairs
    angles = places_L3[..., None].float() * 10000.0**-exponents
    return turn_by(F.pad(angles.flatten(-2), (0, head_dim // 2 - 3 * pairs)))


def _spatial_down(config: VirstConfig) -> nn.Sequential:
    """log2(g / fusion.grid) convolutions of stride 2, each with a ReLU; with none, the identity.

    Raises:
        ValueError: g is not the grid times a power of two.
    """
    side_grid, grid, dim = config.segmenter.grid, config.fusion.grid, config.segmenter.dim
    steps = (side_grid // grid).bit_length() - 1
    if steps < 0 or grid << steps != side_grid:
        raise ValueError(
            f"segmenter.side / 16 ({side_grid}) must be fusion.grid ({grid}) times a power of two"
        )
    layers: list[nn.Module] = []
    for _ in range(steps):
        layers += [nn.Conv2d(dim, dim, 3, stride=2, padding=1), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


def _reduce(spatial_down: nn.Sequential, s2_BTCgg: Tensor, side_grid: int) -> Tensor:
    """Features (B,T,C,g,g) -> tokens (B,T*grid*grid,C), ordered t, y, x."""
    if s2_BTCgg.shape[-2:] != (side_grid, side_grid):
        raise ValueError(
            f"features are {tuple(s2_BTCgg.shape[-2:])}, not ({side_grid}, {side_grid})"
        )
    maps = spatial_down(s2_BTCgg.flatten(0, 1))
    return maps.flatten(2).mT.unflatten(0, s2_BTCgg.shape[:2]).flatten(1, 2)


def _share(tokens_BLC: Tensor, batch: int) -> Tensor:
    """Give the tokens of one video to all B sentences; other batches stay and must equal B."""
    if len(tokens_BLC) not in (1, batch):
        raise ValueError(f"{len(tokens_BLC)} videos for {batch} sentences; give one or {batch}")
    return tokens_BLC.expand(batch, -1, -1)


def _check_divisible(name: str, width: int, heads: int) -> None:
    if width % heads:
        raise ValueError(f"{name} ({width}) must be divisible by heads ({heads})")
