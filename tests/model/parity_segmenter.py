"""What anchors, memory and segmenter compute is what the released VIRST computes (golden.py)."""

from collections.abc import Iterator
import dataclasses
import json

from golden import FOLDER, Golden, Near, each, enlarge, load_alone, need, segmenter_config
import numpy as np
import pytest
import torch
from torch import Tensor
import torch.nn.functional as F

from virst_model.config import BehaviourConfig, VirstConfig, full
from virst_model.model.anchors import anchor_indices, select_anchors
from virst_model.model.features import ABSENT_LOGIT, Decoded, FrameFeatures, MemoryEntry
from virst_model.model.memory import Memory
from virst_model.model.segmenter import Segmenter

# The recorded runs, and whose frames and prompts each takes.
VIDEOS = {
    "videoA": "A",
    "videoB": "B",
    "videoC_occluded": "A",
    "videoD_same_frame_twice": "A",
    "videoE_irregular": "B",
}


def test_anchor_candidates_of_every_window_length() -> None:
    windows = recorded_anchors()["select_keyframes_eval"]
    assert {frames: anchor_indices(int(frames)) for frames in windows} == windows


def test_released_rule_selects_the_same_anchors_in_the_same_order() -> None:
    layouts = recorded_anchors()["select_closest_cond_frames"]
    compared = 0
    for name, layout in layouts.items():
        anchors = layout["anchors_in_dict_order"]
        for alpha, picks in layout["picks"].items():
            for t, expected in picks.items():
                if isinstance(expected, str):
                    continue  # The release refuses alpha = 1 with more anchors than that.
                ours = select_anchors(int(t), anchors, int(alpha), rule="released")
                assert ours == expected, (name, alpha, t)
                compared += 1
    assert compared


@each("segmenter")
def test_one_frame(file: Golden, near: Near) -> None:
    segmenter, _ = segmenter_of(file)
    features = segmenter.encode(pixels_of(file, "A")[:1])
    # Levels and masks are stored thinned out.
    for level, thin in ((0, 4), (1, 4), (2, 1)):
        ours = (features.s0, features.s1, features.s2)[level][..., ::thin, ::thin]
        near("frame, features", ours, file[f"out/single/backbone_fpn{level}"], 1e-4)

    prompts = file["in/promptsA"][:, :, 0]
    best = segmenter.decode_prompted(features, prompts, multimask=True)
    near("frame, mask", best.logits[:, None], file["out/single/low_res_masks"], 1e-4)
    near("frame, score", best.score, file["out/single/ious"].amax(1), 1e-4)
    high = F.interpolate(best.logits[:, None], (segmenter.side,) * 2, mode="bilinear")
    near("frame, mask", high[..., ::8, ::8], file["out/single/high_res_masks"], 1e-4)

    single = segmenter.decode_prompted(features, prompts, multimask=False)
    near("frame, mask", single.logits[:, None], file["out/single_train/low_res_masks"], 1e-4)
    near("frame, score", single.score[:, None], file["out/single_train/ious"], 1e-4)
    for name, decoded in (("single", best), ("single_train", single)):
        near("frame, pointer", decoded.pointer, file[f"out/{name}/obj_ptr"], 1e-4)
        score = file[f"out/{name}/object_score_logits"]
        near("frame, score", decoded.object_score[:, None], score, 1e-4)


@each("segmenter")
@pytest.mark.parametrize("video", VIDEOS)
def test_video_with_exact_memory(file: Golden, video: str, near: Near) -> None:
    decoded = list(track(file, video, rounded=False))
    out = f"out/{video}_fp32mem"
    logits = torch.cat([d.logits for d in decoded])
    # Absent frames are -1024 on both sides.
    near("video", logits, file[f"{out}/low_res_logits"], 2e-3)
    near("video, pointer", torch.cat([d.pointer for d in decoded]), file[f"{out}/obj_ptr"], 2e-3)
    scores = torch.cat([d.object_score for d in decoded])
    near("video, object score", scores, file[f"{out}/object_score_logits"], 2e-3)
    absent = (logits == ABSENT_LOGIT).all(-1).all(-1)
    assert torch.equal(absent, scores <= 0)
    if f"{out}/video_masks_packed" in file.names:
        ours, theirs = masks(file, video, logits, f"{out}/video_masks_packed")
        assert not ((ours > 0) != theirs)[ours.abs() > 2e-3].any()


@each("segmenter")
@pytest.mark.parametrize("video", VIDEOS)
def test_video_with_memory_rounded_to_bfloat16(file: Golden, video: str, near: Near) -> None:
    """Rounding is discontinuous: only anchors, which see no memory, can be equal."""
    decoded, out = list(track(file, video, rounded=True)), f"out/{video}"
    logits = torch.cat([d.logits for d in decoded])
    anchors = sorted(set(file.meta["details"][video]["anchors"]))
    expected = file[f"{out}/low_res_logits"]
    near("video, bfloat16 memory, anchors", logits[anchors], expected[anchors], 1e-4)
    ours, theirs = masks(file, video, logits, f"{out}/video_masks_packed")
    ours = ours > 0
    union = (ours | theirs).flatten(1).sum(1)
    iou = (ours & theirs).flatten(1).sum(1) / union.clamp(min=1)
    assert iou[union > 0].min() > 0.99


@each("segmenter")
@pytest.mark.parametrize("video", VIDEOS)
def test_memory_reads_what_the_release_reads(file: Golden, video: str) -> None:
    details = file.meta["details"][video]
    segmenter, config = segmenter_of(file)
    frames = len(file[f"out/{video}/low_res_logits"])
    memory = Memory(config, capacity=None)
    entry = empty_entry(segmenter, config)
    for anchor in details["anchors"]:
        memory.write_anchor(anchor, entry)
    for t in range(frames):
        if t in memory.anchor_times:
            continue
        read = memory.read(t, video_length=frames)
        assert memory.selected(t) == details["selected"][str(t)]
        cells, parts = segmenter.grid**2, config.segmenter.dim // config.segmenter.memory_dim
        tokens = [int(read.map_valid.sum()) * cells, int(read.pointer_valid.sum()) * parts]
        assert tokens == details["mem_tokens_and_ptr_tokens"][str(t)]
        memory.write(t, entry)


def track(file: Golden, video: str, rounded: bool) -> Iterator[Decoded]:
    """The released video loop: all anchors first, then every other frame in order of time."""
    segmenter, config = segmenter_of(file)
    if video == "videoC_occluded":
        head = segmenter.sam_mask_decoder.pred_obj_score_head.layers[-1]
        head.bias += file.meta["videoC_bias_delta"]
    frames = len(file[f"out/{video}/low_res_logits"])
    pixels = pixels_of(file, VIDEOS[video])[:frames]
    features = [segmenter.encode(image[None]) for image in pixels]
    memory, anchors = Memory(config, capacity=None), {}

    def remember(frame: FrameFeatures, decoded: Decoded) -> MemoryEntry:
        entry = segmenter.encode_memory(frame, decoded)
        return MemoryEntry(entry.maps.bfloat16().float(), entry.pointer) if rounded else entry

    prompts = file[f"in/prompts{VIDEOS[video]}"].unbind(2)
    for t, prompt in zip(file.meta["details"][video]["anchors"], prompts):
        # A second prompt on one frame takes the first one's mask as a dense prompt.
        previous = anchors[t].logits if t in anchors else None
        anchors[t] = segmenter.decode_prompted(features[t], prompt, previous)
        memory.write_anchor(t, remember(features[t], anchors[t]))
    for t in range(frames):
        if t in anchors:
            yield anchors[t]
            continue
        decoded = segmenter.decode_tracked(features[t], memory.read(t, video_length=frames))
        memory.write(t, remember(features[t], decoded))
        yield decoded


def segmenter_of(file: Golden) -> tuple[Segmenter, VirstConfig]:
    """The recorded segmenter; what its overrides leave out is as in the full model."""
    config = full()
    segmenter = dataclasses.replace(
        segmenter_config(file.meta["hydra_overrides"], config.segmenter),
        dim=file.weights["no_mem_embed"].shape[-1],
        memory_dim=file.weights["maskmem_tpos_enc"].shape[-1],
        num_maskmem=file.meta["config"]["num_maskmem"],
    )
    behaviour = BehaviourConfig(
        alpha=file.meta["config"]["max_cond_frames_in_attn"], anchor_rule="released"
    )
    config = dataclasses.replace(config, segmenter=segmenter, behaviour=behaviour)
    module = load_alone(Segmenter(segmenter), file, "model.seg_model.", "segmenter.")
    return module, config


def empty_entry(segmenter: Segmenter, config: VirstConfig) -> MemoryEntry:
    maps = torch.zeros(1, segmenter.grid**2, config.segmenter.memory_dim)
    return MemoryEntry(maps, torch.zeros(1, config.segmenter.dim))


def pixels_of(file: Golden, video: str) -> Tensor:
    """The frames of a video, already normalised."""
    return enlarge(file[f"in/video{video}"], file.meta["config"]["image_size"])


def masks(file: Golden, video: str, logits_Thw: Tensor, packed: str) -> tuple[Tensor, Tensor]:
    """Our logits at the video's size, and the recorded masks."""
    shape = file[f"out/{video}/video_masks_shape"].tolist()
    bits = np.unpackbits(file[packed].numpy())[: np.prod(shape)]
    ours = F.interpolate(logits_Thw[:, None], shape[1:], mode="bilinear")[:, 0]
    return ours, torch.from_numpy(bits.reshape(shape)).bool()


def recorded_anchors() -> dict:
    path = FOLDER / "anchors.json"
    need(path.exists(), path.name)
    return json.loads(path.read_text())
