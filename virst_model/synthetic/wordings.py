"""What people call things otherwise: more colours, light and dark ones, and more nouns.

The drawn world keeps its eight colours and its nouns; in the camera's world some things are pink,
or dark blue, and a circle may be called a ball.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
import re

import numpy as np

from virst_model.synthetic.actors import is_held_out
from virst_model.synthetic.colours import REGIONS, SHADES
from virst_model.synthetic.grammar import COLOURS, pick
from virst_model.synthetic.scenes import Scene
from virst_model.synthetic.sentence import Sentence
from virst_model.synthetic.stories import Story

NEW_COLOURS = tuple(name for name in REGIONS if name not in COLOURS)
# What may be called how; each is also said of several.
NOUNS = {
    "circle": ("ball", "disc"),
    "square": ("block",),
    "object": ("item", "toy"),
    "thing": ("item", "toy"),
}
WORDS = (
    *NEW_COLOURS,
    *("dark", "light"),
    *sorted({noun + ending for nouns in NOUNS.values() for noun in nouns for ending in ("", "s")}),
)
_RECOLOURED = 0.6  # of the worlds
# Photographs are full of what is white and no thing, before which a white thing is learned last:
# of the new colours so many are white, where nothing else is.
_WHITE = 0.5
_RENAMED, _ABSENT = 0.3, 0.3  # of the sentences, of those about nothing
_NOUN = re.compile(rf"\b({'|'.join(NOUNS)})(s?)\b")
_COLOUR = re.compile(rf"\b({'|'.join(COLOURS)})\b")


def draw_colours(world: Scene | Story, rng: np.random.Generator) -> Scene | Story:
    """The same world, in some draws with one or two of its colours in place of others.

    All things of a colour get the same new one, which nothing else has. Light and dark colours
    are for scenes alone: a story's riddles ask for what is green like grass, dark or not. What
    has two colours keeps them.
    """
    if rng.random() >= _RECOLOURED:
        return world
    kept = {name for item in world.objects if len(item.colours) == 2 for name in item.colours}
    own = sorted({item.colours[0] for item in world.objects} - kept)
    if not own:
        return world
    chosen = [str(name) for name in rng.permutation(own)[: int(rng.integers(1, 3))]]
    others = [name for name in (*own, *kept) if name not in chosen]
    new: dict[str, str] = {}
    for name in chosen:
        taken = [*others, *new.values()]
        choices = [n for n in _choices(world) if _is_apart(n, taken)]
        is_white = rng.random() < _WHITE and "white" not in taken and _may_be_white(world, name)
        new[name] = "white" if is_white else pick(rng, choices)
    return _recoloured(world, new)


def reworded(sentence: Sentence, world: Scene | Story, rng: np.random.Generator) -> Sentence:
    """The same sentence, at times with another noun; one about nothing with another colour."""
    text = sentence.text
    if rng.random() < _RENAMED:
        text = _NOUN.sub(lambda match: pick(rng, NOUNS[match[1]]) + match[2], text)
    if sentence.kind == "none" and rng.random() < _ABSENT:
        names = {name for item in world.objects for name in item.colours}
        absent = [name for name in _choices(world) if _is_apart(name, names)]
        text = _COLOUR.sub(lambda match: pick(rng, absent), text, count=1)
    return replace(sentence, text=text)


def is_doubtful(sentence: Sentence, world: Scene | Story) -> bool:
    """Whether it names nothing, but by the plain name of a colour of which there is a shade."""
    return sentence.kind == "none" and bool(shades_of(world) & set(sentence.text.split()))


def shades_of(world: Scene | Story) -> set[str]:
    """The plain names of the colours of which there is a shade: of "dark red", "red"."""
    return {name.split()[-1] for item in world.objects for name in item.colours if " " in name}


def _choices(world: Scene | Story) -> tuple[str, ...]:
    return (*NEW_COLOURS, *SHADES) if isinstance(world, Scene) else NEW_COLOURS


def _may_be_white(world: Scene | Story, name: str) -> bool:
    """Whether none of the things of a colour would have a look that is for the split `test`."""
    shapes = [item.shape for item in world.objects if item.colours == (name,)]
    return world.split == "test" or not any(is_held_out(("white",), shape) for shape in shapes)


def _is_apart(name: str, others: Iterable[str]) -> bool:
    """Whether none of `others` could be called by `name`, nor the other way round."""
    alike = [other for other in others if other.split()[-1] == name.split()[-1]]
    return name not in alike and all(" " in one for one in (name, *alike) if alike)


def _recoloured(world: Scene | Story, new: Mapping[str, str]) -> Scene | Story:
    if isinstance(world, Scene):
        objects = tuple(replace(o, colour=new.get(o.colour, o.colour)) for o in world.objects)
        return replace(world, objects=objects)
    actors = tuple(
        replace(actor, colours=tuple(new.get(name, name) for name in actor.colours))
        for actor in world.objects
    )
    return replace(world, objects=actors, timeline=world.timeline.recast(actors))
