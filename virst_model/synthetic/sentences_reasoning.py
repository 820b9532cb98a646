"""Questions that need a thought: who differs, and who made what happen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np

from virst_model.synthetic.fit import Fit
from virst_model.synthetic.grammar import pick
from virst_model.synthetic.predicates import deeds
from virst_model.synthetic.riddles import tell_riddles, which
from virst_model.synthetic.sentence import Claim
from virst_model.synthetic.timeline import GONE, Chronicle


def tell_reasonings(chronicle: Chronicle, rng: np.random.Generator) -> Iterator[Claim]:
    """Questions of every sort in turn; also those to which the answer is nobody."""
    sorts = (tell_riddles, _odd_ones, _collisions, _followers, _screens, _doers)
    asked = [sorts[i](chronicle, rng) for i in rng.permutation(len(sorts)).tolist()]
    while asked:
        for questions in tuple(asked):
            claim = next(questions, None)
            if claim is None:
                asked.remove(questions)
            else:
                yield claim


def _odd_ones(chronicle: Chronicle, rng: np.random.Generator) -> Iterator[Claim]:
    """The one that differs where all others are alike."""
    if len(chronicle.ids) < 3:
        return
    for word, kinds in (
        ("shape", [(actor.shape,) for actor in chronicle.actors]),
        ("colour", [actor.colours for actor in chronicle.actors]),
    ):
        counts = Counter(kinds)
        if len(counts) == 2 and min(counts.values()) == 1 and _share_nothing(*counts):
            odd = [i for i, kind in zip(chronicle.ids, kinds) if counts[kind] == 1]
            yield Claim(
                "reasoning", f"Which one has another {word} than all the others?", Fit.of(odd)
            )


def _share_nothing(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    return not {*one} & {*other}


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
    done = [deed for deed in deeds(chronicle, rng) if deed.fit.sure]
    for i in rng.permutation(len(done)).tolist():
        yield which(done[i].text, done[i].fit, rng)
