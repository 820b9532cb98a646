"""Questions about a story whose answers are words."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from virst_model.synthetic.actors import is_held_out
from virst_model.synthetic.grammar import COLOURS, NUMBERS, pick, word_way
from virst_model.synthetic.names import Name
from virst_model.synthetic.predicates import Predicate, meetings, predicates
from virst_model.synthetic.sentence import Ids, Question, Referents
from virst_model.synthetic.shapes import SHAPES
from virst_model.synthetic.timeline import Timeline


def ask(
    timeline: Timeline, split: str, rng: np.random.Generator, count: int
) -> tuple[Question, ...]:
    """Up to `count` different questions, of as many sorts as there are."""
    sorts = (
        _ask_number,
        _ask_colour,
        _ask_shape,
        _ask_predicate,
        _ask_way,
        _ask_presence,
        _ask_meeting,
    )
    questions: dict[str, Question] = {}
    for i in rng.permutation(len(sorts) * 2).tolist():
        for question in sorts[i % len(sorts)](timeline, split, rng):
            questions.setdefault(question.text, question)
    return tuple(questions.values())[:count]


def _ask_number(timeline: Timeline, split: str, rng: np.random.Generator) -> Iterator[Question]:
    names = [n for i in timeline.ids for n in timeline.names.of[i] if n.words <= 1]
    name = pick(rng, names) if rng.random() < 0.8 else Name(pick(rng, SHAPES))
    referents = timeline.names.referents(name)
    if referents.is_certain:
        text = f"How many {name.bare(rng, plural=True)} are there?"
        yield _ask_how_many(text, referents.sure)
    done = [predicate for predicate in predicates(timeline, rng) if predicate.referents.is_certain]
    if done:
        predicate = pick(rng, done)
        text = f"How many {Name().bare(rng, plural=True)} {predicate.plural}?"
        yield _ask_how_many(text, predicate.referents.sure)


def _ask_colour(timeline: Timeline, split: str, rng: np.random.Generator) -> Iterator[Question]:
    actor = pick(rng, timeline.actors)
    names = [n for n in timeline.names.unique(actor.id) if n.colours is None]
    if names:
        colours = " and ".join(actor.colours).capitalize()
        text = f"What colour is {pick(rng, names).word(rng)}?"
        yield Question(text, f"{colours}.", (actor.id,))


def _ask_shape(timeline: Timeline, split: str, rng: np.random.Generator) -> Iterator[Question]:
    actor = pick(rng, timeline.actors)
    names = [n for n in timeline.names.unique(actor.id) if n.shape is None]
    if names:
        article = "An" if actor.shape == "arrow" else "A"
        text = f"What shape is {pick(rng, names).word(rng)}?"
        yield Question(text, f"{article} {actor.shape}.", (actor.id,))


def _ask_predicate(timeline: Timeline, split: str, rng: np.random.Generator) -> Iterator[Question]:
    actor = pick(rng, timeline.ids)
    called, done = timeline.names.call(actor, rng), predicates(timeline, rng)
    true = [predicate for predicate in done if actor in predicate.referents.sure]
    # Else most answers would be no.
    predicate = pick(rng, true if true and rng.random() < 0.5 else done)
    if called is not None and _is_settled(actor, predicate.referents):
        yield _ask_if_true((actor,), called, predicate)


def _ask_meeting(timeline: Timeline, split: str, rng: np.random.Generator) -> Iterator[Question]:
    one, other = rng.permutation(timeline.ids)[:2].tolist() if len(timeline.ids) > 1 else (0, 0)
    called = [timeline.names.call(i, rng) if i else None for i in (one, other)]
    if None not in called:
        predicate = pick(rng, meetings(timeline, other, called[1], rng))
        if _is_settled(one, predicate.referents):
            yield _ask_if_true((one, other), called[0], predicate)


def _ask_way(timeline: Timeline, split: str, rng: np.random.Generator) -> Iterator[Question]:
    """Where it goes, of those that only ever go one way."""
    actor = pick(rng, timeline.ids)
    ways = predicates(timeline, rng)[:4]
    gone = [predicate for predicate in ways if actor in predicate.referents.may]
    called = timeline.names.call(actor, rng)
    if called is not None and len(gone) == 1 and actor in gone[0].referents.sure:
        way = gone[0].text.split(" ")[-1]
        yield Question(f"Which way does {called} move?", word_way(way), (actor,))


def _ask_presence(timeline: Timeline, split: str, rng: np.random.Generator) -> Iterator[Question]:
    colour, shape = pick(rng, COLOURS), pick(rng, SHAPES)
    if rng.random() < 0.6:
        near, other = (pick(rng, timeline.actors) for _ in range(2))
        colour, shape = near.colours[0], other.shape
    referents = timeline.names.referents(Name(shape, (colour,)))
    known = split == "test" or not is_held_out((colour,), shape)
    if known and referents.is_certain:
        article = "an" if colour == "orange" else "a"
        ids = tuple(sorted(referents.sure))
        yield Question(f"Is there {article} {colour} {shape}?", _yes(bool(ids)), ids)


def _ask_how_many(text: str, counted: frozenset[int]) -> Question:
    return Question(text, f"{NUMBERS[len(counted)]}.", tuple(sorted(counted)))


def _ask_if_true(ids: Ids, called: str, predicate: Predicate) -> Question:
    """Of the first of `ids`; others are told of in the predicate."""
    true = ids[0] in predicate.referents.sure
    return Question(f"Is it true that {called} {predicate.text}?", _yes(true), ids)


def _is_settled(actor: int, referents: Referents) -> bool:
    return (actor in referents.sure) == (actor in referents.may)


def _yes(true: bool) -> str:
    return "Yes." if true else "No."
