"""Questions that need a thought: what shapes and colours are like, and what made things happen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np

from virst_model.data.grammar import pick
from virst_model.data.stories.chronicle import GONE, Chronicle
from virst_model.data.stories.deeds import deeds
from virst_model.data.stories.fit import Fit
from virst_model.data.stories.sentence import Claim

# What is asked ("Which shape ...?"), the shapes that it means, and those that it may mean.
_SHAPE_RIDDLES = (
    ("could roll like a wheel", ("circle", "ring"), ()),
    ("would make a good wheel", ("circle", "ring"), ()),
    ("has no corners at all", ("circle", "ring"), ("heart",)),
    ("has a hole in it", ("ring",), ()),
    ("could you put on a finger", ("ring",), ()),
    ("stands for love", ("heart",), ()),
    ("do people send on Valentine's Day", ("heart",), ()),
    ("can be seen in the sky at night", ("star",), ("circle",)),
    ("shows which way to go", ("arrow",), ()),
    ("has exactly three corners", ("triangle",), ()),
    ("has exactly four corners", ("square", "diamond"), ()),
    ("has exactly six corners", ("hexagon",), ()),
    ("looks like a cell of a honeycomb", ("hexagon",), ()),
    ("looks like a plus sign", ("cross",), ()),
    ("would you find on a ring with a jewel", ("diamond",), ()),
)
_COLOUR_RIDDLES = (
    ("the colour of grass", "green"),
    ("the colour of a ripe banana", "yellow"),
    ("the colour of snow", "white"),
    ("the colour of a ripe tomato", "red"),
    ("the colour of a carrot", "orange"),
    ("the colour of plums", "purple"),
    ("the colour of the deep sea", "blue"),
    ("the colour that says stop at a traffic light", "red"),
    ("the colour that says go at a traffic light", "green"),
)


def tell_reasonings(chronicle: Chronicle, rng: np.random.Generator) -> Iterator[Claim]:
    """Questions, in any order; also those to which the answer is nobody."""
    claims = [
        *_riddles(chronicle, rng),
        *_odd_ones(chronicle),
        *_collisions(chronicle, rng),
        *_followers(chronicle, rng),
        *_screens(chronicle, rng),
        *_doers(chronicle, rng),
    ]
    # What happened comes first: there is less of it.
    order = rng.permutation(len(claims)).tolist()
    for i in sorted(order, key=lambda i: i < len(_SHAPE_RIDDLES) and rng.random() < 0.5):
        yield claims[i]


def _which(asked: str, fit: Fit, rng: np.random.Generator) -> Claim:
    """ "Which shape moves?", or "Which shapes move?" where it is several."""
    plural = len(fit.sure) > 1
    noun = pick(rng, ("shape", "object", "one"))
    if plural:
        verb, _, rest = asked.partition(" ")
        verb = _PLURALS.get(verb, verb if verb in _MODALS else verb.removesuffix("s"))
        asked, noun = f"{verb} {rest}".strip(), {"one": "ones"}.get(noun, noun + "s")
    return Claim("reasoning", f"Which {noun} {asked}?", fit, plural)


_PLURALS = {"has": "have", "is": "are", "does": "do", "goes": "go"}
_MODALS = ("could", "would", "can", "do")


def _riddles(chronicle: Chronicle, rng: np.random.Generator) -> Iterator[Claim]:
    for asked, shapes, also in _SHAPE_RIDDLES:
        yield _which(
            asked,
            Fit.of(
                (a.id for a in chronicle.actors if a.shape in shapes),
                (a.id for a in chronicle.actors if a.shape in also),
            ),
            rng,
        )
    for asked, colour in _COLOUR_RIDDLES:
        yield _which(
            f"has {asked}",
            Fit.of(
                (a.id for a in chronicle.actors if a.colours == (colour,)),
                (a.id for a in chronicle.actors if colour in a.colours),
            ),
            rng,
        )


def _odd_ones(chronicle: Chronicle) -> Iterator[Claim]:
    """The one that differs where all others are alike."""
    if len(chronicle.ids) < 3:
        return
    for word, kinds in (
        ("shape", [actor.shape for actor in chronicle.actors]),
        ("colour", [actor.colours for actor in chronicle.actors]),
    ):
        counts = Counter(kinds)
        if len(counts) == 2 and min(counts.values()) == 1:
            odd = [i for i, kind in zip(chronicle.ids, kinds) if counts[kind] == 1]
            yield Claim(
                "reasoning", f"Which one has another {word} than all the others?", Fit.of(odd)
            )


def _collisions(chronicle: Chronicle, rng: np.random.Generator) -> Iterator[Claim]:
    bounces = [(actor, act) for actor, act in chronicle.done("bounce")]
    sure = {actor for actor, act in bounces if chronicle.saw(actor, act)}
    ids = chronicle.ids
    may = {a for a in ids for b in ids if a != b and (chronicle.gap(a, b) < 0.03).any()}
    pairs = {frozenset((actor, act.other)) for actor, act in bounces}
    if len(pairs) <= 1:
        words = ("Which two collide?", "Which two bump into each other?")
        yield Claim("reasoning", pick(rng, words), Fit.of(sure, may), plural=True)
    for actor, act in bounces:
        called = chronicle.names.call(act.other, rng)
        if called is not None:
            touches = {
                i for i in ids if i != act.other and (chronicle.gap(i, act.other) < 0.03).any()
            }
            asked = pick(rng, ("makes {} turn back", "does {} run into", "gets in the way of {}"))
            fit = Fit.of({actor} & sure, touches)
            yield Claim("reasoning", f"Which shape {asked.format(called)}?", fit)


def _followers(chronicle: Chronicle, rng: np.random.Generator) -> Iterator[Claim]:
    follows = list(chronicle.done("follow"))
    if len(follows) != 1:
        return
    (actor, act), *_ = follows
    called = chronicle.names.call(actor, rng)
    fit = Fit.of((act.other,))
    if called is not None:
        asked = pick(rng, (f"is {called} following", f"does {called} go after"))
        yield Claim("reasoning", f"Which shape {asked}?", fit)
    yield Claim("reasoning", "Which shape is being followed?", fit)


def _screens(chronicle: Chronicle, rng: np.random.Generator) -> Iterator[Claim]:
    """Who hides somebody."""
    for actor, covers in zip(chronicle.ids, chronicle.covers):
        most = covers.max(axis=1)
        called = chronicle.names.call(actor, rng)
        if called is not None and most.max() >= 1 - GONE:
            fit = Fit.of(
                (np.flatnonzero(most >= 1 - GONE) + 1).tolist(),
                (np.flatnonzero(most > 0.3) + 1).tolist(),
            )
            yield Claim("reasoning", f"Which shape hides {called} for a while?", fit)


def _doers(chronicle: Chronicle, rng: np.random.Generator) -> Iterator[Claim]:
    for deed in deeds(chronicle, rng):
        if deed.fit.sure:
            yield _which(deed.text, deed.fit, rng)
