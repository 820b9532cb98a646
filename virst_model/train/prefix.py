"""Sentences about one window side by side, behind its visual tokens, which are read once.

A conversation is a prefix that all sentences about a window share, visual tokens and all, and a
suffix of its own. Attention lets no suffix see another: what a sentence gives is what it gives in
a conversation of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
import contextlib
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch.nn.utils.rnn import pad_sequence
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from virst_model.model.prompt import IGNORE, Prompt
from virst_model.model.virst import Virst

# What transformers calls our function of attention.
_ATTENTION = "virst_side_by_side"


@dataclass(frozen=True)
class Conversations:
    """The language model's states of B sentences about S windows.

    Attributes:
        states: of the [ST] tokens, (B, N, D).
        visual: of the visual tokens, (S, L, D); they have not read a sentence.
        hidden: of the suffixes, (B, L, D), padded on the right.
        labels: (B, L) of the suffixes; `IGNORE` at padding.
    """

    states: torch.Tensor
    visual: torch.Tensor
    hidden: torch.Tensor
    labels: torch.Tensor


def converse(
    model: Virst,
    visual_SLD: torch.Tensor,
    s2_STCgg: torch.Tensor,
    prompts: Sequence[Prompt],
    video_B: torch.Tensor,
) -> Conversations:
    """One pass of the language model over S windows with all sentences about each.

    Args:
        visual_SLD: the visual tokens of each window.
        s2_STCgg: the frames that the Initial ST-Fusion sees; read only when it is on.
        prompts: the conversations about each sentence; they begin alike.
        video_B: the window of each.
    """
    suffixes = _Suffixes.of(model, prompts)
    st_BL = (suffixes.ids == model.prompter.st_id) & suffixes.real
    embeds_BLD = suffixes.embeds
    if model.config.fusion.initial:
        # All [ST] tokens are one row, so that each window has one answer for all of them.
        st_11 = torch.tensor([[model.prompter.st_id]], device=model.device)
        row = model.vlm.llm.get_input_embeddings()(st_11).expand(len(visual_SLD), -1, -1)
        fused = model.initial_fusion(row, s2_STCgg).to(embeds_BLD.dtype)
        embeds_BLD = torch.where(st_BL[..., None], fused[video_B], embeds_BLD)
    layout = Layout.of(prompts[0].image_at, visual_SLD, embeds_BLD, video_B)
    all_hidden = _read(model, visual_SLD, embeds_BLD, prompts[0], layout)
    hidden = layout.suffixes(all_hidden)
    row_B = torch.arange(len(prompts), device=model.device)[:, None]
    places_BN = torch.stack([row.nonzero()[:, 0] for row in st_BL])
    visual = all_hidden[:, layout.visual]
    return Conversations(hidden[row_B, places_BN], visual, hidden, suffixes.labels)


def tell(
    model: Virst, visual_SLD: torch.Tensor, prompts: Sequence[Prompt], video_B: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, Layout]:
    """As `converse`, of conversations in words alone: `hidden`, `labels`, and how they lay."""
    suffixes = _Suffixes.of(model, prompts)
    layout = Layout.of(prompts[0].image_at, visual_SLD, suffixes.embeds, video_B)
    all_hidden = _read(model, visual_SLD, suffixes.embeds, prompts[0], layout)
    return layout.suffixes(all_hidden), suffixes.labels, layout


@dataclass(frozen=True)
class Layout:
    """How the B suffixes about S windows lie side by side, each window's behind its prefix.

    Attributes:
        visual_at: place of the first visual token.
        prefix: tokens before the suffixes; `length`: of each suffix; `most`: of a window.
        video_B: the window of each suffix; `turn_B`: the how-manieth of its window it is.
    """

    visual_at: int
    prefix: int
    length: int
    most: int
    video_B: torch.Tensor
    turn_B: torch.Tensor

    @classmethod
    def of(
        cls,
        visual_at: int,
        visual_SLD: torch.Tensor,
        embeds_BLD: torch.Tensor,
        video_B: torch.Tensor,
    ) -> Layout:
        """Of suffixes as `embeds_BLD`, padded to as many as the window with the most has."""
        same = video_B[:, None] == video_B
        turn_B = same.tril(diagonal=-1).sum(dim=1)
        prefix = visual_at + visual_SLD.shape[1]
        return cls(visual_at, prefix, embeds_BLD.shape[1], int(turn_B.max()) + 1, video_B, turn_B)

    @property
    def visual(self) -> slice:
        """The visual tokens."""
        return slice(self.visual_at, self.prefix)

    def suffixes(self, x_SLD: torch.Tensor) -> torch.Tensor:
        """Of what there is of each token of the windows, (B, length, ...) of each suffix."""
        each = x_SLD[:, self.prefix :].unflatten(1, (self.most, self.length))
        return each[self.video_B, self.turn_B]

    def alone(self, x_SLD: torch.Tensor) -> torch.Tensor:
        """The same of each conversation by itself, (B, prefix + length, ...)."""
        return torch.cat((x_SLD[self.video_B, : self.prefix], self.suffixes(x_SLD)), dim=1)


@dataclass(frozen=True)
class _Suffixes:
    """What follows the visual tokens in B conversations, padded on the right to one length.

    Attributes:
        ids, labels: (B, L).
        real: (B, L) bool, False at padding.
        embeds: (B, L, D).
    """

    ids: torch.Tensor
    labels: torch.Tensor
    real: torch.Tensor
    embeds: torch.Tensor

    @classmethod
    def of(cls, model: Virst, prompts: Sequence[Prompt]) -> _Suffixes:
        """Of the prompts, which begin alike, on the model's device."""
        at = prompts[0].image_at + 1
        ids, labels = [prompt.ids[at:] for prompt in prompts], [p.labels[at:] for p in prompts]
        ids_BL = pad_sequence(ids, batch_first=True)
        real_BL = torch.arange(ids_BL.shape[1]) < torch.tensor([len(x) for x in ids])[:, None]
        labels_BL = pad_sequence(labels, batch_first=True, padding_value=IGNORE)
        ids_BL, labels_BL, real_BL = (x.to(model.device) for x in (ids_BL, labels_BL, real_BL))
        return cls(ids_BL, labels_BL, real_BL, model.vlm.llm.get_input_embeddings()(ids_BL))


def _read(
    model: Virst,
    visual_SLD: torch.Tensor,
    embeds_BLD: torch.Tensor,
    prompt: Prompt,
    layout: Layout,
) -> torch.Tensor:
    """The language model's states of all tokens, (S, prefix + most * length, D).

    Args:
        embeds_BLD: the suffixes.
        prompt: any of the conversations; they begin alike.
    """
    windows, device = len(visual_SLD), model.device
    prefix, length, most = layout.prefix, layout.length, layout.most
    words = model.vlm.llm.get_input_embeddings()
    lead = words(prompt.ids[: layout.visual_at].to(device)).expand(windows, -1, -1)
    suffixes = embeds_BLD.new_zeros((windows, most, length, embeds_BLD.shape[-1]))
    suffixes = suffixes.index_put((layout.video_B, layout.turn_B), embeds_BLD)
    embeds = torch.cat((lead, visual_SLD.to(lead.dtype), suffixes.flatten(1, 2)), dim=1)
    positions = torch.cat(
        (torch.arange(prefix), (prefix + torch.arange(length)).repeat(most)), dim=0
    ).to(device)
    seen = torch.ones(length, prefix + length, dtype=torch.bool, device=device).tril(prefix)
    # For good: what checkpointing computes again in the backward pass asks for it again.
    model.vlm.llm.config._attn_implementation = _ATTENTION
    return model.vlm.llm.model(
        inputs_embeds=embeds,
        attention_mask=seen.expand(windows * most, 1, -1, -1),
        position_ids=positions.expand(windows, -1),
        use_cache=False,
    ).last_hidden_state


def _attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    **options: object,
) -> tuple[torch.Tensor, None]:
    """Side by side where the mask is of suffixes alone, and else as torch's SDPA has it."""
    whole = attention_mask is None or attention_mask.shape[-2] == query.shape[2]
    attend = ALL_ATTENTION_FUNCTIONS["sdpa"] if whole else _attend_side_by_side
    return attend(module, query, key, value, attention_mask, **options)


def _attend_side_by_side(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor,
    scaling: float | None = None,
    dropout: float = 0.0,
    **others: object,
) -> tuple[torch.Tensor, None]:
    """Attention of S windows, each a prefix and M suffixes of the same length, one after another.

    A mask over all of them would have a suffix look at the others to see nothing there, which at
    ten sentences is most of the work.

    Args:
        query, key, value: (S, heads, prefix + M * length, D); of the last two maybe fewer heads.
        attention_mask: bool (S * M, 1, length, prefix + length), where a suffix may look.

    Returns:
        (S, prefix + M * length, heads, D), and no weights.
    """
    length, reach = attention_mask.shape[-2:]
    prefix, most = reach - length, len(attention_mask) // len(query)
    groups = query.shape[1] // key.shape[1]
    key, value = (x.repeat_interleave(groups, dim=1) for x in (key, value))
    before = [x[:, :, :prefix] for x in (query, key, value)]
    lead = F.scaled_dot_product_attention(
        *before, is_causal=True, scale=scaling, dropout_p=dropout
    )
    asked, keys, values = (
        x[:, :, prefix:].unflatten(2, (most, length)).transpose(1, 2).flatten(0, 1)
        for x in (query, key, value)
    )
    keys, values = (
        torch.cat((shared.repeat_interleave(most, dim=0), own), dim=2)
        for shared, own in zip(before[1:], (keys, values), strict=True)
    )
    told = F.scaled_dot_product_attention(
        asked, keys, values, attn_mask=attention_mask, scale=scaling, dropout_p=dropout
    )
    told = told.unflatten(0, (-1, most)).transpose(1, 2).flatten(2, 3)
    return torch.cat((lead, told), dim=2).transpose(1, 2).contiguous(), None


ALL_ATTENTION_FUNCTIONS[_ATTENTION] = _attend
with contextlib.suppress(ImportError):  # of newer transformers, where each name has its masks
    from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS

    ALL_MASK_ATTENTION_FUNCTIONS[_ATTENTION] = ALL_MASK_ATTENTION_FUNCTIONS["sdpa"]
