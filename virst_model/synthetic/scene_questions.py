"""Questions about a scene whose answers are words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
import itertools

import numpy as np

from virst_model.synthetic import grammar
from virst_model.synthetic.grammar import (
    COLOURS,
    MOTIONS,
    NUMBERS,
    SHAPES,
    Phrase,
    pick,
    word_way,
)
from virst_model.synthetic.scene_objects import SceneObject
from virst_model.synthetic.scene_sentences import KINDS, ScenePhrases
from virst_model.synthetic.sentence import Question

_SINGULAR = tuple(kind for kind in KINDS if kind not in ("all", "none"))
_WAYS = tuple(motion for motion in MOTIONS if motion != "still")


def ask(
    objects: Sequence[SceneObject], phrases: ScenePhrases, rng: np.random.Generator, count: int
) -> tuple[Question, ...]:
    """Up to `count` different questions, of as many sorts as there are."""
    sorts = (_ask_colour, _ask_shape, _ask_number, _ask_way, _ask_presence)
    questions: dict[str, Question] = {}
    for i in rng.permutation(len(sorts) * 4).tolist():
        for question in sorts[i % len(sorts)](objects, phrases, rng):
            questions.setdefault(question.text, question)
    return tuple(questions.values())[:count]


def ask_if_there(text: str, ids: tuple[int, ...]) -> Question:
    """Whether what a phrase means is in the video: of `ids`, none where it is not."""
    return Question(f"is {text} in the video?", "Yes." if ids else "No.", ids)


def _ask_colour(
    objects: Sequence[SceneObject], phrases: ScenePhrases, rng: np.random.Generator
) -> Iterator[Question]:
    for item, called in _call(objects, phrases, rng, untold="colour"):
        yield Question(f"What colour is {called}?", f"{item.colour.capitalize()}.", (item.id,))


def _ask_shape(
    objects: Sequence[SceneObject], phrases: ScenePhrases, rng: np.random.Generator
) -> Iterator[Question]:
    for item, called in _call(objects, phrases, rng, untold="shape"):
        yield Question(f"What shape is {called}?", f"A {item.shape}.", (item.id,))


def _ask_way(
    objects: Sequence[SceneObject], phrases: ScenePhrases, rng: np.random.Generator
) -> Iterator[Question]:
    """Of those that only ever go one way."""
    for item, called in _call(objects, phrases, rng, untold="motion"):
        for way in _WAYS:
            if item.id in phrases.meant(Phrase(motion=way)):
                yield Question(f"Which way does {called} move?", word_way(way), (item.id,))


def _ask_number(
    objects: Sequence[SceneObject], phrases: ScenePhrases, rng: np.random.Generator
) -> Iterator[Question]:
    near = pick(rng, objects) if rng.random() < 0.8 else None
    colour = near.colour if near else pick(rng, COLOURS)
    shape = near.shape if near else pick(rng, SHAPES)
    said = pick(rng, ({}, {"colour": colour}, {"shape": shape or None}))
    phrase = Phrase(**said, plural=True)
    ids = phrases.meant(phrase)
    if ids == phrases.doubtful(phrase):
        name = grammar.word(phrase, rng).removeprefix("all ").removeprefix("the ")
        if name != "everything":
            yield Question(f"How many {name} are there?", f"{NUMBERS[len(ids)]}.", ids)


def _ask_presence(
    objects: Sequence[SceneObject], phrases: ScenePhrases, rng: np.random.Generator
) -> Iterator[Question]:
    """As often of what is not there as of what is."""
    kinds = ["none"] if rng.random() < 0.5 else rng.permutation(_SINGULAR).tolist()
    found = (phrase for kind in kinds for phrase in phrases.choose(kind, 2, rng))
    for phrase in itertools.islice((p for p in found if not p.plural), 1):
        yield ask_if_there(grammar.word(phrase, rng), phrases.meant(phrase))


def _call(
    objects: Sequence[SceneObject],
    phrases: ScenePhrases,
    rng: np.random.Generator,
    untold: str,
) -> Iterator[tuple[SceneObject, str]]:
    """An object, and words that mean it alone and do not say its `untold`; or nothing."""
    found = phrases.unique(untold)
    if found:
        phrase = pick(rng, found)
        (number,) = phrases.meant(phrase)
        yield objects[number - 1], f"the {grammar.word(phrase, rng).removeprefix('the ')}"
