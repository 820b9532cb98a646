"""The stages of training, as pure data (arXiv 2603.27060).

A stage of the `7b` preset is the paper's. Where the paper gives no number (how many steps), and
for the `tiny` preset throughout, the number is ours.
"""

from dataclasses import dataclass, replace

from virst_model.data.sample import LOG_UNIFORM, SEGMENTS


@dataclass(frozen=True)
class SceneDraws:
    """A micro-batch of synthetic scenes for a model that starts from nothing.

    Attributes:
        scenes: synthetic scenes in a micro-batch.
        sentences: sentences about each scene; 0 trains an encoder alone, with its heads: of the
            clips, or where there are none of the pictures.
        windows: numbers of window frames to draw from, multiples of 4; 4 is padded to 8 with the
            newest frame, as a stream does. Without sentences any number is possible; what is no
            multiple of 4 makes no clips, and its frames are far apart.
        stories: share of the scenes that are stories.
        fused: window frames that the fusion and the decoder see; 0 is all of them.
        tracked: frames after the window that are tracked through memory; 0 trains prompts alone.
        track_share: share of the steps that track at all; tracking costs more than prompts do.
        kinds: how often each kind of sentence is drawn, relative to 1.
        filmed: share of the scenes that are of the camera's world (`synthetic.filmed`).
        in_words: share of the micro-batches that ask questions, answered in words, in place of
            sentences; of windows of the most frames.
    """

    scenes: int
    sentences: int
    windows: tuple[int, ...]
    stories: float = 0.5
    fused: int = 2
    tracked: int = 0
    track_share: float = 1.0
    kinds: tuple[tuple[str, float], ...] = ()
    filmed: float = 0.0
    in_words: float = 0.0


@dataclass(frozen=True)
class CachedDraws:
    """A micro-batch of synthetic windows whose encoders' work is done once (`train.cache`).

    Attributes:
        count: windows that there are, a multiple of 32.
        scenes: windows in a micro-batch; `sentences`: about each.
        windows: numbers of frames to draw a window's from, multiples of 4.
        periods_s: between its frames, from and to.
        least_s: a world is as long as its window, and at least this long: what is said of it is
            to be seen, and things have time to happen.
        stories, filmed: shares of the windows, as in `SceneDraws`.
        fused: window frames that the fusion sees; `anchors`: of these, with masks from prompts.
        kinds: how often each kind of sentence is drawn, relative to 1.
        seed: of the windows; a run's seed is that of the batches.
        in_words: share of the micro-batches that ask questions, as in `SceneDraws`.
    """

    count: int
    scenes: int
    sentences: int
    windows: tuple[int, ...] = (16,)
    periods_s: tuple[float, float] = (0.2, 0.3)
    least_s: float = 4.6
    stories: float = 0.55
    filmed: float = 0.5
    fused: int = 3
    anchors: int = 0
    kinds: tuple[tuple[str, float], ...] = ()
    seed: int = 0
    in_words: float = 0.0

    @property
    def of_windows(self) -> "CachedDraws":
        """What the windows themselves hang on; the rest is as it is nowhere."""
        return replace(self, count=0, scenes=0, sentences=0, anchors=0, kinds=(), in_words=0.0)


@dataclass(frozen=True)
class WindowDraws:
    """A micro-batch of one video (or image) and the sentences about it.

    Attributes:
        windows: numbers of window frames to draw from, multiples of 4; an image is one frame.
        spacing: which frames of the video: "segments", one by lot from each of as many equal
            segments (Sec. 3.3); or "log_uniform" for a model that goes into the node, whose
            window of a stream is evenly spaced and need not hold the whole of what happens
            (`virst_model.data.sample.Draw`).
        anchors: frames whose masks are decoded from prompts, drawn by lot (Alg. 1).
        before, after: frames around each anchor that are segmented through memory (Alg. 1,
            n_prop); none with `propagation` off.
        propagation: whether memory is used at all.
    """

    windows: tuple[int, ...] = (4, 8, 12, 16, 32)
    spacing: str = SEGMENTS
    anchors: int = 3
    before: int = 2
    after: int = 5
    propagation: bool = False


@dataclass(frozen=True)
class Objective:
    """What is minimised: eq. (15) and (16), and what helps a model without a past.

    Attributes:
        occ: weight of the occlusion term; the paper's 0.05 makes "not there" slow to learn.
        heads: weight of the auxiliary heads' terms; 0 leaves the heads out.
        details: weight of the heads' terms on texture and place; needs the heads.
        look: weight of the term on where the fusion looks; needs the heads.
        read: weight of the term on which visual tokens the language model reads for [ST];
            needs scenes, as the heads do.
        raw_masks: the mask terms read the logits before the rule of absent objects, and masks
            without truth are left to the occlusion term; else as in the release.
        distil: weight of the term that has the image encoder make of a filmed picture what the
            encoder that the stage starts from makes of the drawn one.
        point: weight of the terms on where [ST] points, of a model that points.
        tracked_apart: frames through memory have means of their own, which are added; else
            eq. (15): one mean over all segmented frames.
    """

    occ: float = 0.05
    heads: float = 0.0
    details: float = 0.0
    look: float = 0.0
    read: float = 0.0
    raw_masks: bool = False
    tracked_apart: bool = False
    distil: float = 0.0
    point: float = 0.0


@dataclass(frozen=True)
class Build:
    """What a stage changes of the configuration of the model that it starts from.

    Attributes:
        pointing: turns pointing on (`model.pointing`), which is ours and not the paper's; False
            leaves it as it is. A stage of the paper that is told to then trains it, too.
        pairs: `TomeConfig.pairs`, how many tokens merge in a round; 0 leaves it.
        positions: `UmtConfig.positions`; empty leaves it.
        answers: says of the weights that they were taught to answer in words; False leaves it.
    """

    pointing: bool = False
    pairs: int = 0
    positions: str = ""
    answers: bool = False


@dataclass(frozen=True)
class Stage:
    """One stage.

    Attributes:
        trains: patterns (`*` is any text) of the names of the parameters that train, of the
            adapters too; nothing else does. Each must match something.
        frozen: patterns of names that do not train although `trains` has them.
        adapters: LoRA on the language model, and a row of its own for [ST].
        steps: steps of the optimiser.
        accumulate: micro-batches that a process adds up for a step.
        lr: peak learning rate (AdamW), after `warmup` steps.
        schedule: "constant", or falling to `final` of the peak: "linear", or a half "cosine".
        clip: norm of the gradient above which it is scaled down.
        checkpointing: computes activations again in the backward pass, to save memory.
        draws: what a micro-batch is.
        build: what the model is changed to before it trains.
        absence: when it has trained, the score from which on an object is there is chosen on
            held-out worlds (`train.absence`).
    """

    name: str
    trains: tuple[str, ...]
    draws: SceneDraws | CachedDraws | WindowDraws
    objective: Objective
    steps: int
    lr: float
    schedule: str
    frozen: tuple[str, ...] = ()
    adapters: bool = True
    accumulate: int = 1
    warmup: int = 100
    final: float = 0.0
    weight_decay: float = 0.0
    betas: tuple[float, float] = (0.9, 0.999)
    clip: float = 1.0
    checkpointing: bool = False
    build: Build = Build()
    absence: bool = False


SCHEDULES = ("constant", "linear", "cosine")

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

# Last, all together: both encoders, too, and frames through memory, with hiding and coming back.
_FOLLOW = replace(
    TRUNKS[-1],
    name="follow",
    frozen=("occ_predictor.*",),
    draws=replace(TRUNKS[-1].draws, filmed=0.55, windows=(4, 8, 16, 16, 24)),
    objective=Objective(point=0.5, raw_masks=True, tracked_apart=True, occ=0.3),
    steps=1300,
    lr=5e-4,
    schedule="linear",
    final=0.03,
    absence=True,
)
# How [ST] learns to point, on the encoders of `EYES`, then fusion and decoder to look there, and
# then all of it to follow.
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
