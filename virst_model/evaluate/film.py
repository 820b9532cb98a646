"""Synthetic videos in memory, and a model that watches them."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from virst_model.answer import SEARCHING, Query
from virst_model.evaluate.metrics import region
from virst_model.frames import ImageArrays
from virst_model.model.virst import Virst
from virst_model.offline.video import Scorer, segment_video
from virst_model.stream.options import SessionOptions
from virst_model.stream.session import Session

FOUND = 0.5  # IoU from which on a mask is on its object

# (t_s, height, width) -> a picture, uint8 RGB, and the ids of what is visible, uint8.
Render = Callable[[float, int, int], tuple[np.ndarray, np.ndarray]]


class Film(ImageArrays):
    """What was filmed of a scene or a story.

    Attributes:
        length: frames.
        times: of each frame, in s.
        images: uint8 RGB (H, W, 3) of each frame.
        ids_THW: uint8, the ids of what is visible.
    """

    def __init__(self, render: Render, frames: int, fps: float, size: tuple[int, int]) -> None:
        self.times = [t / fps for t in range(frames)]
        shots = [render(t, *size) for t in self.times]
        super().__init__([image for image, _ in shots], fps, path="film")
        self.ids_THW = np.stack([ids for _, ids in shots])


class Followed(NamedTuple):
    """What came of texts about a stream.

    Attributes:
        masks: bool (Q, T, H, W).
        first: the first answered frame of each text, or None.
        groundings: answers of the language model that each text got.
    """

    masks: np.ndarray
    first: list[int | None]
    groundings: list[int]


def whole(
    model: Virst,
    film: Film,
    texts: Sequence[str],
    scorer: Scorer | None = None,
    seen: Callable[[], object] = lambda: None,
) -> np.ndarray:
    """Masks (Q, T, H, W) bool of a film that is looked at whole; `seen` is called every frame."""
    masks = np.zeros((len(texts), *film.ids_THW.shape), bool)
    for picture, result in segment_video(model, film, texts, scorer=scorer):
        for place, answer in enumerate(result.results):
            masks[place, picture.index] = answer.mask_HW
        seen()
    return masks


def follow(
    model: Virst,
    film: Film,
    texts: Sequence[str],
    delay: int,
    seen: Callable[[], object] = lambda: None,
    **options: Any,
) -> Followed:
    """Follows the texts through a stream, a few at a time.

    `delay`: frames that a grounding takes. `seen` is called for every frame that has the answers
    to all texts. `options`: others of SessionOptions.
    """
    masks = np.zeros((len(texts), *film.ids_THW.shape), bool)
    first: list[int | None] = [None] * len(texts)
    groundings: list[int] = []
    most = SessionOptions().max_queries
    for start in range(0, len(texts), most):
        part = texts[start : start + most]
        with Session(model, _options(delay, options)) as session:
            session.set_queries(tuple(Query(i + 1, text, i + 1) for i, text in enumerate(part)))
            for t, image in enumerate(film.images):
                for place, answer in enumerate(session.step(image, film.times[t]).results, start):
                    masks[place, t] = answer.mask_HW
                    if first[place] is None and answer.state != SEARCHING:
                        first[place] = t
                if start + most >= len(texts):
                    seen()
            groundings += [track.answers for track in session.tracks]
    return Followed(masks, first, groundings)


def swap(
    model: Virst,
    film: Film,
    old: tuple[str, np.ndarray],
    new: tuple[str, np.ndarray],
    delay: int,
    **options: Any,
) -> bool:
    """Whether, after a change of the query half-way, the last quarter is on the new object.

    `old` and `new` are a text and its truth, bool (T, H, W); `options`: others of SessionOptions.
    """
    half = film.length // 2
    masks = []
    with Session(model, _options(delay, options)) as session:
        for t, image in enumerate(film.images):
            if t in (0, half):
                text = new[0] if t == half else old[0]
                session.set_queries((Query(1 + int(t == half), text, 1),))
            masks.append(session.step(image, film.times[t]).results[0].mask_HW)
    last = slice(half + half // 2, None)
    on_old, on_new = (
        region(truth_THW[last], np.stack(masks)[last]).mean() for _, truth_THW in (old, new)
    )
    return bool(on_new >= FOUND and on_new > on_old)


def _options(delay: int, others: dict[str, Any]) -> SessionOptions:
    return SessionOptions(sync=True, grounding_delay_frames=delay, **others)
