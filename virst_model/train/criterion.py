"""What a prediction costs: the terms of eq. (15) and (16), and those of the auxiliary heads."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F

from virst_model.model.features import Decoded, FrameFeatures
from virst_model.train.batches import Batch
from virst_model.train.forward import Prediction, join
from virst_model.train.heads import (
    DETAIL_TERMS,
    ENCODER_TERMS,
    SENTENCE_TERMS,
    head_losses,
    look_loss,
)
from virst_model.train.losses import distil_loss, mask_losses, token_loss, weighted_sum
from virst_model.train.pointing import find_targets, pointing_losses
from virst_model.train.stage import Objective


@dataclass(frozen=True)
class Terms:
    """Unweighted scalars by name.

    Attributes:
        all: "ce", those of `mask_losses`, "look", "read", and those of `head_losses`.
        tracked: those of `mask_losses` again, where frames through memory have their own.
    """

    all: Mapping[str, torch.Tensor]
    tracked: Mapping[str, torch.Tensor] = field(default_factory=dict)

    def labelled(self) -> dict[str, torch.Tensor]:
        """Every scalar, as the log names it."""
        tracked = {f"{name}_tracked": value for name, value in self.tracked.items()}
        return {**self.all, **tracked}

    def total(self, objective: Objective, iou_twice: bool = False) -> torch.Tensor:
        """The weighted sum that is minimised: eq. (15), and what helps a model without a past.

        `iou_twice`: the IoU term counts twice, as in the release.
        """
        weights = term_weights(objective)
        sums = {
            name: self.all[name] + self.tracked[name] if name in self.tracked else self.all[name]
            for name in weights
            if name in self.all
        }
        return weighted_sum(sums, weights, iou_twice)


def term_weights(objective: Objective) -> dict[str, float]:
    """Of every term, by name, in the order in which a forward pass comes to them."""
    return {
        **dict.fromkeys(ENCODER_TERMS, objective.heads),
        **dict.fromkeys(DETAIL_TERMS, objective.details),
        "distil": objective.distil,
        "point": objective.point,
        "place": objective.point,
        "shown": 0.5 * objective.point,
        "read": objective.read,
        "look": objective.look,
        "ce": objective.ce,
        **dict.fromkeys(SENTENCE_TERMS, objective.heads),
        "bce": 1.0,
        "dice": 1.0,
        "iou": 0.05,
        "occ": objective.occ,
    }


def criterion(
    prediction: Prediction,
    batch: Batch,
    objective: Objective,
    taught: FrameFeatures | None = None,
) -> Terms:
    """The terms of what a batch asks for; `batch` is the one that was predicted.

    `taught`: features that a teacher makes of the drawn pictures, of the frames of `prediction`.
    """
    terms = head_losses(prediction.scores, prediction.words, batch)
    if taught is not None:
        frames = len(batch.frames.encoded)
        weights_B = batch.auxiliaries.drawn_weights.repeat_interleave(frames)
        terms["distil"] = distil_loss(prediction.features, taught, weights_B)
    if objective.point and prediction.pointed is not None and batch.truth is not None:
        pointed, owners = prediction.pointed.pointed, prediction.pointed.owners
        clips = torch.tensor(batch.frames.clip_frames, device=batch.truth.device)
        targets = find_targets(batch.truth[:, clips], owners, pointed.logits.shape[-1] - 1)
        terms |= pointing_losses(pointed, targets)
    if prediction.reads is not None:
        terms["read"] = prediction.reads.loss(batch)
    if prediction.looks is not None:
        terms["look"] = look_loss(prediction.looks, batch.truth[:, batch.frames.window])
    if prediction.tokens is not None:
        terms["ce"] = token_loss(*prediction.tokens)
    if not prediction.decoded:
        return Terms(terms)
    anchors, tracked = batch.frames.anchors, batch.frames.tracked
    if not objective.tracked_apart:
        return Terms(terms | _mask_terms(prediction, batch, objective, [*anchors, *tracked]))
    terms |= _mask_terms(prediction, batch, objective, anchors)
    return Terms(terms, _mask_terms(prediction, batch, objective, tracked) if tracked else {})


def _mask_terms(
    prediction: Prediction, batch: Batch, objective: Objective, frames: Sequence[int]
) -> dict[str, torch.Tensor]:
    """Of `frames`, one mean over all of them."""
    decoded = join([prediction.decoded[frame] for frame in frames])
    truth = torch.cat([batch.truth[:, frame] for frame in frames])
    return mask_losses(decoded, truth, absent_as_decoded=not objective.raw_masks)


@dataclass(frozen=True)
class Watched:
    """What is worth a look, of a batch that asks for masks.

    Attributes:
        anchor_iou: of the masks of the A anchors, (B, A) 0..1.
        tracked_iou: of those of the tracked frames, (B, frames) 0..1.
        first_logits: of the masks of the first anchor, (B, h, w).
    """

    anchor_iou: torch.Tensor
    tracked_iou: torch.Tensor
    first_logits: torch.Tensor


@torch.no_grad()
def watch(decoded: Mapping[int, Decoded], batch: Batch) -> Watched | None:
    """How good the masks `decoded`, by frame, are; None where none is asked for."""
    if not decoded:
        return None
    anchors, tracked = batch.frames.anchors, batch.frames.tracked
    ious = {frame: iou(masks, batch.truth[:, frame]) for frame, masks in decoded.items()}
    none = batch.truth.new_zeros((len(batch.truth), 0), dtype=torch.float32)
    return Watched(
        torch.stack([ious[frame] for frame in anchors], dim=1),
        torch.stack([ious[frame] for frame in tracked], dim=1) if tracked else none,
        decoded[anchors[0]].logits.float(),
    )


@torch.no_grad()
def iou(decoded: Decoded, truth_BHW: torch.Tensor) -> torch.Tensor:
    """IoU (B,) of the final masks; 1 where both are empty."""
    logits = F.interpolate(decoded.logits[:, None], truth_BHW.shape[-2:], mode="bilinear")[:, 0]
    mask, truth = logits > 0, truth_BHW > 0
    union = (mask | truth).flatten(1).sum(1)
    both = (mask & truth).flatten(1).sum(1)
    return torch.where(union > 0, both / union.clamp(min=1), 1.0)
