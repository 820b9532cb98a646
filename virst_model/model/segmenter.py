"""SAM 2.1's own modules, composed: image encoder, memory attention, mask decoder, memory encoder.

Prompted by embeddings ([ST] prompts) instead of points. The one place that imports `sam2`;
importing it raises PackageError where that cannot be done.
Sources: arXiv 2603.27060 Sec. 3.4, eq. (10)-(12), (17)-(19); arXiv 2408.00714; what
the release does: docs/released.md, facts 20-22, 26, 27 and 31.
"""

from collections.abc import Callable
import math

import torch
from torch import nn
import torch.nn.functional as F

from virst_model.config import SegmenterConfig
from virst_model.model.features import (
    ABSENT_LOGIT,
    Decoded,
    FrameFeatures,
    MemoryEntry,
    MemoryRead,
)
from virst_model.model.packages import PackageError
from virst_model.model.rotary import rotate_pairs

try:
    from sam2.modeling.backbones.hieradet import Hiera
    from sam2.modeling.backbones.image_encoder import FpnNeck, ImageEncoder
    from sam2.modeling.memory_attention import MemoryAttention, MemoryAttentionLayer
    from sam2.modeling.memory_encoder import CXBlock, Fuser, MaskDownSampler, MemoryEncoder
    from sam2.modeling.position_encoding import PositionEmbeddingSine
    from sam2.modeling.sam.mask_decoder import MaskDecoder
    from sam2.modeling.sam.prompt_encoder import PromptEncoder
    from sam2.modeling.sam.transformer import Attention, TwoWayTransformer
    from sam2.modeling.sam2_utils import MLP, get_1d_sine_pe
except ImportError as error:
    raise PackageError(error) from error

# Mask probabilities enter the memory encoder as sigmoid(logit) * 20 - 10, never binarised.
MEMORY_SCALE, MEMORY_BIAS = 20.0, -10.0


class Segmenter(nn.Module):
    """S_seg, D and h_k of the paper. Parameter names are those of SAM 2."""

    def __init__(self, config: SegmenterConfig) -> None:
        super().__init__()
        dim, memory_dim = config.dim, config.memory_dim
        self.side = config.side
        self.grid = config.grid
        self.multimask = config.multimask
        self.image_encoder = _image_encoder(config)
        self.memory_attention = _memory_attention(config)
        self.memory_encoder = _memory_encoder(config)
        self.sam_prompt_encoder = PromptEncoder(
            embed_dim=dim,
            image_embedding_size=(self.grid, self.grid),
            input_image_size=(self.side, self.side),
            mask_in_chans=16,
        )
        self.sam_mask_decoder = _mask_decoder(config)
        self.obj_ptr_proj = MLP(dim, dim, dim, 3)
        self.obj_ptr_tpos_proj = nn.Linear(dim, memory_dim)
        # The release has this layer (for mask prompts made by hand) and never uses it.
        self.mask_downsample = nn.Conv2d(1, 1, kernel_size=4, stride=4)
        self.maskmem_tpos_enc = _embedding(config.num_maskmem, 1, 1, memory_dim)
        self.no_mem_embed = _embedding(1, 1, dim)
        self.no_mem_pos_enc = _embedding(1, 1, dim)
        self.no_obj_ptr = _embedding(1, dim)
        self.no_obj_embed_spatial = _embedding(1, memory_dim)

    def encode(self, images_B3ss: torch.Tensor) -> FrameFeatures:
        """Normalised square images -> features; raises ValueError for another side."""
        if images_B3ss.shape[-1] != self.side:
            raise ValueError(f"image side {images_B3ss.shape[-1]} is not the model's {self.side}")
        levels = self.image_encoder(images_B3ss)["backbone_fpn"]
        decoder = self.sam_mask_decoder
        s0, s1, s2 = (level.to(images_B3ss.dtype) for level in levels)  # the FPN sums in float32
        return FrameFeatures(decoder.conv_s0(s0), decoder.conv_s1(s1), s2)

    def _apply(self, fn: Callable, recurse: bool = True) -> "Segmenter":
        """Moves and casts as usual, but the frequencies of image positions stay float32.

        Rounded, they would be other positions; the release keeps them, too.
        """
        positions = self.sam_prompt_encoder.pe_layer
        exact = positions.positional_encoding_gaussian_matrix
        super()._apply(fn, recurse)
        moved = positions.positional_encoding_gaussian_matrix
        if moved.dtype != exact.dtype:
            positions.positional_encoding_gaussian_matrix = exact.to(moved.device)
        return self

    def encode_points(self, points_BT2: torch.Tensor) -> torch.Tensor:
        """Points (x, y) in 0..1 of the picture -> (B, T, C), as SAM 2 encodes where a point is."""
        side = self.side
        encoder = self.sam_prompt_encoder.pe_layer
        return encoder.forward_with_coords(points_BT2.clamp(0, 1) * side, (side, side))

    def decode_prompted(
        self,
        features: FrameFeatures,
        prompts_BNC: torch.Tensor,
        previous_logits: torch.Tensor | None = None,
        multimask: bool | None = None,
    ) -> Decoded:
        """Anchor masks from prompts alone, without memory: eq. (10)-(12).

        Args:
            features: B frames.
            prompts_BNC: the [ST] prompts; they replace SAM 2's sparse tokens.
            previous_logits: (B, h, w) of an earlier prompt on the same frame, taken as a dense
                mask prompt (facts 1 and 30: a second anchor on one frame of a padded video).
            multimask: overrides the configured choice of mask tokens.
        """
        image_BCgg = features.s2 + self.no_mem_embed.transpose(1, 2).unsqueeze(-1)
        return self._decode(features, image_BCgg, prompts_BNC, previous_logits, multimask)

    def decode_tracked(
        self, features: FrameFeatures, read: MemoryRead, multimask: bool | None = None
    ) -> Decoded:
        """Masks of B reads from memory: eq. (12).

        Args:
            features: B frames, or one that all reads share.
            read: what each remembers.
            multimask: overrides the configured choice of mask tokens.
        """
        count = read.maps.shape[0]
        if features.s2.shape[0] != count:
            features = FrameFeatures(
                features.s0, features.s1, features.s2.expand(count, -1, -1, -1)
            )
        image_BCgg = self.attend(features.s2, read)
        # What SAM 2 feeds for "no prompt": an explicit padding point and the encoder's own.
        empty = self.sam_prompt_encoder.not_a_point_embed.weight.expand(count, 2, -1)
        return self._decode(features, image_BCgg, empty, None, multimask)

    def encode_memory(self, features: FrameFeatures, decoded: Decoded) -> MemoryEntry:
        """What B masks leave in memory, eq. (17)-(19), with the raw features of their frames.

        Args:
            features: B frames, or one that all masks share; no memory added.
            decoded: the masks; probabilities enter, nothing is binarised (fact 27).
        """
        count = decoded.logits.shape[0]
        masks = F.interpolate(decoded.logits[:, None], (self.side, self.side), mode="bilinear")
        masks = masks.sigmoid() * MEMORY_SCALE + MEMORY_BIAS
        s2_BCgg = features.s2.expand(count, -1, -1, -1)
        maps = self.memory_encoder(s2_BCgg, masks.to(s2_BCgg.dtype), skip_mask_sigmoid=True)
        maps = maps["vision_features"].flatten(2).transpose(1, 2)
        absent = (decoded.object_score <= 0).to(maps.dtype)[:, None, None]
        return MemoryEntry(maps + absent * self.no_obj_embed_spatial, decoded.pointer)

    def _decode(
        self,
        features: FrameFeatures,
        image_BCgg: torch.Tensor,
        sparse: torch.Tensor,
        previous_logits: torch.Tensor | None,
        multimask: bool | None,
    ) -> Decoded:
        multimask = self.multimask if multimask is None else multimask
        encoder = self.sam_prompt_encoder
        if previous_logits is None:
            dense = encoder.no_mask_embed.weight[:, :, None, None]
        else:
            dense = encoder.mask_downscaling(previous_logits.clamp(-32, 32)[:, None])
        masks, scores, tokens, object_score = self.sam_mask_decoder(
            image_embeddings=image_BCgg,
            image_pe=encoder.get_dense_pe().to(image_BCgg.dtype),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense.expand(image_BCgg.shape[0], -1, self.grid, self.grid),
            multimask_output=multimask,
            repeat_image=False,
            high_res_features=[features.s0, features.s1],
        )
        row = torch.arange(masks.shape[0], device=masks.device)
        best = scores.argmax(dim=1)
        raw = masks[row, best].float()
        present = object_score > 0
        pointer = self.obj_ptr_proj(tokens[row, best])
        return Decoded(
            logits=torch.where(present[..., None], raw, ABSENT_LOGIT),
            raw_logits=raw,
            score=scores[row, best].float(),
            object_score=object_score[:, 0].float(),
            pointer=torch.where(present, pointer, self.no_obj_ptr),
        )

    def attend(self, s2_BCgg: torch.Tensor, read: MemoryRead) -> torch.Tensor:
        """Memory attention over the valid slots only: features (B, C, g, g), conditioned.

        SAM 2's own forward takes no mask, so its layers are run here: the same arithmetic, with a
        key mask, over slots of fixed number.
        """
        tokens, positions, valid = self._memory_tokens(read)
        rotated = read.maps.shape[1] * read.maps.shape[2]
        attention = self.memory_attention
        positions_BCgg = self.image_encoder.neck.position_encoding(s2_BCgg).to(s2_BCgg.dtype)
        x = (s2_BCgg + 0.1 * positions_BCgg).flatten(2).transpose(1, 2)
        mask = valid[:, None, None, :]
        for layer in attention.layers:
            y = layer.norm1(x)
            x = x + layer.dropout1(_rope_attention(layer.self_attn, y, y, y, y.shape[1]))
            y = layer.norm2(x)
            y = _rope_attention(
                layer.cross_attn_image, y, tokens + positions, tokens, rotated, mask
            )
            x = x + layer.dropout2(y)
            y = layer.linear2(layer.dropout(layer.activation(layer.linear1(layer.norm3(x)))))
            x = x + layer.dropout3(y)
        return attention.norm(x).transpose(1, 2).unflatten(2, s2_BCgg.shape[-2:])

    def _memory_tokens(self, read: MemoryRead) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Tokens (B, L, M), their positions, and bool (B, L); pointers come last."""
        batch, slots, cells, width = read.maps.shape
        fifo = self.maskmem_tpos_enc.shape[0] - 1
        # Anchors share the last temporal index; FIFO slot k (nearest first) has index k - 1.
        order = [fifo] * (slots - fifo) + list(range(fifo))
        time = self.maskmem_tpos_enc[order].flatten(1)
        shape = (1, width, self.grid, self.grid)
        space = self.memory_encoder.position_encoding(read.maps.new_empty(shape))
        space = space.flatten(2).transpose(1, 2).to(read.maps.dtype)
        map_pos = (time[:, None] + space).flatten(0, 1).expand(batch, -1, -1)

        parts = read.pointers.shape[-1] // width
        pointers = read.pointers.reshape(batch, -1, width)
        sine = get_1d_sine_pe(read.pointer_time, read.pointers.shape[-1])
        pointer_pos = self.obj_ptr_tpos_proj(sine.to(read.pointers.dtype))
        pointer_pos = pointer_pos.repeat_interleave(parts, dim=1)
        tokens = torch.cat([read.maps.flatten(1, 2), pointers], dim=1)
        positions = torch.cat([map_pos, pointer_pos], dim=1)
        valid = torch.cat(
            [
                read.map_valid.repeat_interleave(cells, dim=1),
                read.pointer_valid.repeat_interleave(parts, dim=1),
            ],
            dim=1,
        )
        return tokens, positions, valid


def _rope_attention(
    attention: Attention,
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    rotated: int,
    mask: torch.Tensor | None = None,
) -> torch.Tensor:
    """SAM 2's RoPEAttention with a key mask; the first `rotated` keys get rotary positions.

    `attention` is the plain one, which has the same parameters: the other moves its table to a GPU
    wherever one is visible, whatever the model's device.
    """
    heads = attention.num_heads
    q, k, v = (
        projection(x).unflatten(-1, (heads, -1)).transpose(1, 2)
        for projection, x in ((attention.q_proj, q), (attention.k_proj, k), (attention.v_proj, v))
    )
    cells = q.shape[2]
    cos, sin = _axial_tables(cells, q.shape[-1], q.device)
    maps = k[:, :, :rotated].unflatten(2, (-1, cells))
    maps = rotate_pairs(maps, cos, sin).flatten(2, 3)
    k = torch.cat([maps, k[:, :, rotated:]], dim=2)
    dropout = attention.dropout_p if attention.training else 0.0
    out = F.scaled_dot_product_attention(rotate_pairs(q, cos, sin), k, v, mask, dropout)
    return attention.out_proj(out.transpose(1, 2).flatten(2))


def _axial_tables(
    cells: int, width: int, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosines and sines (cells, width / 2): the first half of the pairs turns with x, then y."""
    side = math.isqrt(cells)
    frequency = 10000.0 ** -(torch.arange(0, width, 4, device=device).float() / width)
    place = torch.arange(cells, device=device)
    angles = torch.cat(
        [
            (place % side)[:, None] * frequency,
            place.div(side, rounding_mode="floor")[:, None] * frequency,
        ],
        dim=1,
    )
    return angles.cos(), angles.sin()


def _embedding(*shape: int) -> nn.Parameter:
    return nn.Parameter(nn.init.trunc_normal_(torch.zeros(*shape), std=0.02))


def _sine_positions(dim: int) -> PositionEmbeddingSine:
    # Without the warm-up, which is of pictures of 1024 and on a GPU wherever one is visible.
    return PositionEmbeddingSine(num_pos_feats=dim, normalize=True, warmup_cache=False)


def _image_encoder(config: SegmenterConfig) -> ImageEncoder:
    trunk = Hiera(
        embed_dim=config.embed_dim,
        num_heads=config.num_heads,
        stages=config.stages,
        global_att_blocks=config.global_att_blocks,
        window_spec=config.window_spec,
        window_pos_embed_bkg_spatial_size=config.window_pos_embed_bkg,
    )
    neck = FpnNeck(
        position_encoding=_sine_positions(config.dim),
        d_model=config.dim,
        backbone_channel_list=trunk.channel_list,
        fpn_top_down_levels=[2, 3],
        fpn_interp_model="nearest",
    )
    return ImageEncoder(trunk=trunk, neck=neck, scalp=1)


def _memory_attention(config: SegmenterConfig) -> MemoryAttention:
    def attention(keys: int) -> Attention:
        return Attention(config.dim, num_heads=1, dropout=config.memory_dropout, kv_in_dim=keys)

    layer = MemoryAttentionLayer(
        activation="relu",
        cross_attention=attention(config.memory_dim),
        d_model=config.dim,
        dim_feedforward=config.memory_feedforward,
        dropout=config.memory_dropout,
        pos_enc_at_attn=False,
        pos_enc_at_cross_attn_keys=True,
        pos_enc_at_cross_attn_queries=False,
        self_attention=attention(config.dim),
    )
    return MemoryAttention(config.dim, True, layer, config.memory_layers)


def _memory_encoder(config: SegmenterConfig) -> MemoryEncoder:
    block = CXBlock(config.dim, layer_scale_init_value=config.fuser_scale)
    return MemoryEncoder(
        out_dim=config.memory_dim,
        in_dim=config.dim,
        mask_downsampler=MaskDownSampler(config.dim, kernel_size=3, stride=2, padding=1),
        fuser=Fuser(block, num_layers=2),
        position_encoding=_sine_positions(config.memory_dim),
    )


def _mask_decoder(config: SegmenterConfig) -> MaskDecoder:
    return MaskDecoder(
        transformer_dim=config.dim,
        transformer=TwoWayTransformer(
            depth=2, embedding_dim=config.dim, mlp_dim=config.decoder_feedforward, num_heads=8
        ),
        iou_head_hidden_dim=config.iou_head_hidden,
        use_high_res_features=True,
        iou_prediction_use_sigmoid=True,
        pred_obj_scores=True,
        pred_obj_scores_mlp=True,
        use_multimask_token_for_obj_ptr=True,
    )
