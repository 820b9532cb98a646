"""What a stage of training is: what trains, on what it is drawn, and what is minimised."""

from dataclasses import dataclass, replace

from virst_model.data.sample import SEGMENTS

SCHEDULES = ("constant", "linear", "cosine")


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
        windows: numbers of frames to draw a window's from, multiples of 4, 8 or more.
        periods_s: between its frames, from and to.
        least_s: a world is as long as its window, and at least this long: what is said of it is
            to be seen, and things have time to happen.
        stories, filmed: shares of the windows, as in `SceneDraws`.
        fused: window frames that the fusion sees; `anchors`: of these, with masks from prompts.
        kinds: how often each kind of sentence is drawn, relative to 1.
        seed: of the windows; a run's seed is that of the batches.
        in_words: share of the micro-batches that ask questions in place of sentences, as many.
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
        ce: weight of the term on the language model's tokens. Nine of ten of them are the frame of
            the conversation, so that a word of an answer weighs a tenth of it.
        occ: weight of the occlusion term; the paper's 0.05 makes "not there" slow to learn.
        heads: weight of the auxiliary heads' terms; 0 leaves the heads out.
        details: weight of the heads' terms on texture and place; needs the heads.
        look: weight of the term on where the fusion looks; needs the heads.
        read: weight of the term on which visual tokens the language model reads for [ST], or
            where the model points for its answers in words; needs scenes, as the heads do.
        raw_masks: the mask terms read the logits before the rule of absent objects, and masks
            without truth are left to the occlusion term; else as in the release.
        distil: weight of the term that has the image encoder make of a filmed picture what the
            encoder that the stage starts from makes of the drawn one.
        point: weight of the terms on where [ST] points, of a model that points.
        tracked_apart: frames through memory have means of their own, which are added; else
            eq. (15): one mean over all segmented frames.
    """

    ce: float = 1.0
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
        pointing: turns pointing on (`model.pointing`), which is ours and not the paper's. A stage
            of the paper then trains it, too, and so it does from weights that point; where False
            is said, the pointer of such stays as it is.
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
