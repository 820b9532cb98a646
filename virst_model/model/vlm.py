"""The video language model: clip encoder, projector and Qwen2, and how they meet."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from transformers import DynamicCache, Qwen2Config, Qwen2ForCausalLM

from virst_model.config import LlmConfig, VirstConfig
from virst_model.model.prompt import IMAGE
from virst_model.model.seen import Prefix
from virst_model.model.tome import TomeProjector
from virst_model.model.umt import Umt


class Vlm(nn.Module):
    """UMT -> ToMe -> Qwen2. Positions count the merged sequence; padding is on the right."""

    def __init__(self, umt: Umt, projector: TomeProjector, llm: Qwen2ForCausalLM) -> None:
        super().__init__()
        self.umt = umt
        self.projector = projector
        self.llm = llm

    def encode_clips(self, clips_KT3uu: Tensor) -> Tensor:
        """Normalised clips (K,4,3,u,u), or images as clips of one frame -> tokens (K,64,D)."""
        return self.projector(self.see(clips_KT3uu))

    def see(self, clips_KT3uu: Tensor) -> Tensor:
        """As `encode_clips`, before the projector: the clip encoder's tokens (K,L,U).

        One frame takes the encoder's way for images, as in the release (T == 1).
        """
        if clips_KT3uu.shape[1] == 1:
            return self.umt.encode_image(clips_KT3uu[:, 0])
        return self.umt(clips_KT3uu)

    def embed(self, ids_L: Tensor, visual_LD: Tensor) -> Tensor:
        """Token ids with one IMAGE -> embeddings (L',D), the visual tokens in its place.

        The ids of the host are looked at there: nobody waits for the device.

        Raises:
            ValueError: there is not exactly one IMAGE.
        """
        places = (ids_L == IMAGE).nonzero()
        if len(places) != 1:
            raise ValueError(f"a prompt needs 1 video placeholder ({IMAGE}), not {len(places)}")
        at = int(places)
        words = self.llm.get_input_embeddings()
        visual = visual_LD.to(words.weight.dtype)
        before, after = (ids.to(visual.device) for ids in (ids_L[:at], ids_L[at + 1 :]))
        return torch.cat((words(before), visual, words(after)))

    def hidden(self, embeds_BLD: Tensor, mask_BL: Tensor | None = None) -> Tensor:
        """States (B,L,D) after the final RMSNorm, no logits made.

        Args:
            embeds_BLD: merged embeddings, right-padded.
            mask_BL: True where there is a token; None where nothing is padded.
        """
        out = self.llm.model(inputs_embeds=embeds_BLD, attention_mask=mask_BL, use_cache=False)
        return out.last_hidden_state

    def read(self, embeds_1LD: Tensor) -> Prefix:
        """The beginning of conversations, for `hidden_after`."""
        cache = DynamicCache()
        out = self.llm.model(inputs_embeds=embeds_1LD, past_key_values=cache, use_cache=True)
        layers = tuple((keys, values) for keys, values, *_ in cache)
        return Prefix(layers, out.last_hidden_state)

    def hidden_after(self, prefix: Prefix, embeds_1LD: Tensor) -> Tensor:
        """As `hidden`, of a conversation that begins with the prefix: states of both (1,L,D)."""
        cache = DynamicCache()
        for index, (keys, values) in enumerate(prefix.layers):
            cache.update(keys, values, index)  # copied: the next question finds them as they were
        out = self.llm.model(inputs_embeds=embeds_1LD, past_key_values=cache, use_cache=True)
        return torch.cat((prefix.hidden, out.last_hidden_state), dim=1)

    def speak(self, embeds_1LD: Tensor) -> Iterator[Tensor]:
        """What comes after a conversation: its likeliest next token's id (1,), without end.

        The first `next` reads the conversation, each other one the token before it.
        """
        cache = DynamicCache()
        while True:
            out = self.llm.model(inputs_embeds=embeds_1LD, past_key_values=cache, use_cache=True)
            token_1 = self.logits(out.last_hidden_state[:, -1]).argmax(-1)
            yield token_1
            embeds_1LD = self.llm.get_input_embeddings()(token_1)[:, None]

    def logits(self, hidden: Tensor) -> Tensor:
        """States (...,D) -> next-token logits (...,V), not normalised."""
        return self.llm.lm_head(hidden)


def build_llm(config: LlmConfig) -> Qwen2ForCausalLM:
    """Qwen2 of transformers with random weights, in training mode, attention by torch's SDPA."""
    return Qwen2ForCausalLM(
        Qwen2Config(
            vocab_size=config.vocab,
            hidden_size=config.hidden,
            intermediate_size=config.intermediate,
            num_hidden_layers=config.layers,
            num_attention_heads=config.heads,
            num_key_value_heads=config.kv_heads,
            max_position_embeddings=config.max_length,
            rms_norm_eps=config.rms_eps,
            rope_theta=config.rope_theta,
            tie_word_embeddings=config.tie_embeddings,
            initializer_range=config.init_std,
            attn_implementation="sdpa",
        )
    )


def build_vlm(config: VirstConfig) -> Vlm:
    """Clip encoder, projector and language model of a config, with random weights."""
    return Vlm(
        Umt(config.umt),
        TomeProjector(config.tome, config.umt.dim, config.llm.hidden),
        build_llm(config.llm),
    )
