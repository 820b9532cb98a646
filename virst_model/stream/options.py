"""What a stream is followed by: the options of a session."""

import dataclasses
from dataclasses import dataclass

from virst_model.config import CLIP_FRAMES
from virst_model.stream.change import PERIODIC, REGROUND, REGROUND_AFTER_S
from virst_model.stream.track import Pace

# Anchors kept a query.
ANCHORS = 8
# Options that may change while a stream is followed.
ADJUSTABLE = ("window_period_s", "reset_after_s", "grounding_limit_s")


@dataclass(frozen=True)
class SessionOptions:
    """How a stream is followed.

    Attributes:
        window_size: frames of the VLM's window, a multiple of 4.
        window_period_s: seconds of stamps between them.
        reground: PERIODIC, or ON_CHANGE: of a full window, only once masks have stopped agreeing
            with the last answer, or it is old (docs/stream.md, rule 21).
        reground_every: sampled frames between groundings of a full window, a multiple of 4.
        reground_after_s: ON_CHANGE: seconds of stamps after which an answer is old.
        reset_after_s: a stamp so far below the newest starts the stream anew; one that is less
            far back, or equal, is a frame for the tracker and none for the window.
        alpha: anchors that a frame reads, 1..8; None is the model's own.
        encode_when_idle: encode sampled frames without a query, so that the first one starts at
            once, at the price of the encoder's time.
        sync: no thread; the results are a function of frames, stamps and queries alone.
        grounding_delay_frames: in sync mode, processed frames from the start of a grounding to
            its arrival; 0 is the same frame.
        grounder_threads: torch threads of the VLM outside sync mode.
        grounding_limit_s: outside sync mode, seconds after which an answer is overdue: queries
            that have none yet are FAILED until one comes.
        max_queries: bound on `set_queries`.
        captured_queries: of the engine of CUDA graphs: so many queries at once have graphs, whose
            memory grows with them; more run without. None is `max_queries`.
        pace: work beside a camera frame.
    """

    window_size: int = 32
    window_period_s: float = 0.25
    reground: str = PERIODIC
    reground_every: int = 8
    reground_after_s: float = REGROUND_AFTER_S
    reset_after_s: float = 1.0
    alpha: int | None = None
    encode_when_idle: bool = False
    sync: bool = False
    grounding_delay_frames: int = 0
    grounder_threads: int = 1
    grounding_limit_s: float = 60.0
    max_queries: int = 16
    captured_queries: int | None = None
    pace: Pace = dataclasses.field(default_factory=Pace)

    def __post_init__(self) -> None:
        for name in ("window_size", "reground_every"):
            value = getattr(self, name)
            if value < CLIP_FRAMES or value % CLIP_FRAMES:
                raise ValueError(f"{name} must be a multiple of {CLIP_FRAMES}, not {value}")
        if self.reground not in REGROUND:
            raise ValueError(f"reground must be {' or '.join(REGROUND)}, not {self.reground!r}")
        for name in ("window_period_s", "reset_after_s", "reground_after_s"):
            if not getattr(self, name) >= 0:  # also where it is no number
                raise ValueError(f"{name} must not be below 0, not {getattr(self, name)}")
        if self.alpha is not None and not 1 <= self.alpha <= ANCHORS:
            raise ValueError(f"alpha must be 1..{ANCHORS}, not {self.alpha}")
        for name, least in (("grounding_delay_frames", 0), ("grounder_threads", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, not {getattr(self, name)}")
        if not self.grounding_limit_s > 0:
            raise ValueError(f"grounding_limit_s must be above 0, not {self.grounding_limit_s}")
        if not 1 <= self.max_queries <= 255:
            raise ValueError(f"max_queries must be 1..255, not {self.max_queries}")
        if self.captured_queries is not None and self.captured_queries < 1:
            raise ValueError(f"captured_queries must be at least 1, not {self.captured_queries}")

    @property
    def most_captured(self) -> int:
        """Queries at once that have graphs."""
        return min(self.captured_queries or self.max_queries, self.max_queries)
