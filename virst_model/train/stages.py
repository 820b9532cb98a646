"""The stages of training, as pure data (arXiv 2603.27060).

A stage of the `7b` preset is the paper's. Where the paper gives no number (how many steps), and
for the `tiny` preset throughout, the number is ours.
"""

from dataclasses import replace

from virst_model.data.sample import LOG_UNIFORM
from virst_model.train.stage import (
    Build,
    CachedDraws,
    Objective,
    SceneDraws,
    Stage,
    WindowDraws,
)

FUSION = ("initial_fusion.*", "second_fusion.*")
ST_ROW = ("vlm.llm.model.embed_tokens.token_adapter.trainable_tokens_delta.*",)
LANGUAGE = ("vlm.llm.lm_head.*", "vlm.llm.model.layers.*.lora_[AB].*")
MASKS = (
    "segmenter.sam_mask_decoder.*",
    "segmenter.memory_attention.*",
    "segmenter.memory_encoder.*",
)
PROJECTOR = ("vlm.projector.*",)

_ALIGNED = (*FUSION, *ST_ROW, *LANGUAGE)
_SEGMENTING = (*_ALIGNED, *MASKS, *PROJECTOR)

ALIGNMENT = Stage(
    name="alignment",
    trains=_ALIGNED,
    draws=WindowDraws(),
    objective=Objective(),
    steps=2000,
    lr=2e-4,
    schedule="constant",
    accumulate=16,
    checkpointing=True,
)
FEW_IMAGE = replace(ALIGNMENT, name="few_image", trains=_SEGMENTING, steps=4000, schedule="linear")
PROPAGATION = replace(
    FEW_IMAGE, name="propagation", draws=WindowDraws(propagation=True), steps=2000, lr=1e-5
)


def _tiny(stage: Stage, lr: float, steps: int) -> Stage:
    """The same stage for a model of a few million parameters, on a CPU; for the node."""
    return replace(
        stage,
        draws=replace(stage.draws, spacing=LOG_UNIFORM),
        lr=lr,
        steps=steps,
        accumulate=4,
        checkpointing=False,
        objective=replace(stage.objective, raw_masks=True),
    )


_SCRATCH = Stage(
    name="trunks",
    trains=("*",),
    draws=SceneDraws(
        scenes=8, sentences=4, windows=(4,), kinds=(("motion", 0.3), ("position", 0.7))
    ),
    objective=Objective(heads=1.0, look=0.5, read=0.5, raw_masks=True, tracked_apart=True),
    steps=1300,
    lr=6e-4,
    schedule="cosine",
    adapters=False,
    warmup=200,
    final=0.8,
    weight_decay=0.02,
    betas=(0.9, 0.98),
)
_NO_ENCODER = replace(
    _SCRATCH,
    frozen=("segmenter.image_encoder.*",),
    lr=1e-3,
    warmup=50,
)

# What the tiny model learns before it can take the paper's stages, in order.
TRUNKS = (
    _SCRATCH,
    replace(
        _SCRATCH,
        name="encoder",
        draws=SceneDraws(scenes=16, sentences=0, windows=(3,), stories=0.7),
        steps=1500,
        lr=1e-3,
        final=0.3,
    ),
    replace(
        _NO_ENCODER,
        name="clips",
        trains=("vlm.umt.*",),
        frozen=(),
        draws=SceneDraws(scenes=24, sentences=0, windows=(4,), stories=0.8),
        steps=2600,
        final=0.1,
    ),
    replace(_NO_ENCODER, name="alignment", steps=900, final=0.6),
    replace(
        _NO_ENCODER,
        name="tracking",
        frozen=("segmenter.image_encoder.*", "vlm.umt.*"),
        draws=SceneDraws(
            scenes=6,
            sentences=10,
            windows=(4, 4, 8, 16, 24),
            stories=0.6,
            fused=3,
            tracked=3,
            track_share=0.3,
            kinds=(
                ("motion", 1.5),
                ("story_motion", 1.5),
                ("story_relation", 1.3),
                ("none", 1.5),
                ("story_none", 1.5),
            ),
        ),
        objective=replace(_SCRATCH.objective, heads=0.7, occ=0.3),
        steps=1600,
        final=0.1,
    ),
)

# How the tiny model learns to see before a camera: its two encoders, each with its heads.
EYES = (
    replace(
        _SCRATCH,
        name="pictures",
        trains=("segmenter.image_encoder.*", "segmenter.sam_mask_decoder.conv_s*"),
        draws=SceneDraws(scenes=8, sentences=0, windows=(3,), stories=0.65, filmed=0.8),
        objective=Objective(heads=1.0, details=1.0, distil=2.0),
        steps=6000,
        schedule="linear",
        warmup=50,
        final=0.03,
    ),
    replace(
        _NO_ENCODER,
        name="clips",
        trains=("vlm.umt.*",),
        frozen=(),
        draws=SceneDraws(scenes=12, sentences=0, windows=(8,), stories=0.7, filmed=0.7),
        objective=Objective(heads=1.0, details=1.0),
        steps=4000,
        schedule="linear",
        final=0.03,
        build=Build(positions="plane"),
    ),
)

_TOLD = (
    *(("motion", 2.0), ("story_motion", 2.0), ("story_relation", 2.0)),
    *(("none", 1.5), ("story_none", 1.5), ("story_time", 1.5)),
)
_POINT = replace(
    _SCRATCH,
    name="point",
    trains=("vlm.llm.model.*", "vlm.projector.*", "initial_fusion.*", "pointing.*"),
    frozen=("pointing.to_*",),
    draws=CachedDraws(count=6400, scenes=4, sentences=8, kinds=_TOLD),
    objective=Objective(point=1.0, raw_masks=True),
    steps=6000,
    lr=1e-3,
    schedule="linear",
    warmup=60,
    final=0.03,
    build=Build(pointing=True, pairs=32),
)

# [ST] goes on pointing, and masks follow, while the language model learns to answer questions.
_WORDS = replace(
    _POINT,
    name="words",
    trains=(
        *_POINT.trains,
        *("vlm.llm.lm_head.*", "second_fusion.*", "segmenter.sam_mask_decoder.*"),
    ),
    frozen=("segmenter.sam_mask_decoder.conv_s*",),
    draws=replace(
        _POINT.draws, count=3200, windows=(24,), stories=0.5, anchors=2, in_words=0.7, seed=1
    ),
    objective=Objective(point=1.0, raw_masks=True, occ=0.3, read=2.0, ce=20.0),
    steps=5000,
    # `build.answers=true` says that weights answer, once `virst evaluate --questions` shows it.
    build=Build(),
)
# Last, all together: both encoders, too, and frames through memory, with hiding and coming back.
_FOLLOW = replace(
    TRUNKS[-1],
    name="follow",
    frozen=("occ_predictor.*",),
    draws=replace(TRUNKS[-1].draws, filmed=0.65, windows=(4, 8, 16, 16, 24), in_words=0.15),
    objective=Objective(point=0.5, raw_masks=True, tracked_apart=True, occ=0.3, read=2.0, ce=20.0),
    steps=1300,
    lr=5e-4,
    schedule="linear",
    final=0.03,
    absence=True,
)
# How [ST] learns to point, on the encoders of `EYES`, then fusion and decoder to look there, the
# language model to answer, and all of it to follow.
POINTING = (
    _POINT,
    replace(
        _POINT,
        name="masks",
        trains=("second_fusion.*", "segmenter.sam_mask_decoder.*", "pointing.to_*"),
        frozen=("segmenter.sam_mask_decoder.conv_s*",),
        draws=replace(_POINT.draws, scenes=3, sentences=6, anchors=2),
        objective=Objective(raw_masks=True, occ=0.3),
        steps=2500,
        build=Build(),
    ),
    _WORDS,
    _FOLLOW,
)

# Stage and preset -> the stages that are trained, each from the one before.
STAGES = {
    ("trunks", "tiny"): TRUNKS,
    ("eyes", "tiny"): EYES,
    ("pointing", "tiny"): POINTING,
    ("alignment", "7b"): (ALIGNMENT,),
    ("alignment", "tiny"): (_tiny(ALIGNMENT, lr=1e-3, steps=400),),
    ("few_image", "7b"): (FEW_IMAGE,),
    ("few_image", "tiny"): (_tiny(FEW_IMAGE, lr=5e-4, steps=800),),
    ("propagation", "7b"): (PROPAGATION,),
    ("propagation", "tiny"): (_tiny(PROPAGATION, lr=2e-4, steps=400),),
}
