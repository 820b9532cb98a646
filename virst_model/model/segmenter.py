"""SAM 2.1's own modules, composed: image encoder, memory attention, mask decoder, memory encoder.

Prompted by embeddings ([ST] prompts) instead of points. The one place of the model that imports
`sam2`; importing it raises PackageError where that cannot be done.
Sources: arXiv 2603.27060 Sec. 3.4, eq. (10)-(12), (17)-(19); arXiv 2408.00714; what
the release does: docs/released.md, facts 20-22, 26, 27 and 31.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
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
from virst_model.model.positions import SinePositions, cell_places, faint_places, number_places
from virst_model.model.rotary import axial_turn, rotate_pairs
from virst_model.model.tables import WeightTable

try:
    from sam2.modeling.backbones.hieradet import Hiera
    from sam2.modeling.backbones.image_encoder import FpnNeck, ImageEncoder
    from sam2.modeling.memory_attention import MemoryAttention, MemoryAttentionLayer
    from sam2.modeling.memory_encoder import CXBlock, Fuser, MaskDownSampler, MemoryEncoder
    from sam2.modeling.sam.mask_decoder import MaskDecoder
    from sam2.modeling.sam.prompt_encoder import PromptEncoder
    from sam2.modeling.sam.transformer import Attention, TwoWayTransformer
    from sam2.modeling.sam2_utils import MLP
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
        self._image_places = WeightTable(_image_places)
        self._slot_places = WeightTable(_slot_places)

    def encode(self, images_B3ss: Tensor) -> FrameFeatures:
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

    def encode_points(self, points_BT2: Tensor) -> Tensor:
        """Points (x, y) in 0..1 of the picture -> (B, T, C), as SAM 2 encodes where a point is."""
        side = self.side
        encoder = self.sam_prompt_encoder.pe_layer
        return encoder.forward_with_coords(points_BT2.clamp(0, 1) * side, (side, side))

    def decode_prompted(
        self,
        features: FrameFeatures,
        prompts_BNC: Tensor,
        previous_logits: Tensor | None = None,
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
        image_BCgg: Tensor,
        sparse: Tensor,
        previous_logits: Tensor | None,
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
            image_pe=self._image_places(
                (encoder.pe_layer.positional_encoding_gaussian_matrix,),
                encoder,
                image_BCgg.dtype,
            ),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense.expand(image_BCgg.shape[0], -1, self.grid, self.grid),
            multimask_output=multimask,
            repeat_image=False,
            high_res_features=[features.s0, features.s1],
        )
        best = _best(scores)
        raw = masks[best].float()
        present = object_score > 0
        pointer = self.obj_ptr_proj(tokens[best])
        return Decoded(
            logits=torch.where(present[..., None], raw, ABSENT_LOGIT),
            raw_logits=raw,
            score=scores[best].float(),
            object_score=object_score[:, 0].float(),
            pointer=torch.where(present, pointer, self.no_obj_ptr),
        )

    def attend(self, s2_BCgg: Tensor, read: MemoryRead) -> Tensor:
        """Memory attention over the valid slots only: features (B, C, g, g), conditioned.

        SAM 2's own forward takes no mask, so its layers are run here: the same arithmetic, with a
        key mask where not all slots are valid, over slots of fixed number.
        """
        tokens, positions, valid = self._memory_tokens(read)
        rotated = read.maps.shape[1] * read.maps.shape[2]
        attention = self.memory_attention
        cells, width = s2_BCgg.shape[-2:], s2_BCgg.shape[1]
        x = s2_BCgg + faint_places(width, *cells, s2_BCgg.device, s2_BCgg.dtype)
        x = x.flatten(2).transpose(1, 2)
        mask = None if valid is None else valid[:, None, None, :]
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
        return attention.norm(x).transpose(1, 2).unflatten(2, cells)

    def _memory_tokens(self, read: MemoryRead) -> tuple[Tensor, Tensor, Tensor | None]:
        """Tokens (B, L, M), their positions, and bool (B, L), None for all; pointers come last."""
        batch, slots, cells, width = read.maps.shape
        map_pos = self._slot_places((self.maskmem_tpos_enc,), slots, self.grid, read.maps.dtype)
        parts = read.pointers.shape[-1] // width
        pointers = read.pointers.reshape(batch, -1, width)
        sine = number_places(read.pointer_time, read.pointers.shape[-1])
        pointer_pos = self.obj_ptr_tpos_proj(sine.to(read.pointers.dtype))
        pointer_pos = pointer_pos.repeat_interleave(parts, dim=1)
        tokens = torch.cat([read.maps.flatten(1, 2), pointers], dim=1)
        positions = torch.cat([map_pos.expand(batch, -1, -1), pointer_pos], dim=1)
        if read.complete:
            return tokens, positions, None
        valid = torch.cat(
            [
                read.map_valid.repeat_interleave(cells, dim=1),
                read.pointer_valid.repeat_interleave(parts, dim=1),
            ],
            dim=1,
        )
        return tokens, positions, valid


class _Trunk(Hiera):
    """SAM 2's, which would resize its table of positions for each image."""

    def __init__(self, **sizes: Any) -> None:
        super().__init__(**sizes)
        self._places = WeightTable(self._resize)

    def _get_pos_embed(self, hw: tuple[int, int]) -> Tensor:
        return self._places((self.pos_embed, self.pos_embed_window), *hw)

    def _resize(self, weights: tuple[Tensor, ...], *hw: int) -> Tensor:
        return super()._get_pos_embed(hw)


def _image_places(
    weights: tuple[Tensor, ...], encoder: PromptEncoder, dtype: torch.dtype
) -> Tensor:
    """(1, C, g, g), as the mask decoder is given them."""
    return encoder.get_dense_pe().to(dtype)


def _slot_places(weights: tuple[Tensor, ...], slots: int, grid: int, dtype: torch.dtype) -> Tensor:
    """Of the cells of all maps of a read: (slots * grid ** 2, M)."""
    (times,) = weights
    fifo = len(times) - 1
    # Anchors share the last temporal index; FIFO slot k (nearest first) has index k - 1.
    anchors = times[-1:].expand(slots - fifo, -1, -1, -1)
    time = torch.cat([anchors, times[:fifo]]).flatten(1)
    space = cell_places(time.shape[1], grid, grid, times.device, dtype)
    return (time[:, None] + space.flatten(2).transpose(1, 2)).flatten(0, 1)


def _best(scores: Tensor) -> tuple[Any, ...]:
    """Index of each pair's best mask; where there is one, nothing is looked for."""
    if scores.shape[1] == 1:
        return slice(None), 0
    return torch.arange(len(scores), device=scores.device), scores.argmax(dim=1)


def _rope_attention(
    attention: Attention,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    rotated: int,
    mask: Tensor | None = None,
) -> Tensor:
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
    turn = axial_turn(cells, q.shape[-1], q.device)
    maps = k[:, :, :rotated].unflatten(2, (-1, cells))
    maps = rotate_pairs(maps, turn).flatten(2, 3)
    # All of them, where all keys are maps.
    k = maps if maps.shape[2] == k.shape[2] else torch.cat([maps, k[:, :, rotated:]], dim=2)
    dropout = attention.dropout_p if attention.training else 0.0
    out = F.scaled_dot_product_attention(rotate_pairs(q, turn), k, v, mask, dropout)
    return attention.out_proj(out.transpose(1, 2).flatten(2))


def _embedding(*shape: int) -> nn.Parameter:
    return nn.Parameter(nn.init.trunc_normal_(torch.zeros(*shape), std=0.02))


def _image_encoder(config: SegmenterConfig) -> ImageEncoder:
    trunk = _Trunk(
        embed_dim=config.embed_dim,
        num_heads=config.num_heads,
        stages=config.stages,
        global_att_blocks=config.global_att_blocks,
        window_spec=config.window_spec,
        window_pos_embed_bkg_spatial_size=config.window_pos_embed_bkg,
    )
    neck = FpnNeck(
        position_encoding=SinePositions(config.dim),
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
        position_encoding=SinePositions(config.memory_dim),
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
