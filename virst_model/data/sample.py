"""What training takes: some frames of a record, what is asked of them, and the truth."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from virst_model.data.record import Expression, Record
from virst_model.errors import FileError
from virst_model.image_file import read_image

IMAGE, VIDEO = "image", "video"
SEGMENTS, LOG_UNIFORM = "segments", "log_uniform"
SPACINGS = (SEGMENTS, LOG_UNIFORM)
WHOLE = "whole"  # evenly spaced from the first frame to the last


@dataclass(frozen=True)
class Draw:
    """How much of a record is drawn.

    Attributes:
        frames: T; of an image, one is drawn whatever this is.
        sentences: at most.
        spacing: "segments", one frame by lot from each of T equal segments of the video (Sec. 3.3,
            as the release does); or "log_uniform", evenly spaced frames, from one after the other
            to all over the video, every order of magnitude as often, as the window of a stream
            may see it.
    """

    frames: int
    sentences: int
    spacing: str = SEGMENTS

    def __post_init__(self) -> None:
        if self.spacing not in SPACINGS:
            raise ValueError(f"spacing is {self.spacing!r}; known are {', '.join(SPACINGS)}")


@dataclass(frozen=True)
class Sample:
    """T frames and Q sentences. Either `masks_QTHW` or `answers` is there.

    Attributes:
        dataset, record: where it comes from, for messages.
        frames_THW3: T pictures of one size, uint8 RGB; a frame that is repeated is one array.
            Of an image there is one.
        times: of each frame, its place in the record; ascending, and the last one is repeated
            where a video has fewer than T.
        texts: Q sentences.
        masks_QTHW: the truth, bool, of the frames' size.
        answers: Q answers in words.
        modality: "image" (T = 1) or "video".
    """

    dataset: str
    record: str
    frames_THW3: list[np.ndarray]
    times: tuple[int, ...]
    texts: tuple[str, ...]
    masks_QTHW: np.ndarray | None
    answers: tuple[str, ...] | None
    modality: str


def has_truth(record: Record) -> bool:
    """Whether anything of it can be trained on."""
    return bool(record.frames) and any(_is_taught(e) for e in record.expressions)


def draw_sample(dataset: str, record: Record, draw: Draw, rng: np.random.Generator) -> Sample:
    """Draws frames of a record that `has_truth`, and sentences said of them.

    A sentence that is decided by an event is asked only of frames around it; questions with
    answers in words are about the whole video.

    Raises:
        FileError: a frame or a mask cannot be read, or they are not of one size.
    """
    expressions = [e for e in record.expressions if _is_taught(e)]
    in_words = all(e.mask is None for e in expressions)
    frames = 1 if record.still else draw.frames
    spacing = WHOLE if in_words and draw.spacing == LOG_UNIFORM else draw.spacing
    times = _draw_times(len(record.frames), frames, spacing, rng)
    expressions = [e for e in expressions if in_words or e.mask is not None]
    decidable = [e for e in expressions if e.decided == 0 or times[0] <= e.decided <= times[-1]]
    if not decidable:
        times = _draw_times(len(record.frames), frames, WHOLE, rng)
    expressions = _pick(decidable or expressions, draw.sentences, rng)
    pictures = {time: read_image(record.frames[time]) for time in sorted(set(times))}
    _check_sizes(record, pictures.values())
    return Sample(
        dataset=dataset,
        record=record.id,
        frames_THW3=[pictures[time] for time in times],
        times=times,
        texts=tuple(" ".join(e.text.split()) for e in expressions),
        masks_QTHW=None if in_words else _read_masks(record, expressions, times, pictures),
        answers=tuple(e.answer for e in expressions) if in_words else None,
        modality=IMAGE if record.still else VIDEO,
    )


def _is_taught(expression: Expression) -> bool:
    """Whether its truth is known; test splits have sentences without."""
    return expression.mask is not None or expression.answer is not None


def _draw_times(
    length: int, frames: int, spacing: str, rng: np.random.Generator
) -> tuple[int, ...]:
    """`frames` places among `length`, ascending."""
    if length <= frames:
        return tuple(min(time, length - 1) for time in range(frames))
    if spacing == SEGMENTS:
        edges = np.linspace(0, length, frames + 1).astype(int)
        return tuple(rng.integers(edges[:-1], edges[1:]).tolist())
    step = (length - 1) / max(frames - 1, 1)
    if spacing == LOG_UNIFORM:
        step = float(np.exp(rng.uniform(0, np.log(step))))
    start = rng.uniform(0, max(0.0, length - 1 - step * (frames - 1)))
    # A little more: the last frame of the widest spacing would be missed by a rounding.
    return tuple(np.floor(start + step * np.arange(frames) + 1e-9).astype(int).tolist())


def _pick(
    expressions: Sequence[Expression], count: int, rng: np.random.Generator
) -> list[Expression]:
    """At most `count` of them, in an order drawn by lot."""
    order = rng.permutation(len(expressions))[:count]
    return [expressions[int(index)] for index in order]


def _check_sizes(record: Record, pictures: Iterable[np.ndarray]) -> None:
    sizes = sorted({picture.shape[:2] for picture in pictures})
    if len(sizes) > 1:
        raise FileError(
            record.frames[0].parent, f"frames of several sizes, {sizes[0]}, {sizes[1]}"
        )


def _read_masks(
    record: Record,
    expressions: Sequence[Expression],
    times: Sequence[int],
    pictures: dict[int, np.ndarray],
) -> np.ndarray:
    """The truth, bool (Q, T, H, W)."""
    places = {time: place for place, time in enumerate(pictures)}
    size = pictures[times[0]].shape[:2]
    masks = np.empty((len(expressions), len(places), *size), bool)
    for expression, mask_THW in zip(expressions, masks):
        for time, place in places.items():
            mask = expression.mask(time)
            if mask.shape != size:
                reason = f"mask of {mask.shape} for a picture of {size}"
                raise FileError(record.frames[time], reason)
            mask_THW[place] = mask
    return masks[:, [places[time] for time in times]]
