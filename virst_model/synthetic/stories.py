"""A story: a few shapes that move, hide and meet, filmed, with what can be said about it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from virst_model.synthetic.actors import Actor, draw_cast
from virst_model.synthetic.behaviour import draw_meetings, draw_sizes, write_parts
from virst_model.synthetic.camera import Film, draw_film, draw_sprite, put
from virst_model.synthetic.questions import Answer, ask
from virst_model.synthetic.scene_sentences import rng_of
from virst_model.synthetic.scenes import SPLITS
from virst_model.synthetic.sentence import Sentence
from virst_model.synthetic.telling import tell
from virst_model.synthetic.timeline import Chronicle
from virst_model.synthetic.trajectory import TICK_S

_CACHED_SIZES = 2
_MARGIN = 0.02  # heights of backdrop around the picture, for a camera that shakes
_DRAFTS = 6


@dataclass(frozen=True)
class Story:
    """Actors, what each of them does in [0, duration_s], and the film of it.

    `chronicle` holds where everyone is at every tick, which all follows from the other fields.
    """

    seed: int
    split: str
    duration_s: float
    actors: tuple[Actor, ...]
    film: Film = field(repr=False)
    chronicle: Chronicle = field(compare=False, repr=False)
    _sets: dict = field(default_factory=dict, compare=False, repr=False)

    def render(self, t_s: float, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
        """The picture (height, width, 3) uint8 RGB and the ids (height, width) uint8 at `t_s`.

        An id marks the visible pixels of its actor, 0 is background. Other sizes show the same
        4:3 picture, squeezed where the aspect differs. Before and after the story nothing moves.
        """
        back, grain, sprites = self._set(height, width)
        margin = (back.shape[0] - height) // 2
        shift = self.film.camera.offset(t_s)
        down, right = round(shift.imag * height), round(shift.real * height)
        top, left = margin - down, margin - right
        frame = back[top : top + height, left : left + width].copy()
        ids = np.zeros((height, width), np.uint8)
        centres, turns, opacities = self.chronicle.poses(t_s)
        centres = centres + shift
        for actor, sprite, *pose in zip(self.actors, sprites, centres, turns, opacities):
            put(frame, ids, sprite, actor.id, tuple(pose))
        return self.film.expose(frame, grain, t_s), ids

    def sentences(
        self, rng: np.random.Generator | None = None, per_kind: int = 2
    ) -> tuple[Sentence, ...]:
        """Up to `per_kind` different sentences of each of KINDS, in that order.

        Without `rng` they are the same at every call.
        """
        rng = rng_of(self.split, self.seed, "story sentences") if rng is None else rng
        return tell(self.chronicle, self.split, rng, per_kind)

    def questions(
        self, rng: np.random.Generator | None = None, count: int = 4
    ) -> tuple[Answer, ...]:
        """Up to `count` different questions whose answers are words."""
        rng = rng_of(self.split, self.seed, "story questions") if rng is None else rng
        return ask(self.chronicle, self.split, rng, count)

    def _set(self, height: int, width: int) -> tuple[np.ndarray, np.ndarray, tuple]:
        """The painted backdrop with a margin, the sensor's grain, and the sprites."""
        size = (height, width)
        if size not in self._sets:
            while len(self._sets) >= _CACHED_SIZES:
                self._sets.pop(next(iter(self._sets)), None)
            margin = 2 * (1 + round(_MARGIN * max(size)))
            largest = abs(self.chronicle.turns).max(axis=1) * height
            self._sets[size] = (
                self.film.paint(height + margin, width + margin),
                self.film.backdrop.grain(height, width),
                tuple(draw_sprite(actor, r) for actor, r in zip(self.actors, largest.tolist())),
            )
        return self._sets[size]


def make_story(
    seed: int, split: str = "train", duration_s: float = 6.0, n_actors: int | None = None
) -> Story:
    """The story of a seed: 2-6 actors (or `n_actors`), each of which is to be seen for a while.

    In split `test` at least one actor is a combination of colour and shape (HELD_OUT) that the
    others never show. Raises ValueError for a split, a length or a number that cannot be.
    """
    if split not in SPLITS:
        raise ValueError(f"split {split!r} is not one of {', '.join(SPLITS)}")
    if n_actors is not None and not 1 <= n_actors <= 6:
        raise ValueError(f"n_actors is {n_actors}, must be 1 to 6")
    if duration_s < TICK_S:
        raise ValueError(f"duration_s is {duration_s}, must be at least {TICK_S}")
    rng = rng_of(split, seed, "story")
    length = round(duration_s / TICK_S) + 1
    count = n_actors or int(rng.choice([2, 3, 4, 5, 6], p=(0.12, 0.26, 0.28, 0.2, 0.14)))
    film = draw_film(rng)
    for _ in range(_DRAFTS):
        meetings = draw_meetings(count, length, rng)
        cast = draw_cast(draw_sizes(count, meetings, rng), split, rng)
        chronicle = Chronicle(cast, write_parts(cast, meetings, length, rng))
        if chronicle.everyone_is_seen:
            break
    return Story(seed, split, duration_s, cast, film, chronicle)
