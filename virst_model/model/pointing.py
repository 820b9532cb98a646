"""Pointing: [ST] says where in the clips its target is, and the fusion and the decoder are told.

Ours, not the paper's, and off unless the configuration turns it on (docs/released.md). A language
model of a few million parameters does not learn from masks alone to read the video for its [ST]
tokens: its masks then come from the words and the segmenter's features. Here [ST] attends to the
visual tokens of each clip; where it points at is learned from where the target is; and what it
points at goes into the second fusion and, with its prompts, into the mask decoder.
"""

from __future__ import annotations

from dataclasses import dataclass
import math

import torch
from torch import Tensor, nn
import torch.nn.functional as F

from virst_model.config import ST_TOKENS, VirstConfig

WAVES = (1.0, 2.0, 4.0, 8.0)  # times pi
# Of a token: t within its clip, y, x, their waves, and how many places were merged into it.
PLACES = 3 + 3 * 2 * len(WAVES) + 1
_CLIP = 1 + 2 * len(WAVES)  # of a clip: where in the window it is, and its waves
_POINT = 2 + 2 * 2 * len(WAVES)  # of a point: y, x, and their waves
_INNER = 256


def waves(values: Tensor) -> Tensor:
    """Values (..., n) of 0..1 -> (..., n * 2 * len(WAVES)): sine and cosine at each of WAVES."""
    angles = values[..., None] * (math.pi * torch.tensor(WAVES, device=values.device))
    return torch.cat((angles.sin(), angles.cos()), dim=-1).flatten(-2)


def token_places(frames: int, grid: int, device: torch.device) -> Tensor:
    """Of each token of a clip before merging, in t, y, x: (frames * grid**2, PLACES - 1).

    t, y and x are the middles of the token's place, 0..1 of the clip and of the picture.
    """
    sides = (frames, grid, grid)
    axes = [(torch.arange(n, device=device, dtype=torch.float32) + 0.5) / n for n in sides]
    middles = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).flatten(0, 2)
    return torch.cat((middles, waves(middles)), dim=-1)


@dataclass(frozen=True)
class Pointed:
    """What [ST] points at, of B sentences about a window of K clips of T frames.

    Attributes:
        logits: (B, K, L + 1), of each visual token of a clip, and last of none of them.
        places: (B, K, T, 2) y and x of the target, 0..1 of the picture, mostly inside.
        shown: (B, K, T) logit that the target is to be seen in the frame.
        window: (B,) logit that it is to be seen in any frame.
    """

    logits: Tensor
    places: Tensor
    shown: Tensor
    window: Tensor

    def heat(self, owners_BKL: Tensor) -> Tensor:
        """How much each place of the clips is pointed at, (B, K, places); the most is 1 - null.

        `owners_BKL` says into which visual token each place was merged.
        """
        shares = self.logits.softmax(dim=-1)
        tokens, null = shares[..., :-1], shares[..., -1:]
        heat = tokens / tokens.amax(dim=-1, keepdim=True).clamp(min=1e-6) * (1 - null)
        return heat.gather(-1, owners_BKL.expand(len(heat), -1, -1))


class Pointing(nn.Module):
    """The pointer, and the ways of what it points at; those are zero at the start.

    Where it is new to a model, the model's masks are what they were.
    """

    def __init__(self, config: VirstConfig) -> None:
        super().__init__()
        hidden, dim = config.llm.hidden, config.segmenter.dim
        self.frames = config.umt.clip_frames
        self.grid = config.fusion.grid
        self.clip_grid = config.umt.side // config.umt.patch
        self.place = _zero(nn.Linear(PLACES, hidden))
        self.clip = _zero(nn.Linear(_CLIP, hidden))
        asked = ST_TOKENS * hidden
        self.query = nn.Linear(asked, hidden)
        self.key = nn.Linear(2 * hidden, hidden)
        self.null = nn.Linear(asked + hidden, 1)
        self.value = nn.Linear(2 * hidden + PLACES, hidden)
        self.frame = _mlp(asked + hidden + _POINT, 3 * self.frames)
        self.window = _mlp(asked + hidden + 2, 1)
        self.to_queries = _zero(nn.Linear(_POINT + 1, dim))
        self.to_memory = _zero(nn.Linear(2, dim))
        self.to_prompt = _zero(nn.Linear(dim + 1, dim))

    def embed_places(self, places_LP: Tensor) -> Tensor:
        """What is added to a clip's visual tokens for their places, (..., L, D)."""
        return self.place(places_LP.to(self.place.weight.dtype))

    def embed_clips(self, clips: int) -> Tensor:
        """What is added to the visual tokens of each of a window's clips, (clips, 1, D)."""
        device, dtype = self.clip.weight.device, self.clip.weight.dtype
        middles = (torch.arange(clips, device=device, dtype=torch.float32)[:, None] + 0.5) / clips
        return self.clip(torch.cat((middles, waves(middles)), dim=-1).to(dtype))[:, None]

    def point(
        self, states_BND: Tensor, hidden_BKLD: Tensor, embeds_BKLD: Tensor, places_BKLP: Tensor
    ) -> Pointed:
        """Where [ST] points.

        Args:
            states_BND: the [ST] states after the language model.
            hidden_BKLD: the visual tokens' states after it.
            embeds_BKLD: the visual tokens as they went into it.
            places_BKLP: their places (`token_places`, merged as the tokens).
        """
        asked = states_BND.flatten(1)
        tokens = torch.cat((hidden_BKLD, embeds_BKLD), dim=-1)
        scale = states_BND.shape[-1] ** -0.5
        logits = scale * (self.key(tokens) @ self.query(asked)[:, None, :, None])[..., 0]
        each = asked[:, None].expand(-1, logits.shape[1], -1)
        null = self.null(torch.cat((each, hidden_BKLD.mean(dim=2)), dim=-1))
        logits = torch.cat((logits, null), dim=-1)
        shares = logits.float().softmax(dim=-1).to(logits.dtype)
        paid = shares[..., None, :-1]
        values = self.value(torch.cat((tokens, places_BKLP.to(tokens.dtype)), dim=-1))
        read_BKD = (paid @ values)[..., 0, :]
        sure = paid / paid.sum(dim=-1, keepdim=True).clamp(min=1e-4)
        point_BK2 = (sure.float() @ places_BKLP[..., 1:3].float())[..., 0, :]
        around = torch.cat((point_BK2, waves(point_BK2)), dim=-1).to(tokens.dtype)
        frames = self.frame(torch.cat((each, read_BKD, around), dim=-1)).float()
        moved, shown = frames.unflatten(-1, (self.frames, 3)).split((2, 1), dim=-1)
        nulls = shares[..., -1]
        ends = torch.stack((nulls.mean(dim=1), nulls.amin(dim=1)), dim=-1)
        window = self.window(torch.cat((asked, read_BKD.mean(dim=1), ends), dim=-1))
        return Pointed(
            logits=logits.float(),
            places=point_BK2[:, :, None] + moved,
            shown=shown[..., 0],
            window=window[..., 0].float(),
        )

    def hint(
        self, places_BT2: Tensor, points_BTC: Tensor, shown_BT: Tensor, heat_BTL: Tensor
    ) -> Hint:
        """What the fusion and the decoder are told.

        Args:
            places_BT2: y and x in 0..1 at each frame that the fusion sees.
            points_BTC: the same as SAM 2 encodes a point.
            shown_BT: 0..1.
            heat_BTL: 0..1, of the cells of the fusion's grid.
        """
        dtype = self.to_queries.weight.dtype
        places = places_BT2.clamp(0, 1)
        told = torch.cat((points_BTC, shown_BT[..., None]), dim=-1).to(dtype)
        point = torch.cat((places, waves(places), shown_BT[..., None]), dim=-1).to(dtype)
        shown = shown_BT[..., None].expand(-1, -1, heat_BTL.shape[-1])
        cells = torch.stack((heat_BTL, shown), dim=-1).to(dtype)
        return Hint(
            queries=self.to_queries(point),
            memory=self.to_memory(cells).flatten(1, 2),
            prompts=self.to_prompt(told),
        )

    def cells(self, heat_BKL: Tensor) -> Tensor:
        """The heat of the clips' places (t, y, x), as (B, frames, cells of the fusion's grid)."""
        side = self.clip_grid
        maps = heat_BKL.unflatten(-1, (-1, side, side)).flatten(1, 2)
        return F.adaptive_max_pool2d(maps, self.grid).flatten(2)


@dataclass(frozen=True)
class Hint:
    """What pointing adds in the second fusion and to its prompts.

    Attributes:
        queries: (B, T, C), to the fusion's queries at each frame.
        memory: (B, T * L, C), to the fusion's pooled features, after their norm.
        prompts: (B, T, C), to each of the frame's prompts, after the fusion.
    """

    queries: Tensor
    memory: Tensor
    prompts: Tensor


def _zero(layer: nn.Linear) -> nn.Linear:
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def _mlp(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(before, _INNER), nn.GELU(), nn.Linear(_INNER, after))
