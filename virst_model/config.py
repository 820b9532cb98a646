"""Every size and switch of VIRST, as frozen dataclasses; two presets of one code path."""

import dataclasses
from dataclasses import dataclass, field
from typing import Any

ST_TOKENS = 10  # N, Sec. 3.2
CLIP_FRAMES = 4  # of the clip encoder; an image is a clip of one
# Of a video the language model never sees fewer; what is missing is the newest frame again.
LEAST_FRAMES = 2 * CLIP_FRAMES
MOST_ALPHA = 8  # what a stream keeps of anchors
POSITIONS = ("row", "plane")
# What the switches of BehaviourConfig may say.
CHOICES = {
    "anchors": ("dynamic", "first", "random3", "uniform3", "guided"),
    "anchor_rule": ("nearest", "released"),
    "modality": ("video", "image"),
    "sampling": ("middle", "random"),
    "tracking_resize": ("bilinear", "bicubic"),
    "training_order": ("anchors_first", "by_index"),
    "train_token": ("read", "single"),
}


@dataclass(frozen=True)
class UmtConfig:
    """UMT clip encoder.

    Attributes:
        side: height and width of the input in pixels, a multiple of patch.
        depth: blocks that run. The release configures 24 and stops one short: 23.
        base_grid, base_frames: size of the position table that the weights were trained with.
        stem: channels of the convolutions before the last one of a stem; none: the release's
            projection of each patch.
        positions: "row": the release's table, in which all places are numbered in one row, so that
            hardly anything tells columns apart; "plane": t, y and x have channels of their own.
    """

    side: int
    patch: int
    dim: int
    depth: int
    heads: int
    clip_frames: int = CLIP_FRAMES
    mlp_ratio: float = 4.0
    base_grid: int = 14
    base_frames: int = 4
    stem: tuple[int, ...] = ()
    positions: str = "row"

    def __post_init__(self) -> None:
        if self.positions not in POSITIONS:
            known = ", ".join(POSITIONS)
            raise ValueError(f"umt: positions is {self.positions!r}; known are {known}")


@dataclass(frozen=True)
class TomeConfig:
    """ToMe projector: merges a clip's tokens down to `tokens`; `heads` are those of the UMT.

    Attributes:
        pairs: tokens that are merged into others in one round, at most; 0 is half of them, as the
            release has it. Of a small picture every second token then must merge in the first
            round, however unlike its partner.
    """

    heads: int
    tokens: int = 64
    pairs: int = 0


@dataclass(frozen=True)
class LlmConfig:
    """Qwen2 (through transformers); the names are short forms of those of its config.

    Attributes:
        hidden: width D.
        vocab: rows of the embedding, at least as many as the tokenizer has entries.
        tie_embeddings: the head that makes logits is the embedding.
        max_length: most tokens of a conversation, the visual ones among them.
        init_std: of random weights.
    """

    hidden: int
    layers: int
    heads: int
    kv_heads: int
    intermediate: int
    vocab: int
    rope_theta: float = 1e6
    rms_eps: float = 1e-6
    tie_embeddings: bool = False
    max_length: int = 4096
    init_std: float = 0.02


@dataclass(frozen=True)
class FusionConfig:
    """Spatio-Temporal Fusion. `initial` and `second` are the rows of Table 4."""

    initial: bool = True
    second: str = "attention"  # or "mlp"
    grid: int = 8
    heads: int = 8
    layers: int = 2
    dropout: float = 0.1


@dataclass(frozen=True)
class SegmenterConfig:
    """SAM 2.1's modules and the TDAU's memory sizes.

    Attributes:
        multimask: read SAM 2's three mask tokens and take the best (what the release does), or the
            single-mask token.
        fuser_scale: initial layer scale of the memory encoder's fuser; SAM 2's 1e-6 only matters
            to a model trained from nothing.
    """

    side: int
    embed_dim: int
    num_heads: int
    stages: tuple[int, ...]
    global_att_blocks: tuple[int, ...]
    window_spec: tuple[int, ...]
    window_pos_embed_bkg: tuple[int, int] = (7, 7)
    dim: int = 256
    memory_dim: int = 64
    memory_layers: int = 4
    memory_feedforward: int = 2048
    memory_dropout: float = 0.1
    decoder_feedforward: int = 2048
    iou_head_hidden: int = 256
    num_maskmem: int = 7  # P
    multimask: bool = True
    fuser_scale: float = 1e-6

    @property
    def grid(self) -> int:
        """Side of the stride-16 feature map."""
        return self.side // 16


@dataclass(frozen=True)
class BehaviourConfig:
    """Where the paper and the released code part. `behaviour(name)` sets all; each can be set.

    docs/released.md says of each what the two do, and why the default is what it is.
    Whether the Initial ST-Fusion runs belongs to the model: `FusionConfig.initial`.

    Attributes:
        name: "paper" or "released", where the values came from.
        alpha: anchors that a frame attends to.
        anchors: which frames of a window are anchor candidates (Table 5): "dynamic" (Alg. 2),
            "first", "random3", "uniform3", or "guided", the frame of the best outside score, which
            a stream refuses.
        anchor_rule: "nearest" (Alg. 2) or "released" (nearest before, nearest at or after, rest).
        fifo_holes: a selected anchor inside the FIFO leaves a hole (True) or is read twice.
        memory_bf16: memory maps are rounded to bfloat16, as the released code does.
        max_pointers: object pointers of a read, the current frame counted.
        modality: "video" or "image", the word after "Reference" in the prompt.
        sampling: offline, one frame from each of equal segments: the "middle" or a "random" one.
        vlm_frames: offline, most frames that the language model sees.
        stf_frames: offline, most frames that fusion and anchors see, a subset of the former.
        pad_short: offline, videos of 1-7 frames are padded to 8 with the last.
        tracking_resize: offline, how frames that are segmented are resized to SAM's side:
            "bilinear", as those that the fusion sees, or "bicubic".
        random_templates: offline, question and answer wordings are drawn by lot.
        training_order: "anchors_first" (eq. (14)), or "by_index", where a frame sees the first
            anchor and whatever comes before it.
        iou_twice: the IoU term counts twice in the training loss; once in eq. (16).
        train_token: which of the mask decoder's tokens trains: the one that inference "read"s
            (`SegmenterConfig.multimask`), or the "single"-mask token, whatever is read.
    """

    name: str = "paper"
    alpha: int = 3
    anchors: str = "dynamic"
    anchor_rule: str = "nearest"
    fifo_holes: bool = True
    memory_bf16: bool = False
    max_pointers: int = 16
    modality: str = "video"
    sampling: str = "middle"
    vlm_frames: int = 32
    stf_frames: int = 32
    pad_short: bool = False
    tracking_resize: str = "bilinear"
    random_templates: bool = False
    training_order: str = "anchors_first"
    iou_twice: bool = False
    train_token: str = "read"

    def __post_init__(self) -> None:
        for switch, known in CHOICES.items():
            if getattr(self, switch) not in known:
                value = getattr(self, switch)
                raise ValueError(f"behaviour: {switch} is {value!r}; known are {', '.join(known)}")
        if not 1 <= self.alpha <= MOST_ALPHA:
            raise ValueError(f"behaviour: alpha is {self.alpha}, must be 1..{MOST_ALPHA}")


def behaviour(name: str) -> BehaviourConfig:
    """All switches of one name: "paper" or "released"; raises ValueError for another."""
    if name == "paper":
        return BehaviourConfig()
    if name == "released":
        return BehaviourConfig(
            name="released",
            anchor_rule="released",
            memory_bf16=True,
            modality="image",
            sampling="random",
            vlm_frames=64,
            pad_short=True,
            tracking_resize="bicubic",
            random_templates=True,
            training_order="by_index",
            iou_twice=True,
            train_token="single",
        )
    raise ValueError(f"unknown behaviour {name!r}; known are paper, released")


@dataclass(frozen=True)
class VirstConfig:
    """A whole model.

    Attributes:
        known_words: what was trained with; empty where that is no short list.
        answers: the language model was taught to answer in words, too (D.3).
        pointing: [ST] says where in the clips its target is (`model.pointing`); ours, not the
            paper's.
    """

    preset: str
    umt: UmtConfig
    tome: TomeConfig
    llm: LlmConfig
    segmenter: SegmenterConfig
    fusion: FusionConfig = field(default_factory=FusionConfig)
    behaviour: BehaviourConfig = field(default_factory=BehaviourConfig)
    known_words: tuple[str, ...] = ()
    answers: bool = False
    pointing: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Nested dicts, as JSON takes them; `configure.parse_config` is its inverse."""
        return dataclasses.asdict(self)


def with_alpha(config: VirstConfig, alpha: int | None) -> VirstConfig:
    """The same model, of which a frame reads so many anchors; None as it is."""
    if alpha is None:
        return config
    behaviour = dataclasses.replace(config.behaviour, alpha=alpha)
    return dataclasses.replace(config, behaviour=behaviour)


def tiny(vocab: int = 1024, known_words: tuple[str, ...] = ()) -> VirstConfig:
    """The embedded default: real time on two CPU cores."""
    return VirstConfig(
        preset="tiny",
        umt=UmtConfig(
            side=128, patch=16, dim=128, depth=3, heads=4, base_grid=8, stem=(16, 32, 64)
        ),
        tome=TomeConfig(heads=4),
        llm=LlmConfig(128, 3, 4, 2, 320, vocab, rope_theta=1e4, init_std=0.06),
        segmenter=SegmenterConfig(
            side=128,
            embed_dim=32,
            num_heads=1,
            stages=(1, 2, 3, 1),
            global_att_blocks=(4, 5),
            window_spec=(8, 4, 8, 4),
            dim=128,
            memory_dim=32,
            memory_layers=2,
            memory_feedforward=256,
            memory_dropout=0.0,
            decoder_feedforward=512,
            iou_head_hidden=128,
            multimask=False,
            fuser_scale=0.1,
        ),
        fusion=FusionConfig(dropout=0.0),
        known_words=known_words,
    )


def full(vocab: int = 151647) -> VirstConfig:
    """The paper's sizes: VideoChat-Flash-Qwen2-7B (UMT-L at 448) and SAM 2.1 Hiera-L at 1024."""
    return VirstConfig(
        preset="7b",
        umt=UmtConfig(side=448, patch=16, dim=1024, depth=23, heads=16),
        tome=TomeConfig(heads=16),
        llm=LlmConfig(3584, 28, 28, 4, 18944, vocab),
        segmenter=SegmenterConfig(
            side=1024,
            embed_dim=144,
            num_heads=2,
            stages=(2, 6, 36, 4),
            global_att_blocks=(23, 33, 43),
            window_spec=(8, 4, 16, 8),
        ),
        answers=True,
    )
