"""What training takes: some frames of a record, what is asked of them, and the truth."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from virst_model.data.picture import read_picture
from virst_model.data.record import DataError, Expression, Record

IMAGE, VIDEO = "image", "video"


@dataclass(frozen=True)
class Sample:
    """T frames and Q sentences. Either `masks_QTHW` or `answers` is there.

    Attributes:
        dataset, record: where it comes from, for messages.
        frames_THW3: T pictures of one size, uint8 RGB; a frame that is repeated is one array.
        times: of each frame, its place in the record; ascending, and the last one is repeated
            where the record has fewer than T.
        texts: Q sentences.
        masks_QTHW: the truth, bool, of the frames' size.
        answers: Q answers in words.
        modality: "image" (one picture, T times) or "video".
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


def draw_sample(
    dataset: str, record: Record, frames: int, sentences: int, rng: np.random.Generator
) -> Sample:
    """Draws `frames` of a record that `has_truth` and at most `sentences` said of them.

    Where the record has more frames, they are evenly spaced: from one after the other to all over
    the video, every order of magnitude as often. A sentence that is decided by an event is asked
    only of frames around it; questions with answers in words are about the whole video.

    Raises:
        DataError: a frame or a mask cannot be read, or they are not of one size.
    """
    said = [e for e in record.expressions if _is_taught(e)]
    in_words = all(e.mask is None for e in said)
    times = _draw_times(len(record.frames), frames, rng, whole=in_words)
    said = [e for e in said if in_words or e.mask is not None]
    decidable = [e for e in said if e.decided == 0 or times[0] <= e.decided <= times[-1]]
    if not decidable:
        times = _draw_times(len(record.frames), frames, rng, whole=True)
    said = _pick(decidable or said, sentences, rng)
    pictures = {time: read_picture(record.frames[time]) for time in sorted(set(times))}
    _check_sizes(record, pictures.values())
    return Sample(
        dataset=dataset,
        record=record.id,
        frames_THW3=[pictures[time] for time in times],
        times=times,
        texts=tuple(" ".join(e.text.split()) for e in said),
        masks_QTHW=None if in_words else _read_masks(record, said, times, pictures),
        answers=tuple(e.answer for e in said) if in_words else None,
        modality=IMAGE if len(record.frames) == 1 else VIDEO,
    )


def _is_taught(expression: Expression) -> bool:
    """Whether its truth is known; test splits have sentences without."""
    return expression.mask is not None or expression.answer is not None


def _draw_times(
    length: int, frames: int, rng: np.random.Generator, whole: bool
) -> tuple[int, ...]:
    """`frames` places among `length`, ascending."""
    if length <= frames:
        return tuple(min(time, length - 1) for time in range(frames))
    widest = (length - 1) / max(frames - 1, 1)
    spacing = widest if whole else float(np.exp(rng.uniform(0, np.log(widest))))
    start = rng.uniform(0, max(0.0, length - 1 - spacing * (frames - 1)))
    # A little more: the last frame of the widest spacing would be missed by a rounding.
    return tuple(np.floor(start + spacing * np.arange(frames) + 1e-9).astype(int).tolist())


def _pick(
    expressions: Sequence[Expression], count: int, rng: np.random.Generator
) -> list[Expression]:
    """At most `count` of them, in an order drawn by lot."""
    order = rng.permutation(len(expressions))[:count]
    return [expressions[int(index)] for index in order]


def _check_sizes(record: Record, pictures: Iterable[np.ndarray]) -> None:
    sizes = sorted({picture.shape[:2] for picture in pictures})
    if len(sizes) > 1:
        raise DataError(
            record.frames[0].parent, f"frames of several sizes, {sizes[0]}, {sizes[1]}"
        )


def _read_masks(
    record: Record,
    said: Sequence[Expression],
    times: Sequence[int],
    pictures: dict[int, np.ndarray],
) -> np.ndarray:
    """The truth, bool (Q, T, H, W)."""
    places = {time: place for place, time in enumerate(pictures)}
    size = pictures[times[0]].shape[:2]
    masks = np.empty((len(said), len(places), *size), bool)
    for expression, mask_THW in zip(said, masks):
        for time, place in places.items():
            mask = expression.mask(time)
            if mask.shape != size:
                reason = f"mask of {mask.shape} for a picture of {size}"
                raise DataError(record.frames[time], reason)
            mask_THW[place] = mask
    return masks[:, [places[time] for time in times]]
