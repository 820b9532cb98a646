"""Which visual tokens the language model reads for its [ST] tokens, and for its answers."""

from collections.abc import Callable, Iterator, Sequence
import contextlib
from dataclasses import dataclass
import math

import torch
from torch import Tensor, nn
import torch.nn.functional as F
from transformers.models.qwen2.modeling_qwen2 import rotate_half

from virst_model.model.prompt import Prompt
from virst_model.model.virst import Virst
from virst_model.train.batches import Batch
from virst_model.train.pointing import token_shares
from virst_model.train.prefix import Layout

LAYERS = 2  # the last ones: before, [ST] has not read the sentence
LEAST_SHARE = 0.05  # a target that fills less of every token is not looked for
REPLY_WORDS = 4  # of an answer, the first tokens, "to the left" among them; the shortest has 5


@dataclass(frozen=True)
class Reads:
    """Where a language model read for its [ST] tokens, and what there was to read.

    Attributes:
        weights: of each of the last `LAYERS` layers, (B, heads, N, L).
        visual_at: place of the first visual token among the L.
        tokens_KLU: the clip encoder's tokens of the clips of all videos.
        share: which part of each visual token is marked (`TomeProjector.share`).
    """

    weights: list[Tensor]
    visual_at: int
    tokens_KLU: Tensor
    share: Callable[[Tensor, Tensor], Tensor]

    def loss(self, batch: Batch) -> Tensor:
        """`read_loss` of the batch's targets."""
        share_BV = target_share(batch, self.tokens_KLU, self.share)
        return read_loss(self.weights, share_BV, self.visual_at)


@dataclass(frozen=True)
class AnswerReads:
    """Where a language model that points read for the first words of B answers.

    Attributes:
        weights: of each of the last `LAYERS` layers, (B, heads, REPLY_WORDS, L).
        visual: which of the L are the visual tokens of K clips.
        owners: (B, K, patches), into which visual token each patch of a clip was merged.
    """

    weights: list[Tensor]
    visual: slice
    owners: Tensor

    def loss(self, batch: Batch) -> Tensor:
        """`read_loss` of what is to be looked at for the answers."""
        clips = torch.tensor(batch.frames.clip_frames, device=batch.truth.device)
        tokens = (self.visual.stop - self.visual.start) // len(clips)
        share_BKL = token_shares(batch.truth[:, clips].float(), self.owners, tokens)
        return read_loss(self.weights, share_BKL.flatten(1), self.visual.start)


class Reading:
    """The inputs of the last layers' attention in a forward pass, and its weights from them."""

    def __init__(self, layers: Sequence[nn.Module]) -> None:
        self._attentions = [layer.self_attn for layer in layers]
        self._inputs: list[tuple[Tensor, Tensor, Tensor]] = []

    def note(self, module: nn.Module, args: tuple, kwargs: dict) -> None:
        """A hook before an attention's forward."""
        cos, sin = kwargs["position_embeddings"]
        self._inputs.append((kwargs["hidden_states"], cos, sin))

    def weights(self, places_BN: Tensor) -> list[Tensor]:
        """Of each layer, what the tokens at `places_BN` pay to all tokens, (B, heads, N, L).

        Attention that is fused returns no weights; these are computed beside it.
        """
        each = zip(self._attentions, self._inputs, strict=True)
        return [_weights(attention, *inputs, places_BN) for attention, inputs in each]

    def weights_beside(self, layout: Layout, places_BN: Tensor) -> list[Tensor]:
        """As `weights`, of conversations side by side: (B, heads, N, L) of each by itself.

        `places_BN` are those in the suffixes.
        """
        each = zip(self._attentions, self._inputs, strict=True)
        return [
            _weights(attention, *map(layout.alone, inputs), layout.prefix + places_BN)
            for attention, inputs in each
        ]


@contextlib.contextmanager
def reading(model: Virst) -> Iterator[Reading]:
    """Notes the language model's next forward pass."""
    layers = model.vlm.llm.model.layers[-LAYERS:]
    noted = Reading(layers)
    hooks = [
        layer.self_attn.register_forward_pre_hook(noted.note, with_kwargs=True) for layer in layers
    ]
    try:
        yield noted
    finally:
        for hook in hooks:
            hook.remove()


def reply_places(prompts: Sequence[Prompt]) -> Tensor:
    """The tokens of the suffixes of which the first words of the answers follow, (B, N)."""
    asked_B = torch.tensor([prompt.reply_at - prompt.image_at - 2 for prompt in prompts])
    return asked_B[:, None] + torch.arange(REPLY_WORDS)


def target_share(
    batch: Batch, tokens_KLU: Tensor, share: Callable[[Tensor, Tensor], Tensor]
) -> Tensor:
    """Of each sentence's visual tokens, how much of it is the target, (B, visual tokens) 0..1.

    Args:
        tokens_KLU: the clip encoder's tokens of the clips of all videos.
        share: `TomeProjector.share`.
    """
    frames = torch.tensor(batch.frames.clip_frames, device=batch.truth.device)  # (K, 4)
    clips, grid = len(frames), math.isqrt(tokens_KLU.shape[1] // frames.shape[1])
    truth = batch.truth[:, frames].flatten(0, 2).float()
    marked = F.adaptive_avg_pool2d(truth, grid).view(len(batch.truth), clips, -1)
    tokens = tokens_KLU.unflatten(0, (-1, clips))[batch.sentences.video]
    return share(tokens.flatten(0, 1), marked.flatten(0, 1)).unflatten(0, (-1, clips)).flatten(1)


def read_loss(weights: Sequence[Tensor], share_BV: Tensor, visual_at: int) -> Tensor:
    """-log of what the tokens that read pay to the visual tokens of the target; half of the heads.

    Sentences whose target fills no token do not count.
    """
    target_BV = (2 * share_BV).clamp(max=1)
    there_B = (share_BV.amax(dim=1) > LEAST_SHARE).float()
    loss = share_BV.new_zeros(())
    for weight in weights:
        half = weight[:, : weight.shape[1] // 2, :, visual_at : visual_at + share_BV.shape[1]]
        paid_B = (half.mean(dim=(1, 2)) * target_BV).sum(dim=1)
        loss = loss - ((paid_B + 1e-4).log() * there_B).sum() / there_B.sum().clamp(min=1)
    return loss / len(weights)


def _weights(
    attention: nn.Module, hidden_BLD: Tensor, cos: Tensor, sin: Tensor, places_BN: Tensor
) -> Tensor:
    batch, length = hidden_BLD.shape[:2]
    row = torch.arange(batch, device=hidden_BLD.device)[:, None]
    cos, sin = (x.expand(batch, -1, -1) for x in (cos, sin))
    q = _heads(attention.q_proj(hidden_BLD[row, places_BN]), attention.head_dim)
    k = _heads(attention.k_proj(hidden_BLD), attention.head_dim)
    q = _turned(q, cos[row, places_BN], sin[row, places_BN])
    k = _turned(k, cos, sin).repeat_interleave(attention.num_key_value_groups, dim=1)
    scores = (q @ k.mT).float() * attention.scaling
    later = torch.arange(length, device=places_BN.device) > places_BN[:, None, :, None]
    return scores.masked_fill(later, -torch.inf).softmax(dim=-1)


def _heads(x_BLD: Tensor, head_dim: int) -> Tensor:
    return x_BLD.unflatten(-1, (-1, head_dim)).transpose(1, 2)


def _turned(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    return x * cos[:, None] + rotate_half(x) * sin[:, None]
