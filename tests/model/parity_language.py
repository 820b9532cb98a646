"""What our fusion and language side compute is what the released VIRST computes (golden.py)."""

import dataclasses
import json
import re

from golden import (
    COMMITTED,
    FILES,
    FOLDER,
    KINDS,
    Golden,
    Near,
    each,
    enlarge,
    load,
    load_alone,
    need,
)
import pytest
from tokenizers import Tokenizer
import torch
from torch import Tensor
import torch.nn.functional as F
from torch.nn.utils.rnn import pad_sequence

from virst_model.checkpoints.load import TINY, empty
from virst_model.checkpoints.names import from_released, to_released
from virst_model.checkpoints.released import LORA_A, PREFIX, sizes_of, with_lora
from virst_model.config import (
    FusionConfig,
    LlmConfig,
    TomeConfig,
    UmtConfig,
    VirstConfig,
    full,
)
from virst_model.model.fusion import InitialFusion, SecondFusion
from virst_model.model.prompt import IGNORE
from virst_model.model.tome import TomeProjector
from virst_model.model.umt import Umt
from virst_model.model.vlm import Vlm, build_llm

# Settings of the release that the files of whole models do not repeat: config.json's rope_theta,
# the clip encoder's side, and the tokens that a lone image is merged down to.
ROPE_THETA, UMT_SIDE, IMAGE_TOKENS = 1e6, 448, 64


@pytest.mark.parametrize("kind", KINDS.values())
def test_vectors_of_every_kind_are_there(kind: str) -> None:
    there = (file.kind for file in FILES if file.path.parent == FOLDER)
    need(kind in there, f"file of the kind {kind!r}")


def test_the_committed_vectors_are_those_that_their_readme_names() -> None:
    named = re.findall(r"^\| `(\w+\.npz)`", (COMMITTED / "README.md").read_text(), re.MULTILINE)
    assert sorted(named) == sorted(path.name for path in COMMITTED.glob("*.npz"))
    assert len(named) == 5


def test_every_file_is_compared() -> None:
    assert any(file.path.parent == FOLDER for file in FILES), f"{FOLDER} has no vectors"
    unknown = [file.path for file in FILES if file.kind not in KINDS.values()]
    assert not unknown, f"of no known kind: {unknown}"


@pytest.mark.parametrize("variant", ["without_lora", "with_lora_as_in_checkpoint"])
def test_full_model_has_exactly_the_released_parameters(variant: str) -> None:
    path = FOLDER / "virst7b_keys.json"
    need(path.exists(), path.name)
    recorded = json.loads(path.read_text())[variant]["state_dict"]
    released = {name.removeprefix(PREFIX): tuple(shape) for name, (shape, _) in recorded.items()}
    # A prefix on all names or on none.
    assert {name.startswith(PREFIX) for name in recorded} == {variant != "without_lora"}
    ranks = {shape[0] for name, shape in released.items() if LORA_A in name}

    model = empty(full(), Tokenizer.from_file(str(TINY / "tokenizer.json")))
    ours = {name: tuple(weight.shape) for name, weight in model.state_dict().items()}
    named = {to_released(name): shape for name, shape in ours.items()}
    assert with_lora(named, *ranks or [0]) == released
    merged = {name: shape for name, shape in released.items() if ".lora_" not in name}
    assert {from_released(name): shape for name, shape in merged.items()} == ours


def test_sizes_of_the_full_model_are_read_from_the_released_shapes() -> None:
    path = FOLDER / "virst7b_keys.json"
    need(path.exists(), path.name)
    recorded = json.loads(path.read_text())["without_lora"]["state_dict"]
    assert (
        sizes_of({name: tuple(shape) for name, (shape, _) in recorded.items()}, full()) == full()
    )


@each("initial fusion")
def test_initial_fusion(file: Golden, near: Near) -> None:
    meta, features = file.meta, file["in/vision_feats"][None]
    assert features.shape[2] == meta["vision_dim"] == meta["token_dim"]
    fusion_config = FusionConfig(grid=meta["grid_hw"], heads=meta["num_heads"])
    fusion = InitialFusion(sized(meta["hidden_dim"], features, fusion_config))
    load_alone(fusion, file, "model.initial_seg_fusion_module.", "initial_fusion.")
    fused = fusion(file["in/seg_embeds"], features)
    near(file.kind, fused, file["out/fused_seg_embeds"], meta["tol"])
    # Every seventh token is stored.
    tokens = fusion.vision_tokens(features)[:, ::7]
    near(file.kind, tokens, file["out/vision_tokens"], meta["tol"])


@each("second fusion")
def test_second_fusion(file: Golden, near: Near) -> None:
    meta, seg, features = file.meta, file["in/seg_token"], file["in/image_token"][None]
    assert features.shape[2] == meta["token_dim"]
    fusion_config = FusionConfig(
        grid=meta["grid_hw"], heads=meta["nhead"], layers=meta["n_layers"]
    )
    fusion = SecondFusion(sized(meta["in_dim"], features, fusion_config))
    load_alone(fusion, file, "model.seg_prompter.", "second_fusion.")
    near(file.kind, fusion(seg, features), file["out/decoded"], meta["tol"])
    # Attention of the last layer, which the release averages for each frame and does not use.
    _, looks = fusion.look(seg, features)
    scores = looks[-1].mean(dim=(1, 2, 3, 5))
    near(f"{file.kind}, frame scores", scores, file["out/frame_score"], meta["tol"])


@each("umt")
def test_umt_on_clips_and_on_images(file: Golden, near: Near) -> None:
    meta, side = file.meta, file.meta["img_size"]
    config = UmtConfig(
        side,
        meta["patch_size"],
        meta["embed_dim"],
        meta["blocks_run"],
        meta["heads"],
        meta["num_frames"],
        base_frames=meta["ckpt_num_frame"],
    )
    umt = Umt(config)
    load_alone(umt, file, "model.vision_tower.vision_tower.", "vlm.umt.")
    clips = enlarge(file["in/x_small"], side).transpose(1, 2)
    near("umt, clip", umt(clips), file["out/video"].flatten(1, 2), meta["tol"])
    # The recorded image is the clip's third frame.
    image = umt.encode_image(clips[:, 2])
    near("umt, image", image, file["out/image"].flatten(1, 2), meta["tol"])


@each("tome")
def test_tome_on_clips_and_on_images(file: Golden, near: Near) -> None:
    meta, frames = file.meta, file.meta["local_num_frames"]
    clips = file[f"in/features_{meta['frames']}"].unflatten(0, (-1, frames)).flatten(1, 2)
    # The release keeps 16 tokens for each frame of a clip.
    cases = (("video", 16 * frames, clips), ("image", IMAGE_TOKENS, file["in/features_1"]))
    for name, tokens, features in cases:
        config = TomeConfig(meta["num_attention_heads"], tokens)
        tome = TomeProjector(config, meta["mm_hidden_size"], meta["hidden_size"])
        load_alone(tome, file, "model.mm_projector.", "vlm.projector.")
        merged = tome.merge(features)
        near(f"tome, {name}, merged", merged, file[f"out/merged_{name}"], meta["tol"])
        near(f"tome, {name}", tome(features), file[f"out/{name}"], meta["tol"])


@each("vlm")
def test_vlm_without_and_with_initial_fusion(file: Golden, near: Near) -> None:
    vlm, visual = vlm_and_visual_tokens(file)
    near("vlm, visual tokens", visual, file["out/visual_tokens"], 1e-4)
    embeds = vlm.embed(file["in/input_ids"][0], visual.flatten(0, 1))[None]
    near("vlm, embeddings", embeds, file["out/inputs_embeds"], 1e-4)

    features, places = file["in/sam_feats"], file["out/seg_positions"]
    fusion = InitialFusion(sized(embeds.shape[-1], features, full().fusion))
    load(fusion, file.weights, "initial_fusion.")
    fused = embeds.clone()
    fused[:, places] = fusion(embeds[:, places], features)
    near("vlm, fused embeddings", fused[:, places], file["out/fused_seg_embeds"], 1e-4)

    for variant, merged in (("", embeds), ("fusion_", fused)):
        hidden = vlm.hidden(merged)
        near("vlm, hidden", hidden, file[f"out/{variant}hidden"], 1e-4)
        logits = vlm.logits(hidden)
        # Every fifth row of the vocabulary is stored.
        near("vlm, logits", logits[..., ::5], file[f"out/{variant}logits_sub"], 1e-4)
        loss = cross_entropy(logits, file["out/labels_merged"], file.meta["seg_token_id"])
        near("vlm, loss", loss, file[f"out/{variant}ce_loss"], 1e-5)


@each("vlm")
def test_vlm_on_a_right_padded_batch(file: Golden, near: Near) -> None:
    vlm, visual = vlm_and_visual_tokens(file)
    prompts = zip(file["in/padded_input_ids"], file["in/padded_attention_mask"])
    embeds = [vlm.embed(ids[mask], visual.flatten(0, 1)) for ids, mask in prompts]
    lengths = torch.tensor([len(e) for e in embeds])
    mask_BL = torch.arange(lengths.max()) < lengths[:, None]
    hidden = vlm.hidden(pad_sequence(embeds, batch_first=True), mask_BL)
    for ours, theirs, length in zip(hidden, file["out/padded_hidden"], lengths):
        near("vlm, padded", ours[:length], theirs[:length], 1e-4)


def sized(hidden: int, features_BTCgg: Tensor, fusion: FusionConfig) -> VirstConfig:
    """The full model's config at the recorded widths and side."""
    config, (_, _, dim, grid, _) = full(), features_BTCgg.shape
    return dataclasses.replace(
        config,
        llm=dataclasses.replace(config.llm, hidden=hidden),
        segmenter=dataclasses.replace(config.segmenter, dim=dim, side=16 * grid),
        fusion=fusion,
    )


def vlm_and_visual_tokens(file: Golden) -> tuple[Vlm, Tensor]:
    sizes = file.meta["config"]
    hidden, (dim, depth, heads) = sizes["hidden"], sizes["vit"]
    kernel = file.weights["model.vision_tower.vision_tower.encoder.patch_embed.proj.weight"]
    llm = LlmConfig(
        hidden,
        sizes["layers"],
        sizes["heads"],
        sizes["kv"],
        sizes["inter"],
        sizes["vocab"],
        ROPE_THETA,
    )
    # The last of the configured blocks does not run.
    umt = Umt(UmtConfig(UMT_SIDE, kernel.shape[-1], dim, depth - 1, heads))
    vlm = Vlm(umt, TomeProjector(TomeConfig(heads), dim, hidden), build_llm(llm))
    load(vlm, file.weights, "vlm.")
    clips = enlarge(file["in/clip_small"], UMT_SIDE).unflatten(0, (-1, umt.clip_frames))
    return vlm, vlm.encode_clips(clips)


def cross_entropy(logits_BLV: Tensor, labels_BL: Tensor, st_id: int) -> Tensor:
    labels = labels_BL[:, 1:].masked_fill(labels_BL[:, 1:] == st_id, IGNORE)
    return F.cross_entropy(logits_BLV[:, :-1].flatten(0, 1), labels.flatten(), ignore_index=IGNORE)
