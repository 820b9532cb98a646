"""One training forward: the same encode, fusion, decode and propagate that a stream runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
import contextlib
import dataclasses
from dataclasses import dataclass, field
from typing import TypeVar

import torch

from virst_model.model.features import Decoded, FrameFeatures, VisualTokens
from virst_model.model.pointing import Pointed
from virst_model.model.virst import Virst
from virst_model.train.batches import Batch, Frames
from virst_model.train.heads import Heads
from virst_model.train.losses import learned_tokens
from virst_model.train.order import segment_window
from virst_model.train.prefix import converse, tell
from virst_model.train.reading import AnswerReads, Reads, reading, reply_places
from virst_model.train.stage import Objective

# Pixels that go through the image encoder at once: 8 frames of the paper's size.
ENCODED_PIXELS = 8 * 1024**2

Batched = TypeVar("Batched", Decoded, FrameFeatures)


@dataclass(frozen=True)
class Prediction:
    """What a model makes of a batch. Nothing here depends on the truth.

    Attributes:
        decoded: frame (`Frames`) -> the masks of the B sentences on it, of the anchors and the
            tracked frames, ascending; empty where no mask is asked for.
        tokens: logits (n, V) of the language model and the n ids that are to follow; None where
            there is no sentence.
        words: of each sentence, the ids of its words, where there are heads.
        scores: the name of an auxiliary head (`Heads`) -> its logits.
        looks: where each layer of the second fusion looked, each (B, heads, N, T, T, grid * grid);
            None where no term asks.
        reads: where the language model read for [ST], or for an answer; None where no term asks.
        features: of the frames that were encoded (`Frames.encoded`), those of a video side by
            side; None where no term asks.
        pointed: of a model that points; else None.
    """

    decoded: dict[int, Decoded] = field(default_factory=dict)
    tokens: tuple[torch.Tensor, torch.Tensor] | None = None
    words: tuple[list[int], ...] = ()
    scores: dict[str, torch.Tensor] = field(default_factory=dict)
    looks: list[torch.Tensor] | None = None
    reads: Reads | AnswerReads | None = None
    features: FrameFeatures | None = None
    pointed: PointedTokens | None = None


@dataclass(frozen=True)
class PointedTokens:
    """Where [ST] points, and what it could point at.

    Attributes:
        pointed: of the B sentences.
        owners: (B, K, patches), into which visual token each patch of a clip was merged.
    """

    pointed: Pointed
    owners: torch.Tensor


def predict(
    model: Virst,
    batch: Batch,
    objective: Objective,
    heads: Heads | None = None,
    checkpointing: bool = False,
) -> Prediction:
    """What the model, and its heads, make of the frames and the sentences of a batch.

    Args:
        batch: its truth and its auxiliaries are not read.
        objective: says which attention is kept.
        checkpointing: as for `segment_window`.
    """
    frames, sentences = batch.frames, batch.sentences
    if sentences.answers is not None:
        tokens, reads = _answer(model, batch, objective)
        return Prediction(tokens=tokens, reads=reads)
    scores: dict[str, torch.Tensor] = {}
    clips_KLU = _clip_tokens(model, frames)
    if heads is not None and clips_KLU is not None:
        scores |= heads.of_clips(clips_KLU)
        if not sentences.texts:
            return Prediction(scores=scores)
    encoded = _encode(model, frames)
    if heads is not None:
        scores |= heads.of_pictures(encoded.features.s2)
    features = encoded.features if objective.distil else None
    if not sentences.texts:
        return Prediction(scores=scores, features=features)
    s2_STCgg = encoded.of_videos(frames.window)
    s2_BTCgg = s2_STCgg[sentences.video]
    pointed = hint = reads = None
    if model.pointing is None:
        states_BND, tokens, reads = _converse(model, batch, objective, clips_KLU, s2_BTCgg)
    else:
        states_BND, tokens, pointed = _converse_and_point(model, batch, clips_KLU, s2_STCgg)
        hint = model.hint(pointed.pointed, pointed.owners, _places_in_clips(frames))
    if not frames.segmented:
        return Prediction(tokens=tokens, scores=scores, features=features, pointed=pointed)
    if heads is not None and objective.look:
        prompts_BNTC, looks = model.second_fusion.look(states_BND, s2_BTCgg, hint)
    else:
        prompts_BNTC, looks = model.second_fusion(states_BND, s2_BTCgg, hint), None
    words: tuple[list[int], ...] = ()
    if heads is not None:
        words = tuple(model.tokenizer.encode(f" {text}").ids for text in sentences.texts)
        scores |= heads.of_sentences(states_BND)
    segmented, window = frames.segmented, frames.window
    with _image_tokens(model) as cells:
        decoded = segment_window(
            model,
            [encoded.of_each(frame, sentences.video) for frame in segmented],
            {segmented.index(f): prompts_BNTC[:, :, window.index(f)] for f in frames.anchors},
            times=[frames.times[frame] for frame in segmented],
            stream=frames.stream,
            checkpointing=checkpointing,
        )
    if heads is not None:
        scores |= heads.of_masks(torch.cat(cells))
    return Prediction(
        decoded=dict(zip(segmented, decoded, strict=True)),
        tokens=tokens,
        words=words,
        scores=scores,
        looks=looks,
        reads=reads,
        features=features,
        pointed=pointed,
    )


def join(parts: Sequence[Batched]) -> Batched:
    """Several batches of one dataclass of tensors as one, along the first axis."""
    names = [field.name for field in dataclasses.fields(parts[0])]
    return type(parts[0])(*(torch.cat([getattr(p, name) for p in parts]) for name in names))


@dataclass(frozen=True)
class _Encoded:
    """Features of some of the frames of S videos, which are asked for by their index among F.

    Attributes:
        features: of S * len(frames) pictures, a video's side by side.
        frames: which frames these are, ascending.
        videos: S.
    """

    features: FrameFeatures
    frames: list[int]
    videos: int

    def of_videos(self, frames: Sequence[int]) -> torch.Tensor:
        """s2 of some frames of all videos, (S, T, C, h, w)."""
        s2_SFCgg = self.features.s2.unflatten(0, (self.videos, -1))
        return s2_SFCgg[:, [self.frames.index(frame) for frame in frames]]

    def of_each(self, frame: int, video_B: torch.Tensor) -> FrameFeatures:
        """One frame of the video of each of B sentences; of one video, without a copy."""
        place = self.frames.index(frame)
        if self.videos == 1:
            return self.features.select(slice(place, place + 1)).expand(len(video_B))
        return self.features.select(video_B * len(self.frames) + place)


def _encode(model: Virst, frames: Frames) -> _Encoded:
    """Features of the frames that are needed, some at once; of frozen encoders they are known."""
    if frames.known is not None:
        known = (frames.known.s0, frames.known.s1, frames.known.s2)
        features = FrameFeatures(*(level.flatten(0, 1) for level in known))
        return _Encoded(features, frames.encoded, len(known[0]))
    pixels_B3HW = frames.pixels[:, frames.encoded].flatten(0, 1)
    some = max(1, ENCODED_PIXELS // pixels_B3HW[0, 0].numel())
    parts = [model.segmenter.encode(part) for part in pixels_B3HW.split(some)]
    features = parts[0] if len(parts) == 1 else join(parts)
    return _Encoded(features, frames.encoded, len(frames.pixels))


def _clip_tokens(model: Virst, frames: Frames) -> torch.Tensor | None:
    """What the clip encoder makes of all clips, (S * K, L, U); None where there is none."""
    if frames.known is not None:
        return frames.known.clips.flatten(0, 1)
    return model.vlm.see(frames.clips.flatten(0, 1)) if frames.clips.shape[1] else None


def _places_in_clips(frames: Frames) -> list[int]:
    """Which of the clips' frames, one after the other, each frame of the window is.

    A frame that fills up a short window is each time another of them, as it is in a stream.
    """
    order = [frame for clip in frames.clip_frames for frame in clip]
    places: list[int] = []
    last: dict[int, int] = {}  # of each frame
    for frame in frames.window:
        last[frame] = order.index(frame, last.get(frame, -1) + 1)
        places.append(last[frame])
    return places


def _converse_and_point(
    model: Virst, batch: Batch, clips_KLU: torch.Tensor, s2_STCgg: torch.Tensor
) -> tuple[torch.Tensor, tuple[torch.Tensor, torch.Tensor], PointedTokens]:
    """As `_converse`, of a model that points; the sentences of a video share its tokens."""
    sentences = batch.sentences
    prompts = [
        model.prompter.ask(text, *wording)
        for text, wording in zip(sentences.texts, sentences.wordings, strict=True)
    ]
    tokens = _visual_tokens(model, batch, clips_KLU)
    embeds, places = tokens.embeds, tokens.places
    said = converse(model, embeds.flatten(1, 2), s2_STCgg, prompts, sentences.video)
    visual = said.visual.unflatten(1, embeds.shape[1:3])
    video = sentences.video
    pointed = model.pointing.point(said.states, visual[video], embeds[video], places[video])
    learned = learned_tokens(model.vlm.logits, said.hidden, said.labels)
    return said.states, learned, PointedTokens(pointed, tokens.owners[video])


def _converse(
    model: Virst,
    batch: Batch,
    objective: Objective,
    clips_KLU: torch.Tensor,
    s2_BTCgg: torch.Tensor,
) -> tuple[torch.Tensor, tuple[torch.Tensor, torch.Tensor], Reads | None]:
    """The language model's pass: [ST] states (B, N, D), `tokens` and `reads` of a prediction."""
    sentences = batch.sentences
    prompts = [
        model.prompter.ask(text, *wording)
        for text, wording in zip(sentences.texts, sentences.wordings, strict=True)
    ]
    tokens = _visual_tokens(model, batch, clips_KLU)
    visual = list(tokens.embeds.flatten(1, 2)[sentences.video])
    with reading(model) if objective.read else contextlib.nullcontext() as noted:
        states_BND, hidden_BLD, labels_BL = model.st_states(visual, s2_BTCgg, prompts)
    reads = None
    if objective.read:
        weights = noted.weights(model.st_places(visual, prompts))
        share = model.vlm.projector.share
        reads = Reads(weights, prompts[0].image_at, clips_KLU, share)
    return states_BND, learned_tokens(model.vlm.logits, hidden_BLD, labels_BL), reads


def _answer(
    model: Virst, batch: Batch, objective: Objective
) -> tuple[tuple[torch.Tensor, torch.Tensor], AnswerReads | None]:
    """The `tokens` of answers in words, and their `reads` where a model points and a term asks."""
    sentences = batch.sentences
    prompts = [
        model.prompter.tell(text, answer)
        for text, answer in zip(sentences.texts, sentences.answers, strict=True)
    ]
    tokens = _visual_tokens(model, batch, _clip_tokens(model, batch.frames))
    if model.pointing is None:
        visual = list(tokens.embeds.flatten(1, 2)[sentences.video])
        hidden_BLD, labels_BL = model.word_states(visual, prompts)
        return learned_tokens(model.vlm.logits, hidden_BLD, labels_BL), None
    with reading(model) if objective.read else contextlib.nullcontext() as noted:
        hidden_BLD, labels_BL, layout = tell(
            model, tokens.embeds.flatten(1, 2), prompts, sentences.video
        )
    reads = None
    if objective.read:
        places_BN = reply_places(prompts).to(hidden_BLD.device)
        weights = noted.weights_beside(layout, places_BN)
        reads = AnswerReads(weights, layout.visual, tokens.owners[sentences.video])
    return learned_tokens(model.vlm.logits, hidden_BLD, labels_BL), reads


def _visual_tokens(model: Virst, batch: Batch, clips_KLU: torch.Tensor) -> VisualTokens:
    """What the language model reads of each video: its parts are (S, K, ...)."""
    videos, _, frames = batch.frames.clips.shape[:3]
    clips = model.project(clips_KLU, frames)
    parts = (clips.embeds, clips.places, clips.owners)
    embeds, *others = (None if x is None else x.unflatten(0, (videos, -1)) for x in parts)
    if model.pointing is not None:
        embeds = embeds + model.pointing.embed_clips(embeds.shape[1])
    return VisualTokens(embeds, *others)


@contextlib.contextmanager
def _image_tokens(model: Virst) -> Iterator[list[torch.Tensor]]:
    """What the mask decoder makes of its image tokens, (B, cells, C) a call, in order."""
    cells: list[torch.Tensor] = []
    transformer = model.segmenter.sam_mask_decoder.transformer
    hook = transformer.register_forward_hook(lambda *call: cells.append(call[2][1]))
    try:
        yield cells
    finally:
        hook.remove()
