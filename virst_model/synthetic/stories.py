"""Stories: videos of a few shapes that act, with sentences whose truth is known.

A story is richer than a scene: things happen in it at known times, so that sentences can speak of
motion, order and causes, and of what changes as it goes on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
import itertools
from typing import ClassVar

import numpy as np

from virst_model.synthetic.actors import Actor, draw_actors
from virst_model.synthetic.behaviour import draw_meetings, draw_sizes, draw_trajectories
from virst_model.synthetic.camera import View, draw_varied_view
from virst_model.synthetic.questions import ask
from virst_model.synthetic.sentence import Question, Sentence
from virst_model.synthetic.sentences_absent import absent_claims
from virst_model.synthetic.sentences_events import motion_claims, time_claims
from virst_model.synthetic.sentences_looks import (
    attribute_claims,
    plural_claims,
    relation_claims,
    superlative_claims,
)
from virst_model.synthetic.sentences_reasoning import reasoning_claims
from virst_model.synthetic.sentences_shifting import shifting_sentences
from virst_model.synthetic.splits import check_split, rng_of
from virst_model.synthetic.sprites import draw_sprite, paint_sprite
from virst_model.synthetic.timeline import Timeline
from virst_model.synthetic.trajectory import TICK_S

# Kinds of sentences, each with its claims, some of which hold.
_CLAIMS = {
    "attribute": attribute_claims,
    "relation": relation_claims,
    "superlative": superlative_claims,
    "plural": plural_claims,
    "motion": motion_claims,
    "time": time_claims,
    "reasoning": reasoning_claims,
}
KINDS = (*_CLAIMS, "shift", "none")

_DRAFTS = 6
_TRIES = 30


@dataclass(frozen=True)
class Story:
    """Actors before a camera, and what each of them does in [0, duration_s].

    A `World`. `timeline` holds where everyone is at every tick, which all follows from the other
    fields.
    """

    seed: int
    split: str
    duration_s: float
    objects: tuple[Actor, ...]
    view: View = field(repr=False)
    timeline: Timeline = field(compare=False, repr=False)
    eventful: ClassVar[bool] = True

    def render(self, t_s: float, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
        """The picture and the ids at `t_s`, as `View.render` has them.

        Before and after the story nothing moves.
        """
        return self.view.render(self._paint, t_s, height, width)

    def sentences(
        self, rng: np.random.Generator | None = None, per_kind: int = 2
    ) -> tuple[Sentence, ...]:
        """Up to `per_kind` different sentences of each of KINDS, in that order.

        Without `rng` they are the same at every call.
        """
        rng = rng_of(self.split, self.seed, "story sentences") if rng is None else rng
        sentences: list[Sentence] = []
        for claims_of in _CLAIMS.values():
            claims = itertools.islice(claims_of(self.timeline, rng), _TRIES)
            sentences += _different((c.sentence() for c in claims if c.holds), per_kind)
        sentences += _different(shifting_sentences(self.timeline, rng), per_kind)
        claims = itertools.islice(absent_claims(self.timeline, self.split, rng), _TRIES)
        sentences += _different((c.sentence() for c in claims if not c.referents.may), per_kind)
        return tuple(sentences)

    def questions(
        self, rng: np.random.Generator | None = None, count: int = 4
    ) -> tuple[Question, ...]:
        """Up to `count` different questions whose answers are words.

        Without `rng` they are the same at every call.
        """
        rng = rng_of(self.split, self.seed, "story questions") if rng is None else rng
        return ask(self.timeline, self.split, rng, count)

    def _paint(self, picture: np.ndarray, ids: np.ndarray, t_s: float, offset: complex) -> None:
        radii = (self.timeline.largest * len(ids)).tolist()
        centres, turns, opacities = self.timeline.poses(t_s)
        for actor, radius, *pose in zip(self.objects, radii, centres + offset, turns, opacities):
            paint_sprite(picture, ids, draw_sprite(actor, radius), actor.id, tuple(pose))


def _different(sentences: Iterator[Sentence], count: int) -> list[Sentence]:
    by_text: dict[str, Sentence] = {}
    for sentence in sentences:
        if len(by_text) == count:
            break
        by_text.setdefault(sentence.text, sentence)
    return list(by_text.values())


def make_story(
    seed: int, split: str = "train", duration_s: float = 6.0, n_objects: int | None = None
) -> Story:
    """The story of a seed: 2-6 actors (or `n_objects`), each of which is to be seen for a while.

    In split `test` at least one actor is a combination of colour and shape (HELD_OUT) that the
    others never show. Raises ValueError for a split, a length or a number that cannot be.
    """
    check_split(split)
    if n_objects is not None and not 1 <= n_objects <= 6:
        raise ValueError(f"n_objects is {n_objects}, must be 1 to 6")
    if duration_s < TICK_S:
        raise ValueError(f"duration_s is {duration_s}, must be at least {TICK_S}")
    rng = rng_of(split, seed, "story")
    length = round(duration_s / TICK_S) + 1
    count = n_objects or int(rng.choice([2, 3, 4, 5, 6], p=(0.12, 0.26, 0.28, 0.2, 0.14)))
    view = draw_varied_view(rng)
    for _ in range(_DRAFTS):
        meetings = draw_meetings(count, length, rng)
        actors = draw_actors(draw_sizes(count, meetings, rng), split, rng)
        timeline = Timeline(actors, draw_trajectories(actors, meetings, length, rng))
        if timeline.everyone_is_seen:
            break
    return Story(seed, split, duration_s, actors, view, timeline)
