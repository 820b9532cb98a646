"""Questions about a story whose answers are words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from virst_model.synthetic.actors import is_held_out
from virst_model.synthetic.fit import Fit
from virst_model.synthetic.grammar import COLOURS, pick
from virst_model.synthetic.names import Name
from virst_model.synthetic.predicates import deeds, meetings
from virst_model.synthetic.shapes import SHAPES
from virst_model.synthetic.timeline import Chronicle

_NUMBERS = ("None", "One", "Two", "Three", "Four", "Five", "Six")


@dataclass(frozen=True)
class Answer:
    """A question and what is right to answer, both as sentences."""

    question: str
    answer: str


def ask(
    chronicle: Chronicle, split: str, rng: np.random.Generator, count: int
) -> tuple[Answer, ...]:
    """Up to `count` different questions, of as many sorts as there are."""
    sorts = (
        _ask_number,
        _ask_colour,
        _ask_shape,
        _ask_deed,
        _ask_way,
        _ask_presence,
        _ask_meeting,
    )
    found: dict[str, Answer] = {}
    for i in rng.permutation(len(sorts) * 2).tolist():
        for answer in sorts[i % len(sorts)](chronicle, split, rng):
            found.setdefault(answer.question, answer)
    return tuple(found.values())[:count]


def _ask_number(chronicle: Chronicle, split: str, rng: np.random.Generator) -> Iterator[Answer]:
    names = [n for i in chronicle.ids for n in chronicle.names.of[i] if n.words <= 1]
    name = pick(rng, names) if rng.random() < 0.8 else Name(pick(rng, SHAPES))
    fit = chronicle.names.fit(name)
    if fit.is_certain:
        asked = f"How many {name.bare(rng, plural=True)} are there?"
        yield Answer(asked, f"{_NUMBERS[len(fit.sure)]}.")
    done = [deed for deed in deeds(chronicle, rng) if deed.fit.is_certain]
    if done:
        deed = pick(rng, done)
        asked = f"How many {Name().bare(rng, plural=True)} {deed.plural}?"
        yield Answer(asked, f"{_NUMBERS[len(deed.fit.sure)]}.")


def _ask_colour(chronicle: Chronicle, split: str, rng: np.random.Generator) -> Iterator[Answer]:
    actor = pick(rng, chronicle.actors)
    names = [n for n in chronicle.names.unique(actor.id) if n.colours is None]
    if names:
        colours = " and ".join(actor.colours).capitalize()
        yield Answer(f"What colour is {pick(rng, names).word(rng)}?", f"{colours}.")


def _ask_shape(chronicle: Chronicle, split: str, rng: np.random.Generator) -> Iterator[Answer]:
    actor = pick(rng, chronicle.actors)
    names = [n for n in chronicle.names.unique(actor.id) if n.shape is None]
    if names:
        article = "An" if actor.shape == "arrow" else "A"
        asked = f"What shape is {pick(rng, names).word(rng)}?"
        yield Answer(asked, f"{article} {actor.shape}.")


def _ask_deed(chronicle: Chronicle, split: str, rng: np.random.Generator) -> Iterator[Answer]:
    actor = pick(rng, chronicle.ids)
    called, done = chronicle.names.call(actor, rng), deeds(chronicle, rng)
    true = [deed for deed in done if actor in deed.fit.sure]
    # Else most answers would be no.
    deed = pick(rng, true if true and rng.random() < 0.5 else done)
    if called is not None and _is_settled(actor, deed.fit):
        yield Answer(f"Is it true that {called} {deed.text}?", _yes(actor in deed.fit.sure))


def _ask_meeting(chronicle: Chronicle, split: str, rng: np.random.Generator) -> Iterator[Answer]:
    one, other = rng.permutation(chronicle.ids)[:2].tolist() if len(chronicle.ids) > 1 else (0, 0)
    called = [chronicle.names.call(i, rng) if i else None for i in (one, other)]
    if None not in called:
        deed = pick(rng, meetings(chronicle, other, called[1], rng))
        if _is_settled(one, deed.fit):
            yield Answer(f"Is it true that {called[0]} {deed.text}?", _yes(one in deed.fit.sure))


def _ask_way(chronicle: Chronicle, split: str, rng: np.random.Generator) -> Iterator[Answer]:
    """Where it goes, of those that only ever go one way."""
    actor = pick(rng, chronicle.ids)
    ways = deeds(chronicle, rng)[:4]
    gone = [deed for deed in ways if actor in deed.fit.may]
    called = chronicle.names.call(actor, rng)
    if called is not None and len(gone) == 1 and actor in gone[0].fit.sure:
        way = gone[0].text.split(" ")[-1]
        answer = f"To the {way}." if way in ("left", "right") else f"{way.capitalize()}."
        yield Answer(f"Which way does {called} move?", answer)


def _ask_presence(chronicle: Chronicle, split: str, rng: np.random.Generator) -> Iterator[Answer]:
    colour, shape = pick(rng, COLOURS), pick(rng, SHAPES)
    if rng.random() < 0.6:
        near, other = (pick(rng, chronicle.actors) for _ in range(2))
        colour, shape = near.colours[0], other.shape
    fit = chronicle.names.fit(Name(shape, (colour,)))
    known = split == "test" or not is_held_out((colour,), shape)
    if known and fit.is_certain:
        article = "an" if colour == "orange" else "a"
        yield Answer(f"Is there {article} {colour} {shape}?", _yes(bool(fit.sure)))


def _is_settled(actor: int, fit: Fit) -> bool:
    return (actor in fit.sure) == (actor in fit.may)


def _yes(true: bool) -> str:
    return "Yes." if true else "No."
