"""What the whole model, its losses, metrics and prompts compute is what the release's do."""

from collections.abc import Iterable, Iterator
import dataclasses
import json
import statistics

from golden import FOLDER, Golden, Near, each, enlarge, need, whole_model
import numpy as np
import pytest
from streams import upsample
import torch
from torch import Tensor

from virst_model.checkpoints.names import from_released
from virst_model.checkpoints.released import read_tokenizer
from virst_model.config import behaviour
from virst_model.evaluate import metrics
from virst_model.model.anchors import anchor_indices
from virst_model.model.features import Decoded, FrameFeatures, VisualTokens
from virst_model.model.memory import Memory
from virst_model.model.prompt import IGNORE, LONG_QUESTIONS, Prompt, Prompter, draw_wording
from virst_model.model.virst import Virst
from virst_model.train import losses
from virst_model.train.order import segment_window

# The recorded training forwards: names of their inputs, tolerance of their losses.
TRAINING = {
    "default": ("", 1e-5),
    "with_propagation": ("", 1e-4),
    "two_conversations": ("two_", 1e-5),
}
TERMS = {
    "ce": "ce_loss",
    "bce": "mask_bce_loss",
    "dice": "mask_dice_loss",
    "iou": "iou_loss",
    "occ": "occ_loss",
}
# Below it a gradient's norm is compared absolutely. Attention does not see a bias on all keys: its
# gradient, near 1e-8, is rounding alone.
SMALL_GRADIENT = 1e-4
# How far a norm may be off, relative. Where one is farther, the recorded norms are compared with
# those of MOVED runs whose pictures are moved by a unit in the last place: with their mean, within
# DEVIATIONS standard deviations of it and GRADIENT. The gate of the initial fusion needs that. Its
# gradient is a sum of 640 products that cancel, and one unit in the feed-forward (ReLU) of a
# memory attention has an input of 7e-5 or -7e-5, as the order of a sum has it: its slope is 1 or
# 0, and the gate's norm has one of two values 0.4 % apart. Moved inputs fall on one side or the
# other (3 of 9, 6 of 9), the recorded run on the second, float64 on the first, 0.36 % below it.
GRADIENT, MOVED, DEVIATIONS = 1e-3, 8, 4.0
# However far the moved runs are apart: more than twice what was measured is no rounding.
MOST_ROUNDING = 1e-2


@each("end to end")
@pytest.mark.parametrize("rounded", [False, True], ids=["exact memory", "bfloat16 memory"])
def test_from_frames_and_token_ids_to_masks(file: Golden, rounded: bool, near: Near) -> None:
    meta = file.meta
    rules = dataclasses.replace(
        behaviour("released"), memory_bf16=rounded, alpha=meta["max_cond_frames_in_attn"]
    )
    model = whole_model(file, rules, meta["initial_seg_fusion"])
    assert model.config.segmenter.num_maskmem == meta["num_maskmem"]
    features = encoded(model, file)
    places = file["in/frame_ids"].tolist()
    s2 = torch.cat([features[place].s2 for place in places])[None]
    prompts_of = prompts(file, "in/")
    states, hidden, labels = model.st_states([visual_tokens(model, file)], s2, prompts_of)
    near("whole, hidden", hidden, file["out/hidden"], 1e-4)
    loss = losses.token_loss(*losses.learned_tokens(model.vlm.logits, hidden, labels))
    near("whole, token loss", loss, file["out/ce_loss"], 1e-5)

    chosen = anchor_indices(len(places))
    assert chosen == meta["cond_idx"]
    st = model.second_fusion(states, s2)[:, :, chosen]
    near("whole, prompts", st, file["out/seg_prompts"], 1e-4)
    anchors = [places[index] for index in chosen]
    decoded = list(track(model, features, anchors, st[0].transpose(0, 1)))
    compare_masks(file, model, decoded, anchors, rounded, near)


def track(
    model: Virst, features: list[FrameFeatures], anchors: list[int], prompts_ANC: Tensor
) -> Iterator[Decoded]:
    """The released video loop: all anchors first, then every other frame in order of time."""
    memory, prompted = Memory(model.config, capacity=None), {}
    for t, prompt_NC in zip(anchors, prompts_ANC, strict=True):
        previous = prompted[t].logits if t in prompted else None
        prompted[t] = model.segmenter.decode_prompted(features[t], prompt_NC[None], previous)
        memory.write_anchor(t, model.encode_memory(features[t], prompted[t]))
    for t, frame in enumerate(features):
        if t in prompted:
            yield prompted[t]
            continue
        decoded = model.propagate(frame, [memory.read(t, len(features))])
        memory.write(t, model.encode_memory(frame, decoded))
        yield decoded


def compare_masks(
    file: Golden,
    model: Virst,
    decoded: list[Decoded],
    anchors: list[int],
    rounded: bool,
    near: Near,
) -> None:
    """Rounding memory is discontinuous: then only anchors, which see none, can be equal."""
    variant = "" if rounded else "_fp32mem"
    logits = torch.cat([d.logits for d in decoded])
    scores = torch.cat([d.object_score for d in decoded])
    theirs = file[f"out/low_res_logits{variant}"], file[f"out/object_score_logits{variant}"]
    near("whole, anchors", logits[anchors], theirs[0][anchors], 1e-4)
    near("whole, anchors", scores[anchors], theirs[1][anchors], 1e-4)
    shape = file["out/masks_shape"].tolist()
    bits = np.unpackbits(file.exact(f"out/masks_packed{variant}").numpy())[: np.prod(shape)]
    masks = torch.from_numpy(bits.reshape(shape)).bool()
    ours = torch.cat([upsample(d, *shape[1:]) for d in decoded])
    if not rounded:
        near("whole, masks", logits, theirs[0], 2e-3)
        near("whole, object scores", scores, theirs[1], 2e-3)
        assert not ((ours > 0) != masks)[ours.abs() > 2e-3].any()
        return
    # Rounded memory differs from exact memory by so much in the release itself.
    allowed = file.meta["noise_2e6_amplification"]["bf16_vs_fp32mem"]
    near("whole, masks, bfloat16 memory", logits, theirs[0], allowed)
    union = ((ours > 0) | masks).flatten(1).sum(1)
    iou = ((ours > 0) & masks).flatten(1).sum(1) / union.clamp(min=1)
    assert iou[union > 0].min() > 0.99


@each("losses")
def test_mask_losses_alone(file: Golden, near: Near) -> None:
    logits, truth = file["in/fn_logits"], file["in/fn_targets"].float()
    for name, ours in (
        ("dice", losses.dice_each(logits, truth)),
        ("ce", losses.bce_each(logits, truth)),
    ):
        near("losses, each", ours, file[f"out/fn/{name}_each"], 1e-5)
        for count in (1, 3):
            near("losses, each", ours.sum() / count, file[f"out/fn/{name}_num{count}"], 1e-5)


@each("losses")
@pytest.mark.parametrize("run", TRAINING)
def test_training_forward_and_gradients(file: Golden, run: str, near: Near) -> None:
    with torch.inference_mode(False):
        compare_training(file, run, near)


def compare_training(file: Golden, run: str, near: Near) -> None:
    inputs, tolerance = TRAINING[run]
    weights, frames = file.meta["loss_weights"], file.meta["frames"][run]
    model = whole_model(file, behaviour("released"))
    terms, masks = training_terms(model, file, inputs, frames)
    for name, theirs in TERMS.items():
        near(
            f"losses, {name}", weights[name] * terms[name], file[f"out/{run}/{theirs}"], tolerance
        )
    loss = losses.weighted_sum(terms, weights, model.config.behaviour.iou_twice)
    near("losses, sum", loss, file[f"out/{run}/loss"], tolerance)
    for index, ours in enumerate(masks):
        theirs = file[f"out/{run}/pred_prob_conv{index}_sub"]
        thin = ours.shape[-1] // theirs.shape[-1]
        near("losses, masks", ours[:, ::thin, ::thin], theirs, tolerance)

    theirs = frames["grad_norms"]
    ours = gradient_norms(model, loss, theirs)
    off = {n: (ours[n] - theirs[n]) / max(theirs[n], SMALL_GRADIENT) for n in theirs}
    unsure = [name for name, share in off.items() if abs(share) > GRADIENT]
    if unsure:
        off |= beyond_rounding(file, inputs, frames, {name: ours[name] for name in unsure})
    shares = torch.tensor(list(off.values()))
    near("losses, gradient norms, relative", shares, torch.zeros_like(shares), GRADIENT)


def gradient_norms(model: Virst, loss: Tensor, names: Iterable[str]) -> dict[str, float]:
    """Of parameters by their released name; 0 where there is no gradient."""
    loss.backward()
    parameters = dict(model.named_parameters())
    gradients = {name: parameters[from_released(name)].grad for name in names}
    return {n: 0.0 if grad is None else float(grad.norm()) for n, grad in gradients.items()}


def beyond_rounding(
    file: Golden, inputs: str, frames: dict, ours: dict[str, float]
) -> dict[str, float]:
    """How far the recorded norms are outside of what rounding makes of `ours`, relative."""
    runs = [ours]
    for seed in range(MOVED):
        model = whole_model(file, behaviour("released"))
        terms, _ = training_terms(model, Moved(file, seed), inputs, frames)
        loss = losses.weighted_sum(terms, file.meta["loss_weights"], iou_twice=True)
        runs.append(gradient_norms(model, loss, ours))
    off = {}
    for name in ours:
        norm = frames["grad_norms"][name]
        norms, scale = [norms_of[name] for norms_of in runs], max(norm, SMALL_GRADIENT)
        allowed = min(DEVIATIONS * statistics.stdev(norms), MOST_ROUNDING * scale)
        off[name] = max(abs(norm - statistics.mean(norms)) - allowed, 0.0) / scale
    return off


class Moved:
    """A file whose pictures are moved by a unit in the last place: up, down or not, by lot."""

    def __init__(self, file: Golden, seed: int) -> None:
        self._file = file
        self._generator = torch.Generator().manual_seed(seed)

    def __getitem__(self, name: str) -> Tensor:
        array = self._file[name]
        if name not in ("in/video", "in/clip_small"):
            return array
        way = torch.randint(-1, 2, array.shape, generator=self._generator)
        return torch.where(way == 0, array, torch.nextafter(array, way * torch.inf))

    def __getattr__(self, name: str) -> object:
        return getattr(self._file, name)


def training_terms(
    model: Virst, file: Golden, inputs: str, frames: dict
) -> tuple[dict[str, Tensor], list[Tensor]]:
    """Unweighted losses of a batch of conversations on one video, and each one's mask probability.

    Anchors were drawn by lot. The mask decoder trains its single-mask token (train_token).
    """
    features = encoded(model, file)
    s2 = torch.cat([f.s2 for f in features])[None]
    batch = prompts(file, f"in/{inputs}")
    visual = [visual_tokens(model, file)] * len(batch)
    # The release encodes the frames once more, without gradients, for the initial fusion.
    states, hidden, labels = model.st_states(visual, s2.detach(), batch)
    prompts_BNTC = model.second_fusion(states, s2)
    decoded, truth = [], []
    for conversation, chosen in enumerate(frames["frames_in_loss"]):
        by_anchor = {
            chosen.index(anchor): prompts_BNTC[conversation, None, :, anchor]
            for anchor in frames["anchors"][conversation]
        }
        window = [features[t] for t in chosen]
        decoded.append(segment_window(model, window, by_anchor))
        truth.append(file[f"in/{inputs}gt_masks"][conversation, chosen].float())
    joined = Decoded(
        *(
            torch.cat([getattr(d, field.name) for window in decoded for d in window])
            for field in dataclasses.fields(Decoded)
        )
    )
    terms = losses.mask_losses(joined, torch.cat(truth), absent_as_decoded=True)
    tokens = losses.learned_tokens(model.vlm.logits, hidden, labels)
    terms["ce"] = losses.token_loss(*tokens)
    side = model.config.segmenter.side
    masks = [torch.cat([upsample(d, side, side) for d in w]).sigmoid() for w in decoded]
    return terms, masks


@each("metrics")
def test_metrics(file: Golden, near: Near) -> None:
    videos = sorted({name.split("/")[1] for name in file.names if name.startswith("in/")})
    for video in videos:
        truth, mask, foreground = (
            file.exact(f"in/{video}/{name}").numpy() for name in ("gt", "pred", "foreground")
        )
        for name, ours in (
            ("J", metrics.region(truth, mask)),
            ("F", metrics.boundary(truth, mask)),
            ("accuracy", metrics.accuracy(truth, mask)),
            ("robustness", metrics.robustness(truth, mask, foreground)),
            # A mask file's 0/255 is the same mask.
            ("J_pred255", metrics.region(truth, 255 * mask)),
            ("F_pred255", metrics.boundary(truth, 255 * mask)),
        ):
            theirs = file.exact(f"out/{video}/{name}")
            near(f"metrics, {name[0].upper()}", torch.from_numpy(ours), theirs, file.meta["tol"])


def test_prompts_have_the_released_ids_and_labels() -> None:
    path, folder = FOLDER / "prompts.json", FOLDER / "tokenizer"
    need(path.exists() and folder.is_dir(), "prompts.json and tokenizer")
    recorded = json.loads(path.read_text())
    tokenizer = read_tokenizer(folder)
    assert tokenizer.get_vocab_size() == recorded["tokenizer_len"]
    for item in recorded["items"]:
        prompter = Prompter(tokenizer, item["modality"])
        assert prompter.st_id == recorded["seg_token_id"]
        assert item["expression"].endswith("?") == item["long_question_list"]
        wording = item["question_template_index"], item["answer_template_index"]
        assert draw_wording(item["expression"], item["seed"]) == wording
        ours = prompter.ask(item["expression"], *wording)
        assert ours.ids.tolist() == item["input_ids"]
        # The release takes [SEG] out of the labels later.
        labels = [IGNORE if i == prompter.st_id else i for i in item["labels"]]
        assert ours.labels.tolist() == labels
    assert any(item["long_question_list"] for item in recorded["items"]) and LONG_QUESTIONS


def encoded(model: Virst, file: Golden) -> list[FrameFeatures]:
    """Features of each frame of the recorded video, whose pixels are normalised already."""
    pixels = enlarge(file["in/video"], model.config.segmenter.side).to(model.dtype)
    features = model.segmenter.encode(pixels)
    return [features.select(slice(t, t + 1)) for t in range(len(pixels))]


def visual_tokens(model: Virst, file: Golden) -> Tensor:
    """Visual tokens of all clips, one after the other."""
    frames = enlarge(file["in/clip_small"], model.config.umt.side).to(model.dtype)
    clips = frames.split(model.config.umt.clip_frames)
    return VisualTokens.join([model.encode_clip(clip) for clip in clips]).sequence


def prompts(file: Golden, start: str) -> list[Prompt]:
    """The recorded conversations, padding cut off, [SEG] out of the labels."""
    ids, labels = file[start + "input_ids"], file[start + "labels"]
    labels = labels.masked_fill(labels == file.meta["seg_token_id"], IGNORE)
    mask = torch.ones_like(ids, dtype=torch.bool)
    if start + "attention_mask" in file.names:
        mask = file[start + "attention_mask"]
    return [Prompt(i[m], kept[m]) for i, kept, m in zip(ids, labels, mask, strict=True)]
