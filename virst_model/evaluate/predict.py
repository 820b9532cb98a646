"""Runs a model over a record: the whole video at once, or frame by frame as a robot sees it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields

from virst_model.answer import SEARCHING, Query, StepResult
from virst_model.data.record import Expression, Record
from virst_model.errors import FileError
from virst_model.evaluate.predictions import Outcome, Predictions, write_mask
from virst_model.frames import Frames, ImageFiles, StillImage, read_image
from virst_model.model.virst import Virst
from virst_model.offline.video import MOST_TEXTS, Scorer, segment_video
from virst_model.stream.options import SessionOptions
from virst_model.stream.session import Session

MODES = ("offline", "streaming")
# Masks of a frame, and how many answers of the language model each expression has had by then;
# None offline.
Step = tuple[StepResult, Sequence[int | None]]


@dataclass(frozen=True)
class Pass:
    """How a record is run.

    Attributes:
        mode: "offline" looks at the whole video first; "streaming" is strictly causal.
        fps: frames a second of a stream; the data sets' frames come at 5 or 6.
        delay: frames that a grounding takes in a stream.
        reground, reground_after_s: of a stream, as SessionOptions has them.
        seed: of whatever is drawn by lot offline.
        annotators: 0, or how many people described each object in turn (Ref-DAVIS17: 4); then the
            masks of one person's sentences exclude each other, the higher logit wins.
        protocol: of a data set that has several (protocols.py); empty is its default.
        scorer: what `guided` anchors are chosen by, offline.
    """

    mode: str = "offline"
    fps: float = 6.0
    delay: int = 1
    seed: int = 0
    annotators: int = 0
    protocol: str = ""
    reground: str = SessionOptions.reground
    reground_after_s: float = SessionOptions.reground_after_s
    scorer: Scorer | None = None

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ValueError(f"mode is {self.mode!r}; known are {', '.join(MODES)}")
        if self.fps <= 0:
            raise ValueError(f"fps must be above 0, not {self.fps}")

    def settings(self) -> dict[str, object]:
        """All but the scorer, JSON-able: what masks depend on."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name != "scorer"}


def predict(
    model: Virst,
    record: Record,
    predictions: Predictions,
    run: Pass,
    seen: Callable[[], object] = lambda: None,
) -> int:
    """Does what is not done of a record; how many expressions that were.

    All of them share the frames' features, so that a frame is encoded once.

    Args:
        seen: called for every frame that is answered; `steps_left` says how often.

    Raises:
        FileError: a frame cannot be read; more objects than one group takes.
        ResultsError: a mask cannot be written.
    """
    groups = _groups(record, predictions, run)
    if any(len(group) > _most(run) for group in groups):
        raise FileError(record.id, f"more than {_most(run)} objects for a {run.mode} run")
    for group in groups:
        _predict(model, record, group, predictions, run, seen)
    return sum(map(len, groups))


def steps_left(record: Record, predictions: Predictions, run: Pass) -> int:
    """Frames that `predict` has to answer: all of the record's, for each group of expressions."""
    return len(record.frames) * len(_groups(record, predictions, run))


def _most(run: Pass) -> int:
    """Expressions that are run together, at most."""
    return SessionOptions().max_queries if run.mode == "streaming" else MOST_TEXTS


def _groups(record: Record, predictions: Predictions, run: Pass) -> list[list[Expression]]:
    """What is not done, as it is run together."""
    todo, most = predictions.missing(record), _most(run)
    if not run.annotators:
        return [todo[start : start + most] for start in range(0, len(todo), most)]
    # Exclusive masks are made together: a group that lacks one is done anew.
    whole = [record.expressions[person :: run.annotators] for person in range(run.annotators)]
    return [list(group) for group in whole if set(group) & set(todo)]


def frames_of(record: Record) -> Frames:
    """A record's pictures as a video or, where it is a still image, as that."""
    if record.still:
        return StillImage(record.id, record.frames[0])
    return ImageFiles(record.id, list(record.frames))


def _predict(
    model: Virst,
    record: Record,
    expressions: list[Expression],
    predictions: Predictions,
    run: Pass,
    seen: Callable[[], object],
) -> None:
    folders = [predictions.begin(record, expression) for expression in expressions]
    steps = _stream if run.mode == "streaming" else _whole
    first: list[int | None] = [None] * len(expressions)
    groundings: Sequence[int | None] = [None] * len(expressions)
    count = 0
    for step in steps(model, record, expressions, run):
        result, groundings = step
        index, count = count, count + 1
        for place, answer in enumerate(result.results):
            mask_HW = answer.mask_HW
            if run.annotators:
                mask_HW = result.labels_HW == answer.label
            write_mask(folders[place], record.frames[index], mask_HW)
            if first[place] is None and answer.state != SEARCHING:
                first[place] = index
        seen()
    if count < len(record.frames):
        raise FileError(record.id, f"{count} answers for {len(record.frames)} frames")
    for expression, answered, number in zip(expressions, first, groundings, strict=True):
        rate = None if number is None else 60 * number * run.fps / count
        predictions.end(record, expression, Outcome(count, answered, rate))


def _whole(
    model: Virst, record: Record, expressions: list[Expression], run: Pass
) -> Iterator[Step]:
    frames = frames_of(record)
    texts = [expression.text for expression in expressions]
    for picture, result in segment_video(model, frames, texts, run.seed, run.scorer):
        if picture.source != picture.index:  # another stood in for it, which no score may hide
            read_image(record.frames[picture.index])
        yield result, [None] * len(texts)


def _stream(
    model: Virst, record: Record, expressions: list[Expression], run: Pass
) -> Iterator[Step]:
    queries = tuple(Query(i + 1, e.text, i + 1) for i, e in enumerate(expressions))
    options = SessionOptions(
        sync=True,
        grounding_delay_frames=run.delay,
        reground=run.reground,
        reground_after_s=run.reground_after_s,
    )
    with Session(model, options) as session:
        session.set_queries(queries)
        for frame in ImageFiles(record.id, list(record.frames)):
            result = session.step(frame.read(), frame.index / run.fps)
            assert result is not None  # there are queries
            yield result, [track.answers for track in session.tracks]
