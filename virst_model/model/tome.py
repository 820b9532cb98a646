"""ToMe projector: merges a clip's visual tokens down to a few, then maps them to the LLM's width.

Source: Token Merging (arXiv 2210.09461) as VideoChat-Flash's `tome16_mlp_hd64` uses it.
"""

import torch
from torch import Tensor, nn
import torch.nn.functional as F

from virst_model.config import TomeConfig


class TomeProjector(nn.Module):
    """Halves the tokens until `tokens` are left; gradients flow through the means of merged ones.

    The order of the result is not that of the places: after every merge it is the tokens that
    were left alone, most similar first, then those that others were merged into.

    Args:
        config: what a clip is merged down to, and the heads of the clip encoder, on whose mean
            similarity is measured.
        vision_dim: width U of the visual tokens, a multiple of the heads.
        hidden: LLM width D.

    Raises:
        ValueError: U is no multiple of the heads.
    """

    def __init__(self, config: TomeConfig, vision_dim: int, hidden: int) -> None:
        super().__init__()
        if vision_dim % config.heads:
            raise ValueError(f"umt.dim ({vision_dim}) must be divisible by heads ({config.heads})")
        self.heads = config.heads
        self.tokens = config.tokens
        self.pairs = config.pairs
        self.mlp = nn.Sequential(
            nn.Linear(vision_dim, hidden), nn.GELU(), nn.Linear(hidden, hidden)
        )

    def forward(self, tokens_KLU: Tensor) -> Tensor:
        """Visual tokens of K clips or images -> (K,tokens,D); fewer than that stay as many."""
        return self.mlp(self.merge(tokens_KLU))

    def merge(self, tokens_KLU: Tensor) -> Tensor:
        """(K,L,U) -> (K,min(L,tokens),U): means of merged tokens. Works in float32 inside."""
        return self._means(tokens_KLU.float())[0].to(tokens_KLU.dtype)

    def place(self, tokens_KLU: Tensor, places_LP: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """As `forward`, and where each token comes from.

        Args:
            places_LP: what is known of the place of each token before merging.

        Returns:
            tokens (K,tokens,D); of each the mean of its members' `places_LP` and last the
            logarithm of their number over 4, (K,tokens,P+1) float32; of each token before merging,
            into which it went, (K,L) int64.
        """
        carried = places_LP.float().expand(len(tokens_KLU), -1, -1)
        means, owners_KL = self._means(tokens_KLU.float(), carried)
        width = tokens_KLU.shape[-1]
        ones = torch.ones_like(owners_KL, dtype=means.dtype)
        counts = means.new_zeros(means.shape[:2]).scatter_add(1, owners_KL, ones)
        places = torch.cat((means[..., width:], counts[..., None].log() / 4), dim=-1)
        return self.mlp(means[..., :width].to(tokens_KLU.dtype)), places, owners_KL

    @torch.no_grad()
    def share(self, tokens_KLU: Tensor, marked_KL: Tensor) -> Tensor:
        """Of each token that `merge` would return, how much of it is marked, (K,tokens) 0..1."""
        return self._means(tokens_KLU.float(), marked_KL[..., None].float())[0][..., -1]

    def _means(self, tokens: Tensor, carried: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(K,tokens,U and what is carried), and the token (K,L) that each has become.

        Only the tokens' own channels say who is alike.
        """
        # Sums with the count as last channel: the cosine does not see the scale, so one division
        # at the end is enough.
        width = tokens.shape[-1]
        channels = tokens if carried is None else torch.cat((tokens, carried), dim=-1)
        sums = F.pad(channels, (0, 1), value=1.0)
        owners = torch.arange(sums.shape[1], device=sums.device).expand(len(sums), -1)
        while (excess := sums.shape[1] - self.tokens) > 0:
            pairs = min(excess, sums.shape[1] // 2, self.pairs or excess)
            sums, moved = self._merge_once(sums, width, pairs)
            owners = moved.gather(1, owners)
        return sums[..., :-1] / sums[..., -1:], owners

    def _merge_once(self, sums: Tensor, width: int, pairs: int) -> tuple[Tensor, Tensor]:
        """Adds the `pairs` even tokens that are most similar to an odd one to that one.

        Returns the sums and, of each token before, which it is now.
        """
        left, into, target = self._match(sums[..., :width].detach(), pairs)
        even, odd = sums[:, ::2], sums[:, 1::2]
        merged = odd.scatter_add(1, _rows(target, odd), even.gather(1, _rows(into, even)))
        moved = torch.empty(sums.shape[:2], dtype=torch.long, device=sums.device)
        places = torch.arange(sums.shape[1] - pairs, device=sums.device).expand(len(sums), -1)
        moved.scatter_(1, 2 * left, places[:, : left.shape[1]])
        moved[:, 1::2] = places[:, left.shape[1] :]
        moved.scatter_(1, 2 * into, left.shape[1] + target)
        return torch.cat((even.gather(1, _rows(left, even)), merged), dim=1), moved

    def _match(self, sums: Tensor, pairs: int) -> tuple[Tensor, Tensor, Tensor]:
        """Indices (K,-): even tokens that stay, those that go, and the odd token each goes to."""
        metric = F.normalize(sums.unflatten(-1, (self.heads, -1)).mean(-2), dim=-1)
        similarity, nearest = (metric[:, ::2] @ metric[:, 1::2].mT).max(dim=-1)
        order = similarity.argsort(dim=-1, descending=True, stable=True)
        into, left = order[:, :pairs], order[:, pairs:]
        return left, into, nearest.gather(1, into)


def _rows(index_KL: Tensor, like_KLU: Tensor) -> Tensor:
    return index_KL[..., None].expand(-1, -1, like_KLU.shape[-1])
