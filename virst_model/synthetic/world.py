"""Scenes and stories alike: what both can do, and what can be said of a piece of one."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np

from virst_model.synthetic.scenes import make_scene
from virst_model.synthetic.sentence import Question, Sentence
from virst_model.synthetic.stories import make_story

# By what they are called in options and results.
MAKERS = {"scenes": make_scene, "stories": make_story}

# Sentences of a kind about a story, of which one is drawn that a piece of it shows.
_DRAWN = 3


class WorldObject(Protocol):
    """A shape that is seen in a world.

    Attributes:
        id: its value in the id map, from 1; higher ones lie in front.
        shape: one of `shapes.SHAPES`.
        colours: one of `grammar.COLOURS`, or two where one half of it has another.
    """

    id: int
    shape: str
    colours: tuple[str, ...]


class World(Protocol):
    """A scene or a story: a function of (split, seed), the same whenever it is asked.

    Attributes:
        duration_s: what is said of it holds in [0, duration_s].
        objects: in order of their ids, from 1.
        eventful: whether it is a story, of which is told what happens.
    """

    seed: int
    split: str
    duration_s: float
    objects: tuple[WorldObject, ...]
    eventful: bool

    def render(self, t_s: float, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
        """The picture (height, width, 3) uint8 RGB and the ids (height, width) uint8 at `t_s`."""
        ...

    def sentences(
        self, rng: np.random.Generator | None = None, per_kind: int = 2
    ) -> tuple[Sentence, ...]:
        """Up to `per_kind` different sentences of each kind, with their truth."""
        ...

    def questions(
        self, rng: np.random.Generator | None = None, count: int = 4
    ) -> tuple[Question, ...]:
        """Up to `count` different questions whose answers are words."""
        ...


def draw_world(stories: float, duration_s: float, rng: np.random.Generator) -> World:
    """A story, or with the share that is left a scene, of the split `train`."""
    make = make_story if rng.random() < stories else make_scene
    return make(int(rng.integers(2**31)), "train", duration_s=duration_s)


def render_all(
    world: World, times_s: Sequence[float], height: int, width: int
) -> tuple[np.ndarray, np.ndarray]:
    """Pictures (T, height, width, 3) uint8 RGB and ids (T, height, width) uint8."""
    pictures, ids = zip(*[world.render(t_s, height, width) for t_s in times_s], strict=True)
    return np.stack(pictures), np.stack(ids)


def sentences_of_piece(
    world: World, from_s: float, to_s: float, rng: np.random.Generator
) -> list[Sentence]:
    """One sentence of each kind that can be told by what is seen in [from_s, to_s].

    A `kind` of a story, drawn or filmed, begins with "story_".
    """
    if not world.eventful:
        return list(world.sentences(rng, per_kind=1))
    told: dict[str, Sentence] = {}
    for sentence in world.sentences(rng, per_kind=_DRAWN):
        if _shows(from_s, to_s, sentence):
            told.setdefault(sentence.kind, sentence)
    return [replace(sentence, kind=f"story_{kind}") for kind, sentence in told.items()]


def _shows(from_s: float, to_s: float, sentence: Sentence) -> bool:
    """Whether who looks from then to then sees what the sentence tells its objects by."""
    if sentence.deed_s is None:
        return True
    start_s, end_s = sentence.deed_s
    return from_s <= start_s and end_s <= to_s
