"""Sentences about one window side by side, behind its visual tokens, which are read once.

A conversation is a prefix that all sentences about a window share, visual tokens and all, and a
suffix of its own. Attention lets no suffix see another: what a sentence gives is what it gives in
a conversation of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn.utils.rnn import pad_sequence

from virst_model.model.prompt import IGNORE, Prompt
from virst_model.model.virst import Virst


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
    windows, device = len(visual_SLD), model.device
    words = model.vlm.llm.get_input_embeddings()
    at = prompts[0].image_at
    lead = words(prompts[0].ids[:at].to(device)).expand(windows, -1, -1)
    prefix = at + visual_SLD.shape[1]
    ids = [prompt.ids[at + 1 :] for prompt in prompts]
    labels = [prompt.labels[at + 1 :] for prompt in prompts]
    ids_BL = pad_sequence(ids, batch_first=True).to(device)
    labels_BL = pad_sequence(labels, batch_first=True, padding_value=IGNORE).to(device)
    length = ids_BL.shape[1]
    real_BL = torch.arange(length) < torch.tensor([len(x) for x in ids])[:, None]
    embeds_BLD = words(ids_BL)
    st_BL = (ids_BL == model.prompter.st_id) & real_BL.to(device)
    if model.config.fusion.initial:
        # All [ST] tokens are one row, so that each window has one answer for all of them.
        row = words(torch.tensor([[model.prompter.st_id]], device=device)).expand(windows, -1, -1)
        fused = model.initial_fusion(row, s2_STCgg).to(embeds_BLD.dtype)
        embeds_BLD = torch.where(st_BL[..., None], fused[video_B], embeds_BLD)
    # Window by window: its sentences, padded to as many as the window with the most has.
    turn_B = _turns(video_B)
    most = int(turn_B.max()) + 1
    suffixes = embeds_BLD.new_zeros((windows, most, length, embeds_BLD.shape[-1]))
    suffixes = suffixes.index_put((video_B, turn_B), embeds_BLD)
    real = torch.zeros((windows, most, length), dtype=torch.bool, device=device)
    real[video_B, turn_B] = real_BL.to(device)
    embeds = torch.cat((lead, visual_SLD.to(lead.dtype), suffixes.flatten(1, 2)), dim=1)
    positions = torch.cat(
        (torch.arange(prefix), (prefix + torch.arange(length)).repeat(most)), dim=0
    ).to(device)
    hidden = model.vlm.llm.model(
        inputs_embeds=embeds,
        attention_mask=_mask(prefix, real, embeds.dtype),
        position_ids=positions.expand(windows, -1),
        use_cache=False,
    ).last_hidden_state
    after = hidden[:, prefix:].unflatten(1, (most, length))[video_B, turn_B]
    row_B = torch.arange(len(prompts), device=device)[:, None]
    places_BN = torch.stack([row.nonzero()[:, 0] for row in st_BL])
    return Conversations(after[row_B, places_BN], hidden[:, at:prefix], after, labels_BL)


def _turns(video_B: torch.Tensor) -> torch.Tensor:
    """Of each sentence, the how-manieth of its window it is, from 0."""
    same = video_B[:, None] == video_B
    return same.tril(diagonal=-1).sum(dim=1)


def _mask(prefix: int, real: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """(S, 1, L, L) to add to attention: 0 where a token may look, else very low."""
    windows, most, length = real.shape
    device = real.device
    total = prefix + most * length
    suffix = 1 + torch.arange(most, device=device).repeat_interleave(length)
    part = torch.cat((suffix.new_zeros(prefix), suffix))
    order = torch.arange(total, device=device)
    there = torch.cat((real.new_ones((windows, prefix)), real.flatten(1)), dim=1)
    allowed = (order[:, None] >= order) & ((part == 0) | (part[:, None] == part))
    # What is padding sees itself: a row without any would be no number.
    allowed = allowed & there[:, None, :] | torch.eye(total, dtype=torch.bool, device=device)
    lowest = torch.finfo(dtype).min
    return torch.where(allowed[:, None], 0.0, lowest).to(dtype)
