"""Riddles: questions about what shapes and colours are like in the world outside."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from virst_model.synthetic.fit import Fit
from virst_model.synthetic.grammar import pick
from virst_model.synthetic.predicates import said_of_several
from virst_model.synthetic.sentence import Claim
from virst_model.synthetic.timeline import Chronicle

# What is asked ("Which shape ...?"), the shapes that it means, and those that it may mean.
_SHAPE_RIDDLES = (
    ("could roll like a wheel", ("circle", "ring"), ()),
    ("would make a good wheel", ("circle", "ring"), ()),
    ("has no corners at all", ("circle", "ring"), ("heart",)),
    ("has a hole in the middle", ("ring",), ()),
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
    ("has the name of a precious stone", ("diamond",), ()),
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


def tell_riddles(chronicle: Chronicle, rng: np.random.Generator) -> Iterator[Claim]:
    """Riddles in any order; also those to which the answer is nobody."""
    shapes = len(_SHAPE_RIDDLES)
    for i in rng.permutation(shapes + len(_COLOUR_RIDDLES)).tolist():
        if i < shapes:
            asked, are, may_be = _SHAPE_RIDDLES[i]
            sure = [actor.id for actor in chronicle.actors if actor.shape in are]
            may = [actor.id for actor in chronicle.actors if actor.shape in may_be]
        else:
            colour_of, colour = _COLOUR_RIDDLES[i - shapes]
            asked = f"has {colour_of}"
            sure = [actor.id for actor in chronicle.actors if actor.colours == (colour,)]
            may = [actor.id for actor in chronicle.actors if colour in actor.colours]
        yield which(asked, Fit.of(sure, may), rng)


def which(asked: str, fit: Fit, rng: np.random.Generator) -> Claim:
    """Which shape moves? Or, where it is several: Which shapes move?"""
    plural = len(fit.sure) > 1
    noun = pick(rng, ("shape", "object", "one"))
    if plural:
        noun, asked = f"{noun}s", said_of_several(asked)
    return Claim("reasoning", f"Which {noun} {asked}?", fit, plural)
