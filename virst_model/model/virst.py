"""VIRST: the video language model, the fusion and the segmenter, and the way between them.

What the release does: docs/released.md, facts 1, 4 and 12.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from tokenizers import Tokenizer
import torch
from torch import nn
from torch.nn.utils.rnn import pad_sequence

from virst_model.config import VirstConfig
from virst_model.model.features import (
    Decoded,
    FrameFeatures,
    MemoryEntry,
    MemoryRead,
    VisualTokens,
)
from virst_model.model.fusion import InitialFusion, MlpFusion, SecondFusion
from virst_model.model.pictures import Picture, resized
from virst_model.model.pointing import Hint, Pointed, Pointing, token_places
from virst_model.model.prompt import IGNORE, Prompt, Prompter, plain_sentence
from virst_model.model.seen import Pooled, Seen
from virst_model.model.vlm import build_vlm

IMAGE_MEAN = (0.485, 0.456, 0.406)
IMAGE_STD = (0.229, 0.224, 0.225)


class Cancelled(Exception):
    """A grounding was given up between two of its stages because nobody wants it any more."""


class Virst(nn.Module):
    """Weights only: the state of a stream lives in `Session`, that of a track in `Memory`."""

    def __init__(self, config: VirstConfig, tokenizer: Tokenizer) -> None:
        """Random weights; `checkpoints.load` fills them.

        Raises:
            PackageError: sam2 is not installed.
            ValueError: sizes that do not fit together, or a tokenizer without a token or with more
                entries than `llm.vocab`.
        """
        super().__init__()
        # Here, so that a program without sam2 starts and can say in a line what to install.
        from virst_model.model.segmenter import Segmenter

        if tokenizer.get_vocab_size() > config.llm.vocab:
            raise ValueError(
                f"tokenizer has {tokenizer.get_vocab_size()} entries, "
                f"the language model {config.llm.vocab}"
            )
        self.config = config
        self.tokenizer = tokenizer
        self.prompter = Prompter(tokenizer, config.behaviour.modality)
        self.vlm = build_vlm(config)
        self.segmenter = Segmenter(config.segmenter)
        self.initial_fusion = InitialFusion(config)
        if config.fusion.second == "attention":
            self.second_fusion: nn.Module = SecondFusion(config)
        elif config.fusion.second == "mlp":
            self.second_fusion = MlpFusion(config)
        else:
            second = config.fusion.second
            raise ValueError(f"fusion.second is {second!r}; known are attention, mlp")
        self.pointing = Pointing(config) if config.pointing else None
        # The release has this layer and never uses it; it keeps its place in checkpoints.
        self.occ_predictor = nn.Linear(config.segmenter.dim, 1)
        # On the CPU also where the weights are made without memory: no file holds it.
        pixel_stats = torch.tensor([IMAGE_MEAN, IMAGE_STD], device="cpu").view(2, 3, 1, 1)
        self.register_buffer("_pixel_stats", pixel_stats, persistent=False)

    @property
    def device(self) -> torch.device:
        """The device of the weights; inputs are moved there."""
        return self._pixel_stats.device

    @property
    def dtype(self) -> torch.dtype:
        """The floating-point type of the weights, to which inputs are cast."""
        return self.segmenter.no_mem_embed.dtype

    # One frame.

    def encode_frame(self, frame_HW3: Picture, resize: str = "bilinear") -> FrameFeatures:
        """SAM 2 features of a uint8 RGB frame of any size (B = 1); the one encoding of a frame.

        Raises:
            ValueError: as `frame_pixels`.
        """
        return self.segmenter.encode(self.frame_pixels(frame_HW3, resize)[None])

    def frame_pixels(self, frame_HW3: Picture, resize: str = "bilinear") -> torch.Tensor:
        """The segmenter's input (3, s, s): `resize` with antialiasing, square, normalised.

        Raises:
            ValueError: not uint8 RGB, or `resize` is neither "bilinear" nor "bicubic".
        """
        return self._normalised(resized(frame_HW3, self.config.segmenter.side, resize))

    def clip_pixels(self, frame_HW3: Picture) -> torch.Tensor:
        """The clip encoder's input (3, u, u): bicubic with antialiasing, square, normalised.

        Raises:
            ValueError: not uint8 RGB.
        """
        return self._normalised(resized(frame_HW3, self.config.umt.side, "bicubic"))

    def decode_anchor(
        self, features: FrameFeatures, prompts_NC: torch.Tensor, before: Decoded | None = None
    ) -> Decoded:
        """An anchor's mask (B = 1) from its prompts alone, eq. (10)-(12).

        `before` is the mask of other prompts on the same frame, if any: a mask prompt (fact 1).
        """
        logits = None if before is None else before.logits.to(self.dtype)
        return self.segmenter.decode_prompted(features, prompts_NC[None], logits)

    def decode_anchors(self, features: FrameFeatures, prompts_BNC: torch.Tensor) -> Decoded:
        """As `decode_anchor`, of B anchors, each with the features of its frame."""
        return self.segmenter.decode_prompted(features, prompts_BNC)

    def propagate(self, features: FrameFeatures, reads: Sequence[MemoryRead]) -> Decoded:
        """Masks of one frame (B = 1) for Q tracks at once, eq. (12)."""
        return self.segmenter.decode_tracked(features, MemoryRead.batch(list(reads)))

    def encode_memory(self, features: FrameFeatures, decoded: Decoded) -> MemoryEntry:
        """What `decoded` (B pairs on one frame, or on B frames) leaves in memory."""
        entry = self.segmenter.encode_memory(features, decoded)
        if self.config.behaviour.memory_bf16:
            return MemoryEntry(entry.maps.bfloat16().to(entry.maps.dtype), entry.pointer)
        return entry

    # One grounding.

    def encode_clip(self, clip_pixels: Sequence[torch.Tensor]) -> VisualTokens:
        """`clip_pixels`, (3, u, u), of four frames or of one image -> its tokens (K = 1)."""
        return self.project(self.vlm.see(torch.stack(list(clip_pixels))[None]), len(clip_pixels))

    def project(self, seen_KLU: torch.Tensor, frames: int) -> VisualTokens:
        """The clip encoder's tokens of K clips of so many frames, merged and projected."""
        if self.pointing is None:
            return VisualTokens(self.vlm.projector(seen_KLU))
        grid = self.pointing.clip_grid
        embeds, places, owners = self.vlm.projector.place(
            seen_KLU, token_places(frames, grid, seen_KLU.device)
        )
        return VisualTokens(embeds + self.pointing.embed_places(places), places, owners)

    def join_clips(self, clips: Sequence[VisualTokens]) -> VisualTokens:
        """The clips of a window, in the order of time, as the language model is given them."""
        tokens = VisualTokens.join(clips)
        if self.pointing is None:
            return tokens
        embeds = tokens.embeds + self.pointing.embed_clips(len(tokens.embeds))
        return replace(tokens, embeds=embeds)

    def ground(
        self,
        clip_tokens: Sequence[VisualTokens],
        features: Sequence[FrameFeatures],
        text: str,
        cancelled: Callable[[], bool] = lambda: False,
        wording: tuple[int, int] = (0, 0),
        fused: Sequence[int] | None = None,
        seen: Seen | None = None,
    ) -> torch.Tensor:
        """One LLM prefill and the fusion: prompts_TNC, one set for each of the T frames.

        Args:
            clip_tokens: visual tokens of each clip, in time order.
            features: the window's T frames; those that the fusion sees, not only the clips'.
            text: the sentence, as the person wrote it.
            cancelled: asked between the prefill and the fusion.
            wording: which question and which answer template.
            fused: which of the clips' frames the features are of; without it the first T.
            seen: of these clips and features, shared by the questions about them.

        Raises:
            Cancelled: `cancelled()` turned true.
        """
        if cancelled():
            raise Cancelled(text)
        tokens = self.join_clips(clip_tokens)
        return self.ground_tokens(tokens, features, text, cancelled, wording, fused, seen)

    def ground_tokens(
        self,
        tokens: VisualTokens,
        features: Sequence[FrameFeatures],
        text: str,
        cancelled: Callable[[], bool] = lambda: False,
        wording: tuple[int, int] = (0, 0),
        fused: Sequence[int] | None = None,
        seen: Seen | None = None,
    ) -> torch.Tensor:
        """As `ground`, of clips that `join_clips` joined."""
        seen = Seen() if seen is None else seen
        if seen.pooled is None:
            seen.pooled = self.pool(features)
        prompt = self.prompter.ask(plain_sentence(text), *wording)
        fused = range(len(features)) if fused is None else fused
        states, hidden = self._ask(tokens, prompt, seen)
        hint = self._hint(tokens, prompt, states, hidden, fused)
        if cancelled():
            raise Cancelled(text)
        return self.second_fusion.fuse(states, seen.pooled.second[None], hint)[0].transpose(0, 1)

    def pool(self, features: Sequence[FrameFeatures]) -> Pooled:
        """What both fusions look at of these frames, B = 1 each."""
        s2_1TCgg = torch.cat([f.s2 for f in features])[None]
        initial = None
        if self.config.fusion.initial:
            initial = self.initial_fusion.pool(s2_1TCgg)[0]
        return Pooled(initial, self.second_fusion.pool(s2_1TCgg)[0])

    def _ask(
        self, tokens: VisualTokens, prompt: Prompt, seen: Seen
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """One conversation: [ST] states (1, N, D) and all states (1, L, D)."""
        visual = tokens.sequence
        embeds_LD = self.vlm.embed(prompt.ids, visual)
        (places_N,) = self.st_places([visual], [prompt])
        if self.config.fusion.initial:
            if seen.asked_ND is None:
                pooled = seen.pooled.initial[None]
                seen.asked_ND = self.initial_fusion.fuse(embeds_LD[places_N][None], pooled)[0]
            embeds_LD = embeds_LD.index_put((places_N,), seen.asked_ND.to(embeds_LD.dtype))
        if seen.apart:
            shared = prompt.image_at + len(visual)
            if seen.prefix is None:
                seen.prefix = self.vlm.read(embeds_LD[None, :shared])
            hidden = self.vlm.hidden_after(seen.prefix, embeds_LD[None, shared:])
        else:
            hidden = self.vlm.hidden(embeds_LD[None])
        return hidden[:, places_N], hidden

    def st_hint(
        self,
        tokens: VisualTokens,
        s2_1TCgg: torch.Tensor,
        prompt: Prompt,
        fused: Sequence[int] | None = None,
    ) -> tuple[torch.Tensor, Hint | None]:
        """What the second fusion is given of one conversation: [ST] states (1, N, D) and a hint.

        The hint is None of a model that does not point. Arguments as for `ground`.
        """
        states, hidden, _ = self.st_states([tokens.sequence], s2_1TCgg, [prompt])
        fused = range(s2_1TCgg.shape[1]) if fused is None else fused
        return states, self._hint(tokens, prompt, states, hidden, fused)

    def _hint(
        self,
        tokens: VisualTokens,
        prompt: Prompt,
        states: torch.Tensor,
        hidden: torch.Tensor,
        fused: Sequence[int],
    ) -> Hint | None:
        if self.pointing is None:
            return None
        start, (clips, each) = prompt.image_at, tokens.embeds.shape[:2]
        read = hidden[:, start : start + clips * each].unflatten(1, (clips, each))
        pointed = self.pointing.point(states, read, tokens.embeds[None], tokens.places[None])
        return self.hint(pointed, tokens.owners[None], fused)

    def hint(self, pointed: Pointed, owners_BKL: torch.Tensor, fused: Sequence[int]) -> Hint:
        """What fusion and decoder are told of the frames `fused` of the clips' frames."""
        frames = torch.as_tensor(list(fused), device=self.device)
        cells = self.pointing.cells(pointed.heat(owners_BKL))
        places = pointed.places.flatten(1, 2)[:, frames]
        shown = pointed.shown.flatten(1, 2)[:, frames].sigmoid()
        points = self.segmenter.encode_points(places.flip(-1))
        return self.pointing.hint(places, points, shown, cells[:, frames])

    def st_states(
        self,
        visual: Sequence[torch.Tensor],
        s2_BTCgg: torch.Tensor,
        prompts: Sequence[Prompt],
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The language model's pass over B conversations, right-padded to one length.

        Args:
            visual: visual tokens (L, D) of each conversation.
            s2_BTCgg: the frames that the Initial ST-Fusion sees; read only when it is on.
            prompts: the conversations.

        Returns:
            [ST] states (B, N, D), E~_ST of the paper; all hidden states (B, L, D), after the final
            norm; labels (B, L) on the merged sequence, `IGNORE` at visual tokens and padding.
        """
        embeds_BLD, mask_BL, labels_BL = self._merged(visual, prompts)
        places_BN = self.st_places(visual, prompts)
        row = torch.arange(len(places_BN), device=self.device)[:, None]
        if self.config.fusion.initial:
            fused = self.initial_fusion(embeds_BLD[row, places_BN], s2_BTCgg)
            embeds_BLD = embeds_BLD.index_put((row, places_BN), fused.to(embeds_BLD.dtype))
        hidden = self.vlm.hidden(embeds_BLD, mask_BL)
        return hidden[row, places_BN], hidden, labels_BL

    def st_places(self, visual: Sequence[torch.Tensor], prompts: Sequence[Prompt]) -> torch.Tensor:
        """Where the [ST] tokens are among each conversation's tokens, (B, N)."""
        places = []
        for tokens, prompt in zip(visual, prompts, strict=True):
            st = (prompt.ids == self.prompter.st_id).nonzero()[:, 0]
            places.append(st + (len(tokens) - 1) * (st > prompt.image_at))
        return torch.stack(places).to(self.device)

    def word_states(
        self, visual: Sequence[torch.Tensor], prompts: Sequence[Prompt]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """As `st_states`, of conversations in words alone: hidden states (B, L, D), labels (B, L).

        Args:
            visual: visual tokens (L, D) of each conversation.
            prompts: the conversations, without [ST] tokens.
        """
        embeds_BLD, mask_BL, labels_BL = self._merged(visual, prompts)
        return self.vlm.hidden(embeds_BLD, mask_BL), labels_BL

    def _merged(
        self, visual: Sequence[torch.Tensor], prompts: Sequence[Prompt]
    ) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor]:
        """Embeddings (B, L, D) with the visual tokens in place, their mask, and labels (B, L)."""
        embeds, labels = [], []
        for tokens, prompt in zip(visual, prompts, strict=True):
            embeds.append(self.vlm.embed(prompt.ids, tokens))
            at = prompt.image_at
            ignored = torch.full((len(tokens),), IGNORE)
            labels.append(torch.cat([prompt.labels[:at], ignored, prompt.labels[at + 1 :]]))
        embeds_BLD = pad_sequence(embeds, batch_first=True)
        lengths = torch.tensor([len(e) for e in embeds], device=self.device)
        mask = torch.arange(embeds_BLD.shape[1], device=self.device) < lengths[:, None]
        labels_BL = pad_sequence(labels, batch_first=True, padding_value=IGNORE).to(self.device)
        # Causal attention never looks right, so padding needs a mask only where there is some.
        return embeds_BLD, None if bool(mask.all()) else mask, labels_BL

    def _normalised(self, image_13HW: torch.Tensor) -> torch.Tensor:
        mean, std = self._pixel_stats
        return ((image_13HW[0].to(self.device).float() / 255 - mean) / std).to(self.dtype)
