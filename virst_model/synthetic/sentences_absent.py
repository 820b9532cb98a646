"""Sentences that mean nobody, though most of their words might fit."""

from __future__ import annotations

from collections.abc import Iterator
import itertools

import numpy as np

from virst_model.synthetic.actors import TEXTURES, is_held_out
from virst_model.synthetic.grammar import COLOURS, pick
from virst_model.synthetic.names import Name
from virst_model.synthetic.predicates import deeds
from virst_model.synthetic.riddles import tell_riddles
from virst_model.synthetic.sentence import Claim
from virst_model.synthetic.sentences_events import events
from virst_model.synthetic.shapes import SHAPES
from virst_model.synthetic.timeline import Chronicle


def tell_absent(chronicle: Chronicle, split: str, rng: np.random.Generator) -> Iterator[Claim]:
    """Without end. Combinations of colour and shape that `split` never shows are not named."""
    names, missing = chronicle.names, _undone(chronicle, rng)
    while True:
        name, deed = _spoil(chronicle, rng), None
        if rng.random() < 0.5 and missing:
            name, deed = pick(rng, names.of[pick(rng, chronicle.ids)]), pick(rng, missing)
        if split != "test" and _is_forbidden(name):
            continue
        fit = names.fit(name)
        if deed is None:
            yield Claim("none", name.word(rng), fit)
        else:
            text, done_by = deed
            yield Claim("none", text.format(name.bare(rng)), fit & done_by)


def _undone(chronicle: Chronicle, rng: np.random.Generator) -> list[tuple]:
    """Sentences with a place for a name, and whom the rest of the words fits: mostly nobody."""
    said = [(f"the {{}} that {deed.text}", deed.fit) for deed in deeds(chronicle, rng)]
    nobody = chronicle.names.everyone - chronicle.names.everyone
    for event in events(chronicle, rng):
        if not event.at and not event.doubtful:
            said.append((f"the {pick(rng, ('first', 'last'))} {{}} to {event.do}", nobody))
    riddles = (claim.text for claim in tell_riddles(chronicle, rng) if not claim.fit.may)
    return said + [(text, nobody) for text in itertools.islice(riddles, 4)]


def _spoil(chronicle: Chronicle, rng: np.random.Generator) -> Name:
    """A name of which one thing is wrong, or which mixes two actors."""
    near, other = (chronicle.actors[int(rng.integers(len(chronicle.ids)))] for _ in range(2))
    name = Name(near.shape, near.colours)
    draw = rng.random()
    if draw < 0.4:
        return name._replace(shape=other.shape)
    if draw < 0.55:
        return name._replace(colours=(pick(rng, COLOURS),))
    if draw < 0.7:
        return Name(pick(rng, SHAPES), name.colours if rng.random() < 0.5 else None)
    if draw < 0.85:
        return name._replace(size=pick(rng, ("big", "small")))
    return name._replace(texture=pick(rng, TEXTURES[1:]))


def _is_forbidden(name: Name) -> bool:
    return bool(name.shape and name.colours and is_held_out(name.colours, name.shape))
