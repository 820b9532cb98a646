"""One training forward: the same encode, fusion, decode and propagate that a stream runs."""

from collections.abc import Sequence

import torch
from torch import nn
import torch.nn.functional as F

from virst_model.data.grammar import COLOURS, MOTIONS, RANKS, SHAPES, SIZES, parse
from virst_model.data.synthetic import Sentence
from virst_model.losses import bce_each, dice_each, mask_losses, token_loss
from virst_model.memory import Memory
from virst_model.structs import Decoded, FrameFeatures
from virst_model.train.batches import Batch
from virst_model.train.stages import Stage
from virst_model.virst import Virst

# What a sentence of the synthetic language can say, for the auxiliary head.
SAID = (
    ("colour", COLOURS),
    ("shape", SHAPES),
    ("size", SIZES),
    ("rank", RANKS),
    ("motion", MOTIONS),
    ("plural", (False, True)),
)
WEIGHTS = {"bce": 1.0, "dice": 1.0, "ce": 1.0, "occ": 0.05, "iou": 0.05}  # eq. (15), (16)


class Heads(nn.Module):
    """Auxiliary heads of a model that starts from nothing. Dropped afterwards.

    A trunk learns shapes slowly from masks alone, and a language model is slow to carry a word
    over a hundred tokens to [ST] when only masks tell it that the word mattered.
    """

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.classes = (len(SHAPES) + 1, len(COLOURS) + 1)
        self.dense = nn.Conv2d(dim, 16 * sum(self.classes), 1)
        self.said = [1 + len(names) for _, names in SAID]
        self.phrase = nn.Linear(hidden, sum(self.said))
        self.match = nn.Linear(dim, 16)

    def dense_losses(
        self, s2: torch.Tensor, shapes: torch.Tensor, colours: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        """Shape and colour of every stride-4 cell from the stride-16 features.

        Cross entropy; objects and background have half of the weight each.
        """
        scores = F.pixel_shuffle(self.dense(s2), 4).split(self.classes, dim=1)
        truths = {"shape": shapes, "colour": colours}
        found = {}
        for score, (name, truth) in zip(scores, truths.items(), strict=True):
            each = F.cross_entropy(score, truth, reduction="none")
            thing = (truth > 0).float()
            things = (each * thing).sum() / thing.sum().clamp(min=1)
            rest = (each * (1 - thing)).sum() / (1 - thing).sum().clamp(min=1)
            found[name] = (things + rest) / 2
        return found

    def phrase_loss(self, states_BND: torch.Tensor, sentences: Sequence[Sentence]) -> torch.Tensor:
        """What each sentence says (colour, shape, ...) from its mean [ST] state; cross entropy."""
        scores = self.phrase(states_BND.mean(dim=1)).split(self.said, dim=1)
        phrases = [parse(sentence.text) for sentence in sentences]
        loss = states_BND.new_zeros(())
        for score, (name, values) in zip(scores, SAID, strict=True):
            words = [getattr(phrase, name) for phrase in phrases]
            truth = [0 if word is None else 1 + values.index(word) for word in words]
            loss = loss + F.cross_entropy(score, torch.tensor(truth))
        return loss / len(SAID)

    def match_loss(self, cells_BSC: torch.Tensor, truth_BHW: torch.Tensor) -> torch.Tensor:
        """BCE and Dice of a mask read from the mask decoder's image tokens alone.

        The decoder's masks are products with an eighth of its width; that is few numbers to
        learn from which of many objects is meant. This asks its attention directly.
        """
        grid = round(cells_BSC.shape[1] ** 0.5)
        maps = self.match(cells_BSC).transpose(1, 2).unflatten(2, (grid, grid))
        logits = F.pixel_shuffle(maps, 4)[:, 0]
        truth = F.adaptive_avg_pool2d(truth_BHW.float(), logits.shape[-1])
        seen = (truth.flatten(1).amax(1) > 0).float()
        dice = (dice_each(logits, truth) * seen).sum() / seen.sum().clamp(min=1)
        return bce_each(logits, truth).mean() + dice


def look_loss(looks: list[torch.Tensor], truth_BTHW: torch.Tensor, grid: int) -> torch.Tensor:
    """-log of the attention that the fusion pays to the target in the prompt's own frame.

    Half of the heads learn it, in every layer; frames without the target do not count. Words and
    pixels find each other sooner this way than through the mask decoder alone.
    """
    share = F.adaptive_avg_pool2d(truth_BTHW.float(), grid).flatten(2)
    target_BTS = (2 * share).clamp(max=1)
    seen_BT = (share.amax(dim=2) > 0.05).float()
    loss = share.new_zeros(())
    for look in looks:
        half = look[:, : look.shape[1] // 2].mean(dim=(1, 2))  # (B, T, T, S)
        own_BTS = half.diagonal(dim1=1, dim2=2).transpose(1, 2)
        paid_BT = (own_BTS * target_BTS).sum(dim=2)
        loss = loss - ((paid_BT + 1e-4).log() * seen_BT).sum() / seen_BT.sum().clamp(min=1)
    return loss / len(looks)


def losses(
    model: Virst, heads: Heads, batch: Batch
) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Unweighted loss terms, and the decoded masks' IoU for the log.

    Returns:
        terms: name -> scalar.
        watched: "anchor_iou" (B, A) and, with propagation, "tracked_iou" (B, frames).
    """
    needed = sorted({*batch.window, *batch.tracked})
    features = model.segmenter.encode(batch.pixels[:, needed].flatten(0, 1))
    place = {f: i for i, f in enumerate(needed)}

    def frame(index: int) -> FrameFeatures:
        return features.select(batch.scene * len(needed) + place[index])

    dense = (batch.shapes[:, needed].flatten(0, 1), batch.colours[:, needed].flatten(0, 1))
    terms = heads.dense_losses(features.s2, *dense)
    if not batch.sentences:
        return terms, {}
    prompts_BNTC, asked = _prompts(model, heads, batch, features, [place[f] for f in batch.window])
    terms |= asked

    decoded, truths, cells = [], [], []
    transformer = model.segmenter.sam_mask_decoder.transformer
    hook = transformer.register_forward_hook(lambda *call: cells.append(call[2][1]))
    memory = Memory(model.config)
    for anchor in batch.anchors:
        index = batch.window[anchor]
        seen = frame(index)
        answer = model.segmenter.decode_prompted(seen, prompts_BNTC[:, :, anchor])
        decoded.append(answer)
        truths.append(batch.truth[:, index])
        if batch.tracked:
            memory.write_anchor(batch.times[index], model.encode_memory(seen, answer))
    anchors = len(decoded)
    for index in batch.tracked:
        seen = frame(index)
        answer = model.propagate(seen, [memory.read(batch.times[index])])
        memory.write(batch.times[index], model.encode_memory(seen, answer))
        decoded.append(answer)
        truths.append(batch.truth[:, index])
    hook.remove()
    terms["match"] = heads.match_loss(torch.cat(cells), torch.cat(truths))
    for part, chosen in (("", slice(0, anchors)), ("_tracked", slice(anchors, None))):
        if decoded[chosen]:
            found = mask_losses(_join(decoded[chosen]), torch.cat(truths[chosen]), False)
            terms |= {name + part: value for name, value in found.items()}
    ious = torch.stack([iou(d, t) for d, t in zip(decoded, truths, strict=True)], dim=1)
    return terms, {"anchor_iou": ious[:, :anchors], "tracked_iou": ious[:, anchors:]}


def total(terms: dict[str, torch.Tensor], stage: Stage, iou_twice: bool = False) -> torch.Tensor:
    """The weighted sum that is minimised: eq. (15), and what helps a model without a past."""
    heads = dict.fromkeys(("shape", "colour", "phrase", "match"), stage.heads)
    weights = {**WEIGHTS, **heads, "look": stage.look, "occ": stage.occ}
    weights["iou"] *= 2 if iou_twice else 1
    return sum(weights[name.removesuffix("_tracked")] * value for name, value in terms.items())


@torch.no_grad()
def iou(decoded: Decoded, truth_BHW: torch.Tensor) -> torch.Tensor:
    """IoU (B,) of the final masks; 1 where both are empty."""
    logits = F.interpolate(decoded.logits[:, None], truth_BHW.shape[-2:], mode="bilinear")[:, 0]
    mask, truth = logits > 0, truth_BHW > 0
    union = (mask | truth).flatten(1).sum(1)
    both = (mask & truth).flatten(1).sum(1)
    return torch.where(union > 0, both / union.clamp(min=1), 1.0)


def _prompts(
    model: Virst, heads: Heads, batch: Batch, features: FrameFeatures, window: list[int]
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    scenes = batch.pixels.shape[0]
    clips = batch.pixels[:, batch.clips]  # (S, K, 4, 3, side, side)
    side = model.config.umt.side
    if clips.shape[-1] != side:
        raise ValueError(f"scenes are drawn at {clips.shape[-1]}, the clip encoder reads {side}")
    tokens = model.vlm.encode_clips(clips.flatten(0, 1)).unflatten(0, (scenes, -1)).flatten(1, 2)
    s2_STChw = features.s2.unflatten(0, (scenes, -1))[:, window]
    s2_BTChw = s2_STChw[batch.scene]
    asked = [model.prompter.ask(s.text) for s in batch.sentences]
    states, hidden, labels = model.st_states(list(tokens[batch.scene]), s2_BTChw, asked)
    prompts_BNTC, looks = model.second_fusion.look(states, s2_BTChw)
    truth_BTHW = batch.truth[:, batch.window]
    return prompts_BNTC, {
        "look": look_loss(looks, truth_BTHW, model.config.fusion.grid),
        "ce": token_loss(model.vlm.logits(hidden), labels),
        "phrase": heads.phrase_loss(states, batch.sentences),
    }


def _join(decoded: list[Decoded]) -> Decoded:
    return Decoded(
        *(torch.cat([getattr(d, name) for d in decoded]) for name in Decoded.__dataclass_fields__)
    )
