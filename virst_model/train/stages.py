"""The stages of the tiny model's training, as pure data."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Stage:
    """One stage.

    Attributes:
        minutes: wall time that it gets.
        scenes: synthetic scenes in a step.
        sentences: sentences about each scene; 0 trains the image encoder alone, with the heads.
        windows: numbers of window frames to draw from, multiples of 4; 4 is padded to 8 with the
            newest frame, as a stream does.
        fused: window frames that the fusion and the decoder see; 0 is all of them.
        tracked: frames after the window that are tracked through memory; 0 trains prompts alone.
        track_share: share of the steps that track at all; tracking costs more than prompts do.
        lr: peak learning rate (AdamW), after `warmup` steps, then falling as a half cosine to
            `final` of it.
        heads: weight of the auxiliary heads' losses.
        look: weight of the loss on where the fusion looks.
        occ: weight of the occlusion term; the paper's 0.05 makes "not there" slow to learn.
        frozen: prefixes of parameter names that do not train; each must match something.
        kinds: how often each kind of sentence is drawn, relative to 1.
    """

    name: str
    minutes: float
    scenes: int
    sentences: int
    windows: tuple[int, ...]
    fused: int
    tracked: int
    lr: float
    final: float
    heads: float
    look: float
    warmup: int = 200
    track_share: float = 1.0
    occ: float = 0.05
    frozen: tuple[str, ...] = ()
    kinds: tuple[tuple[str, float], ...] = ()


TINY = (
    Stage(
        name="trunks",
        minutes=20,
        scenes=8,
        sentences=4,
        windows=(4,),
        fused=2,
        tracked=0,
        lr=6e-4,
        final=0.8,
        heads=1.0,
        look=0.0,
        kinds=(("motion", 0.3), ("position", 0.7)),
    ),
    Stage(
        name="encoder",
        minutes=15,
        scenes=16,
        sentences=0,
        windows=(3,),
        fused=0,
        tracked=0,
        lr=1e-3,
        final=0.3,
        heads=1.0,
        look=0.0,
    ),
    Stage(
        name="alignment",
        minutes=13,
        scenes=8,
        sentences=4,
        windows=(4,),
        fused=2,
        tracked=0,
        lr=1e-3,
        final=0.4,
        heads=1.0,
        look=0.5,
        frozen=("segmenter.image_encoder.",),
        kinds=(("motion", 0.3), ("position", 0.7)),
    ),
    Stage(
        name="tracking",
        minutes=20,
        scenes=8,
        sentences=4,
        windows=(4,),
        fused=2,
        tracked=3,
        lr=1e-3,
        final=0.5,
        heads=0.7,
        look=0.5,
        warmup=50,
        track_share=0.3,
        frozen=("segmenter.image_encoder.",),
        kinds=(("motion", 0.3), ("position", 0.7)),
    ),
    Stage(
        name="propagation",
        minutes=15,
        scenes=4,
        sentences=4,
        windows=(4, 4, 8, 16),
        fused=0,
        tracked=3,
        lr=7e-4,
        final=0.05,
        heads=0.5,
        look=0.3,
        warmup=50,
        track_share=0.7,
        occ=0.3,
        frozen=("segmenter.image_encoder.",),
    ),
)
