"""sam2's own video predictor on a model's modules and weights: a peer to be compared with.

It is given masks in place of sentences, reads no language and looks at the whole video before it
starts; what is left, encoding and tracking of each frame, is the same work as ours.
"""

from collections.abc import Iterator, Sequence
import contextlib
import io
from pathlib import Path
import tempfile

import cv2
import numpy as np
from sam2.modeling.memory_attention import MemoryAttention, MemoryAttentionLayer
from sam2.modeling.sam.transformer import RoPEAttention
from sam2.sam2_video_predictor import SAM2VideoPredictor
import torch

from virst_model.config import SegmenterConfig
from virst_model.model.segmenter import MEMORY_BIAS, MEMORY_SCALE
from virst_model.model.virst import Virst

# Modules that the predictor takes as they are; the rest of its weights are copied.
SHARED = ("sam_prompt_encoder", "sam_mask_decoder", "obj_ptr_proj", "obj_ptr_tpos_proj")


def predictor(model: Virst) -> SAM2VideoPredictor:
    """The predictor with the switches of SAM 2.1's own configurations."""
    segmenter, config = model.segmenter, model.config.segmenter
    peer = SAM2VideoPredictor(
        image_encoder=segmenter.image_encoder,
        memory_attention=_memory_attention(config),
        memory_encoder=segmenter.memory_encoder,
        num_maskmem=config.num_maskmem,
        image_size=config.side,
        sigmoid_scale_for_mem_enc=MEMORY_SCALE,
        sigmoid_bias_for_mem_enc=MEMORY_BIAS,
        use_mask_input_as_output_without_sam=True,
        directly_add_no_mem_embed=True,
        no_obj_embed_spatial=True,
        use_high_res_features_in_sam=True,
        multimask_output_in_sam=config.multimask,
        multimask_output_for_tracking=config.multimask,
        multimask_min_pt_num=0,
        use_multimask_token_for_obj_ptr=True,
        iou_prediction_use_sigmoid=True,
        use_obj_ptrs_in_encoder=True,
        proj_tpos_enc_in_obj_ptrs=True,
        use_signed_tpos_enc_to_obj_ptrs=True,
        only_obj_ptrs_in_the_past_for_eval=True,
        pred_obj_scores=True,
        pred_obj_scores_mlp=True,
        fixed_no_obj_ptr=True,
        use_mlp_for_obj_ptr_proj=True,
    )
    for name in SHARED:  # whose sizes the predictor does not let anybody choose
        setattr(peer, name, getattr(segmenter, name))
    peer.load_state_dict(segmenter.state_dict(), strict=True)
    return peer.eval().to(model.device)


def track(
    peer: SAM2VideoPredictor, images: Sequence[np.ndarray], masks: Sequence[np.ndarray]
) -> Iterator[tuple[int, np.ndarray]]:
    """Tracks one object a mask, from the first picture on: each frame's index and masks (Q, H, W).

    Args:
        images: uint8 RGB (H, W, 3), of one size.
        masks: bool (H, W), of the first picture.
    """
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(io.StringIO()):
        for index, image in enumerate(images):  # which it reads from files alone
            cv2.imwrite(str(Path(folder) / f"{index}.jpg"), image[..., ::-1])
        state = peer.init_state(folder)
        for number, mask in enumerate(masks):
            peer.add_new_mask(state, 0, number, torch.from_numpy(mask))
        for index, _, logits in peer.propagate_in_video(state):
            yield index, (logits[:, 0] > 0).cpu().numpy()


def _memory_attention(config: SegmenterConfig) -> MemoryAttention:
    def attention(keys: int, repeat: bool) -> RoPEAttention:
        return RoPEAttention(
            config.dim,
            num_heads=1,
            kv_in_dim=keys,
            rope_k_repeat=repeat,
            feat_sizes=(config.grid, config.grid),
        )

    layer = MemoryAttentionLayer(
        activation="relu",
        cross_attention=attention(config.memory_dim, True),
        d_model=config.dim,
        dim_feedforward=config.memory_feedforward,
        dropout=0.0,
        pos_enc_at_attn=False,
        pos_enc_at_cross_attn_keys=True,
        pos_enc_at_cross_attn_queries=False,
        self_attention=attention(config.dim, False),
    )
    return MemoryAttention(config.dim, True, layer, config.memory_layers)
