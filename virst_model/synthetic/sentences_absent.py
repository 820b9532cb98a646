"""Sentences that mean nobody, though most of their words might fit."""

from __future__ import annotations

from collections.abc import Iterator
import itertools

import numpy as np

from virst_model.synthetic.actors import TEXTURES, is_held_out
from virst_model.synthetic.grammar import COLOURS, pick
from virst_model.synthetic.names import Name
from virst_model.synthetic.predicates import predicates
from virst_model.synthetic.sentence import Claim
from virst_model.synthetic.sentences_events import events
from virst_model.synthetic.sentences_reasoning import riddle_claims
from virst_model.synthetic.shapes import SHAPES
from virst_model.synthetic.timeline import Timeline


def absent_claims(timeline: Timeline, split: str, rng: np.random.Generator) -> Iterator[Claim]:
    """Claims that mostly fit nobody, without end.

    Combinations of colour and shape that `split` never shows are not named.
    """
    names, missing = timeline.names, _undone(timeline, rng)
    while True:
        name, predicate = _spoil(timeline, rng), None
        if rng.random() < 0.5 and missing:
            name, predicate = pick(rng, names.of[pick(rng, timeline.ids)]), pick(rng, missing)
        if split != "test" and _is_forbidden(name):
            continue
        referents = names.referents(name)
        if predicate is None:
            yield Claim("none", name.word(rng), referents)
        else:
            text, done_by = predicate
            yield Claim("none", text.format(name.bare(rng)), referents & done_by)


def _undone(timeline: Timeline, rng: np.random.Generator) -> list[tuple]:
    """Sentences with a place for a name, and whom the rest of the words fits: mostly nobody."""
    templates = [
        (f"the {{}} that {predicate.text}", predicate.referents)
        for predicate in predicates(timeline, rng)
    ]
    nobody = timeline.names.everyone - timeline.names.everyone
    for event in events(timeline, rng):
        if not event.at and not event.doubtful:
            templates.append((f"the {pick(rng, ('first', 'last'))} {{}} to {event.do}", nobody))
    riddles = (claim.text for claim in riddle_claims(timeline, rng) if not claim.referents.may)
    return templates + [(text, nobody) for text in itertools.islice(riddles, 4)]


def _spoil(timeline: Timeline, rng: np.random.Generator) -> Name:
    """A name of which one thing is wrong, or which mixes two actors."""
    near, other = (timeline.actors[int(rng.integers(len(timeline.ids)))] for _ in range(2))
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
