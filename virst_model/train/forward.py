"""One training forward: the same encode, fusion, decode and propagate that a stream runs."""

from collections.abc import Iterator
import contextlib

import torch
import torch.nn.functional as F

from virst_model.model.features import Decoded, FrameFeatures
from virst_model.model.virst import Virst
from virst_model.train.batches import Batch
from virst_model.train.heads import CELLS, Heads, look_loss
from virst_model.train.losses import mask_losses, token_loss, weighted_sum
from virst_model.train.order import segment_window
from virst_model.train.reading import read_loss, reading, target_share
from virst_model.train.stages import Objective

WEIGHTS = {"bce": 1.0, "dice": 1.0, "ce": 1.0, "occ": 0.05, "iou": 0.05}  # eq. (15), (16)
HEAD_TERMS = (
    *("shape", "colour", "clip_shape", "clip_colour", "clip_motion", "clip_filled"),
    *("words", "present", "match"),
)
# Pixels that go through the image encoder at once: 8 frames of the paper's size.
ENCODED_PIXELS = 8 * 1024**2

Terms = dict[str, torch.Tensor]


def losses(
    model: Virst,
    batch: Batch,
    objective: Objective,
    heads: Heads | None = None,
    checkpointing: bool = False,
) -> tuple[Terms, Terms]:
    """Unweighted loss terms, and what is worth a look.

    Returns:
        terms: name -> scalar.
        watched: "anchor_iou" (B, A), "tracked_iou" (B, frames), and "picture" (B, h, w), the
            logits of the first anchor's masks; nothing where no mask is asked for.
    """
    if batch.answers is not None:
        return {"ce": _answer_loss(model, batch)}, {}
    seen = model.vlm.see(batch.clips.flatten(0, 1)) if batch.clips.shape[1] else None
    terms = {}
    if heads is not None and batch.clip_frames:
        terms |= heads.clip_losses(seen, *_clip_truths(batch, model.vlm.umt.grid))
        if not batch.texts:
            return terms, {}
    needed = sorted({*batch.window, *batch.tracked})
    place = {f: i for i, f in enumerate(needed)}
    features = _encode(model, batch.pixels[:, needed].flatten(0, 1))
    if heads is not None:
        shapes, colours = batch.shapes[:, needed], batch.colours[:, needed]
        terms |= heads.dense_losses(features.s2, shapes.flatten(0, 1), colours.flatten(0, 1))
    if not batch.texts:
        return terms, {}
    window = [place[f] for f in batch.window]
    prompts_BNTC, asked = _prompts(model, batch, seen, features, window, objective, heads)
    terms |= asked

    shown = sorted({*(batch.window[a] for a in batch.anchors), *batch.tracked})
    prompts = {shown.index(batch.window[a]): prompts_BNTC[:, :, a] for a in batch.anchors}
    frames = [_frame(features, batch, place[f]) for f in shown]
    times = [batch.times[f] for f in shown]
    with _image_tokens(model) as cells:
        decoded = segment_window(
            model,
            frames,
            prompts,
            times=times,
            stream=batch.stream,
            checkpointing=checkpointing,
        )
    truths = [batch.truth[:, f] for f in shown]
    if heads is not None:
        terms["match"] = heads.match_loss(torch.cat(cells), torch.cat(truths))
    anchors = sorted(prompts)
    tracked = [i for i in range(len(shown)) if i not in prompts]
    terms |= _mask_terms(decoded, truths, anchors, tracked, objective)
    return terms, _watched(decoded, truths, anchors, tracked)


def total(terms: Terms, objective: Objective, iou_twice: bool = False) -> torch.Tensor:
    """The weighted sum that is minimised: eq. (15), and what helps a model without a past."""
    heads = dict.fromkeys(HEAD_TERMS, objective.heads)
    weights = {**WEIGHTS, **heads, "look": objective.look, "read": objective.read}
    weights["occ"] = objective.occ
    together: Terms = {}
    for name, value in terms.items():
        name = name.removesuffix("_tracked")
        together[name] = together[name] + value if name in together else value
    return weighted_sum(together, weights, iou_twice)


@torch.no_grad()
def iou(decoded: Decoded, truth_BHW: torch.Tensor) -> torch.Tensor:
    """IoU (B,) of the final masks; 1 where both are empty."""
    logits = F.interpolate(decoded.logits[:, None], truth_BHW.shape[-2:], mode="bilinear")[:, 0]
    mask, truth = logits > 0, truth_BHW > 0
    union = (mask | truth).flatten(1).sum(1)
    both = (mask & truth).flatten(1).sum(1)
    return torch.where(union > 0, both / union.clamp(min=1), 1.0)


def _encode(model: Virst, pixels_B3ss: torch.Tensor) -> FrameFeatures:
    """Features of many frames, some at once."""
    some = max(1, ENCODED_PIXELS // pixels_B3ss[0, 0].numel())
    parts = [model.segmenter.encode(part) for part in pixels_B3ss.split(some)]
    return parts[0] if len(parts) == 1 else _join(parts)


@contextlib.contextmanager
def _image_tokens(model: Virst) -> Iterator[list[torch.Tensor]]:
    """What the mask decoder makes of its image tokens, (B, L, C) a call."""
    cells: list[torch.Tensor] = []
    transformer = model.segmenter.sam_mask_decoder.transformer
    hook = transformer.register_forward_hook(lambda *call: cells.append(call[2][1]))
    try:
        yield cells
    finally:
        hook.remove()


def _frame(features: FrameFeatures, batch: Batch, place: int) -> FrameFeatures:
    """One frame of each sentence's scene; where there is one scene, without a copy."""
    frames = len(features.s2) // len(batch.pixels)
    if len(batch.pixels) == 1:
        return features.select(slice(place, place + 1)).expand(len(batch.scene))
    return features.select(batch.scene * frames + place)


def _mask_terms(
    decoded: list[Decoded],
    truths: list[torch.Tensor],
    anchors: list[int],
    tracked: list[int],
    objective: Objective,
) -> Terms:
    apart = {"": anchors, "_tracked": tracked}
    parts = apart if objective.tracked_apart else {"": [*anchors, *tracked]}
    terms = {}
    for part, chosen in parts.items():
        if chosen:
            truth = torch.cat([truths[i] for i in chosen])
            joined = _join([decoded[i] for i in chosen])
            found = mask_losses(joined, truth, absent_as_decoded=not objective.raw_masks)
            terms |= {name + part: value for name, value in found.items()}
    return terms


def _watched(
    decoded: list[Decoded], truths: list[torch.Tensor], anchors: list[int], tracked: list[int]
) -> Terms:
    ious = torch.stack([iou(d, t) for d, t in zip(decoded, truths, strict=True)], dim=1)
    return {
        "anchor_iou": ious[:, anchors],
        "tracked_iou": ious[:, tracked],
        "picture": decoded[anchors[0]].logits.detach(),
    }


def _clip_truths(batch: Batch, grid: int) -> tuple[Terms, torch.Tensor]:
    """Of each patch of all K clips, class numbers (K, L) at its centre, and where it is filled.

    The latter is (K, L, 4 * CELLS**2) 0/1, of the patch's cells in all frames of the clip.
    """
    frames = torch.tensor(batch.clip_frames, device=batch.shapes.device)
    truths = {"shape": batch.shapes, "colour": batch.colours, "motion": batch.motions}
    step = batch.shapes.shape[-1] // grid
    centres = slice(step // 2, None, step)
    classes = {
        name: truth[:, frames][..., centres, centres].flatten(0, 1).flatten(1)
        for name, truth in truths.items()
    }
    things = (batch.shapes[:, frames] > 0).float().flatten(0, 2)
    cells = F.adaptive_avg_pool2d(things, grid * CELLS).round()
    cells = cells.view(-1, frames.shape[1], grid, CELLS, grid, CELLS)
    filled = cells.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)
    return classes, filled.repeat(1, frames.shape[1], 1)


def _projected(model: Virst, batch: Batch, seen_KLU: torch.Tensor) -> torch.Tensor:
    """Visual tokens (S, L, D) of each scene's clips, from the clip encoder's."""
    return model.vlm.projector(seen_KLU).unflatten(0, (len(batch.clips), -1)).flatten(1, 2)


def _answer_loss(model: Virst, batch: Batch) -> torch.Tensor:
    """The token loss of answers in words; no mask is asked for."""
    prompts = [
        model.prompter.tell(text, answer)
        for text, answer in zip(batch.texts, batch.answers, strict=True)
    ]
    seen = model.vlm.see(batch.clips.flatten(0, 1))
    visual = list(_projected(model, batch, seen)[batch.scene])
    hidden, labels = model.word_states(visual, prompts)
    return token_loss(model.vlm.logits, hidden, labels)


def _prompts(
    model: Virst,
    batch: Batch,
    seen_KLU: torch.Tensor,
    features: FrameFeatures,
    window: list[int],
    objective: Objective,
    heads: Heads | None,
) -> tuple[torch.Tensor, Terms]:
    """Prompts (B, N, T, C) of the window's frames, and the loss terms on the way to them."""
    s2_STCgg = features.s2.unflatten(0, (len(batch.pixels), -1))[:, window]
    s2_BTCgg = s2_STCgg[batch.scene]
    asked = [
        model.prompter.ask(text, *wording)
        for text, wording in zip(batch.texts, batch.wordings, strict=True)
    ]
    visual = list(_projected(model, batch, seen_KLU)[batch.scene])
    terms = {}
    with reading(model) if objective.read else contextlib.nullcontext() as noted:
        states, hidden, labels = model.st_states(visual, s2_BTCgg, asked)
    if objective.read:
        weights = noted.weights(model.st_places(visual, asked))
        share = target_share(model, batch, seen_KLU)
        terms["read"] = read_loss(weights, share, asked[0].image_at)
    if heads is not None and objective.look:
        prompts_BNTC, looks = model.second_fusion.look(states, s2_BTCgg)
        truth_BTHW = batch.truth[:, batch.window]
        terms["look"] = look_loss(looks, truth_BTHW, model.config.fusion.grid)
    else:
        prompts_BNTC = model.second_fusion(states, s2_BTCgg)
    terms["ce"] = token_loss(model.vlm.logits, hidden, labels)
    if heads is not None:
        words = [model.tokenizer.encode(f" {text}").ids for text in batch.texts]
        terms["words"] = heads.words_loss(states, words)
        terms["present"] = heads.present_loss(states, batch.truth[:, batch.window])
    return prompts_BNTC, terms


def _join(parts: list) -> Decoded | FrameFeatures:
    """Batches of one dataclass of tensors, as one."""
    kind = type(parts[0])
    names = kind.__dataclass_fields__
    return kind(*(torch.cat([getattr(part, name) for part in parts]) for name in names))
