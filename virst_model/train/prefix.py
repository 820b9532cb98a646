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
    words = model.vlm.llm.get_input_embeddings()
    suffixes = _Suffixes.of(prompts, words)
    embeds_BLD = suffixes.embeds
    st_BL = (suffixes.ids == model.prompter.st_id) & suffixes.real
    if model.config.fusion.initial:
        # All [ST] tokens are one row, so that each window has one answer for all of them.
        st_11 = torch.tensor([[model.prompter.st_id]], device=model.device)
        row = words(st_11).expand(len(visual_SLD), -1, -1)
        fused = model.initial_fusion(row, s2_STCgg).to(embeds_BLD.dtype)
        embeds_BLD = torch.where(st_BL[..., None], fused[video_B], embeds_BLD)
    visual, hidden = _read(model, visual_SLD, prompts[0], embeds_BLD, video_B)
    row_B = torch.arange(len(prompts), device=model.device)[:, None]
    places_BN = torch.stack([row.nonzero()[:, 0] for row in st_BL])
    return Conversations(hidden[row_B, places_BN], visual, hidden, suffixes.labels)


def tell(
    model: Virst, visual_SLD: torch.Tensor, prompts: Sequence[Prompt], video_B: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """As `converse`, of conversations in words alone: `hidden` and `labels` of them."""
    suffixes = _Suffixes.of(prompts, model.vlm.llm.get_input_embeddings())
    _, hidden = _read(model, visual_SLD, prompts[0], suffixes.embeds, video_B)
    return hidden, suffixes.labels


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
    def of(cls, prompts: Sequence[Prompt], words: torch.nn.Module) -> _Suffixes:
        """Of the prompts, on the device of `words`."""
        at, device = prompts[0].image_at, next(words.parameters()).device
        ids = [prompt.ids[at + 1 :] for prompt in prompts]
        labels = [prompt.labels[at + 1 :] for prompt in prompts]
        ids_BL = pad_sequence(ids, batch_first=True)
        real_BL = torch.arange(ids_BL.shape[1]) < torch.tensor([len(x) for x in ids])[:, None]
        labels_BL = pad_sequence(labels, batch_first=True, padding_value=IGNORE)
        ids_BL = ids_BL.to(device)
        return cls(ids_BL, labels_BL.to(device), real_BL.to(device), words(ids_BL))


def _read(
    model: Virst,
    visual_SLD: torch.Tensor,
    prompt: Prompt,
    embeds_BLD: torch.Tensor,
    video_B: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The language model's states of the visual tokens (S, L, D) and of the suffixes (B, L, D).

    Args:
        prompt: any of the conversations; they begin alike.
        embeds_BLD: the suffixes.
    """
    windows, device, at = len(visual_SLD), model.device, prompt.image_at
    words = model.vlm.llm.get_input_embeddings()
    lead = words(prompt.ids[:at].to(device)).expand(windows, -1, -1)
    prefix, length = at + visual_SLD.shape[1], embeds_BLD.shape[1]
    # Window by window: its sentences, padded to as many as the window with the most has.
    turn_B = _turns(video_B)
    most = int(turn_B.max()) + 1
    suffixes = embeds_BLD.new_zeros((windows, most, length, embeds_BLD.shape[-1]))
    suffixes = suffixes.index_put((video_B, turn_B), embeds_BLD)
    embeds = torch.cat((lead, visual_SLD.to(lead.dtype), suffixes.flatten(1, 2)), dim=1)
    positions = torch.cat(
        (torch.arange(prefix), (prefix + torch.arange(length)).repeat(most)), dim=0
    ).to(device)
    seen = torch.ones(length, prefix + length, dtype=torch.bool, device=device).tril(prefix)
    # For good: what checkpointing computes again in the backward pass asks for it again.
    model.vlm.llm.config._attn_implementation = _ATTENTION
    hidden = model.vlm.llm.model(
        inputs_embeds=embeds,
        attention_mask=seen.expand(windows * most, 1, -1, -1),
        position_ids=positions.expand(windows, -1),
        use_cache=False,
    ).last_hidden_state
    after = hidden[:, prefix:].unflatten(1, (most, length))[video_B, turn_B]
    return hidden[:, at:prefix], after


def _turns(video_B: torch.Tensor) -> torch.Tensor:
    """Of each sentence, the how-manieth of its window it is, from 0."""
    same = video_B[:, None] == video_B
    return same.tril(diagonal=-1).sum(dim=1)


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
