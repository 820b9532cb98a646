"""Sentences about looks and places: attribute, relation, superlative, plural."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from virst_model.synthetic.fit import Fit
from virst_model.synthetic.grammar import RANKS, pick
from virst_model.synthetic.names import Name
from virst_model.synthetic.predicates import deeds
from virst_model.synthetic.sentence import Claim
from virst_model.synthetic.timeline import Chronicle

_PLACE_MARGIN = 0.1  # heights of the frame
_SIZE_MARGIN = 1.25  # ratio of radii
_SPEED_MARGIN = 1.5
_AXES = {
    "left": -1.0 + 0j,
    "right": 1.0 + 0j,
    "top": -1j,
    "bottom": 1j,
}
_RANK_SIDES = {"leftmost": "left", "rightmost": "right", "topmost": "top", "bottommost": "bottom"}
_SYNONYMS = {"biggest": ("biggest", "largest"), "smallest": ("smallest",)}
_NUMBERS = {2: "two", 3: "three", 4: "four", 5: "five", 6: "six"}


def tell_attributes(chronicle: Chronicle, rng: np.random.Generator) -> Iterator[Claim]:
    """Names; first those in which every word is needed."""
    names = [name for actor in chronicle.ids for name in chronicle.names.unique(actor)]
    names = list(dict.fromkeys(names))
    order = rng.permutation(len(names)).tolist()
    if rng.random() < 0.7:
        order.sort(key=lambda i: not chronicle.names.needs_all_words(names[i]))
    for i in order:
        name = names[i]
        yield Claim("attribute", name.word(rng), chronicle.names.fit(name))


def tell_relations(chronicle: Chronicle, rng: np.random.Generator) -> Iterator[Claim]:
    """An actor by where, how big or of what colour it is beside another."""
    pairs = [(other, relate) for other in chronicle.ids for relate in _RELATIONS]
    for i in rng.permutation(len(pairs)).tolist():
        other, relate = pairs[i]
        called = chronicle.names.call(other, rng)
        if called is not None:
            words, fit = relate(chronicle, other, rng)
            yield from narrowed(chronicle, "relation", f"{words} {called}", fit, rng)


# Each gives words between two names, and whom they fit beside the actor `other`.
def _beside(chronicle: Chronicle, other: int, rng: np.random.Generator) -> tuple[str, Fit]:
    side = pick(rng, tuple(_AXES))
    apart = (chronicle.centres - chronicle.centres[other - 1]) * np.conj(_AXES[side])
    ahead, aside = apart.real, abs(apart.imag)
    sure = ((ahead > _PLACE_MARGIN) & (ahead > 0.6 * aside)).all(axis=1)
    return _word_side(side, rng), _fit(sure, (ahead > 0).any(axis=1), other)


def _sized(chronicle: Chronicle, other: int, rng: np.random.Generator) -> tuple[str, Fit]:
    word, power = pick(rng, (("bigger", 1), ("smaller", -1)))
    sizes = abs(chronicle.turns)
    ratio = (sizes / sizes[other - 1]) ** power
    sure, may = (ratio > _SIZE_MARGIN).all(axis=1), (ratio > 0.98).any(axis=1)
    return f"{pick(rng, ('', 'that is '))}{word} than", _fit(sure, may, other)


def _near(chronicle: Chronicle, other: int, rng: np.random.Generator) -> tuple[str, Fit]:
    words = f"{pick(rng, ('nearest', 'closest'))} to"
    distance = abs(chronicle.centres - chronicle.centres[other - 1])
    distance[other - 1] = np.inf
    near = (distance < distance.min(axis=0) + _PLACE_MARGIN).any(axis=1)
    # With two of them, there is nothing to compare.
    sure = near if near.sum() == 1 and len(distance) > 2 else np.zeros_like(near)
    return words, _fit(sure, near, other)


def _coloured(chronicle: Chronicle, other: int, rng: np.random.Generator) -> tuple[str, Fit]:
    words = pick(rng, ("of the same colour as", "that has the same colour as"))
    colours = chronicle.actors[other - 1].colours
    same = np.array([actor.colours == colours for actor in chronicle.actors])
    some = np.array([bool({*colours} & {*actor.colours}) for actor in chronicle.actors])
    return words, _fit(same, some, other)


_RELATIONS = (_beside, _beside, _sized, _near, _coloured)


def _fit(sure: np.ndarray, may: np.ndarray, other: int) -> Fit:
    who = [set((np.flatnonzero(fits) + 1).tolist()) - {other} for fits in (sure, may)]
    return Fit.of(*who)


def _word_side(side: str, rng: np.random.Generator) -> str:
    if side in ("left", "right"):
        return pick(rng, (f"{side} of", f"to the {side} of", f"on the {side} of"))
    return {"top": "above", "bottom": "below"}[side]


def narrowed(
    chronicle: Chronicle, kind: str, words: str, fit: Fit, rng: np.random.Generator
) -> Iterator[Claim]:
    """An actor of `fit` by the least name that together with `words` means it and nobody else.

    A name that would mean it without the words is not used: they would say nothing.
    """
    for actor in rng.permutation(sorted(fit.sure)).tolist():
        names = chronicle.names.of[actor]
        names = [n for n in names if not chronicle.names.fit(n).is_one or n.words == 0]
        for name in names:
            both = chronicle.names.fit(name) & fit
            if both.is_one:
                yield Claim(kind, f"{name.word(rng)} {words}", both)
                break


def tell_superlatives(chronicle: Chronicle, rng: np.random.Generator) -> Iterator[Claim]:
    """The first of a class in place or size, all through the story, or the fastest."""
    names = chronicle.names
    classes = [name for actor in chronicle.ids for name in names.of[actor] if name.words <= 1]
    classes = [n for n in dict.fromkeys(classes) if n.size is None and names.fit(n).is_certain]
    classes = [n for n in classes if len(names.fit(n).sure) >= 2]
    ranks = [(rank, name) for rank in (*RANKS, "fastest") for name in classes]
    for i in rng.permutation(len(ranks)).tolist():
        rank, name = ranks[i]
        fit = _first(chronicle, rank, sorted(names.fit(name).sure))
        yield Claim("superlative", _word_rank(rank, name, rng), fit)


def _first(chronicle: Chronicle, rank: str, ids: list[int]) -> Fit:
    rows = np.array(ids) - 1
    if rank == "fastest":
        values, margin = -np.log(chronicle.speeds[rows].max(axis=1) + 1e-3)[:, None], _SPEED_MARGIN
        # What is not seen is not counted.
        if (chronicle.shown[rows] < 0.4).any():
            return Fit.of((), ids)
        margin = np.log(margin)
    elif rank in ("biggest", "smallest"):
        values = np.log(abs(chronicle.turns[rows])) * (-1 if rank == "biggest" else 1)
        margin = np.log(_SIZE_MARGIN)
    else:
        axis = _AXES[_RANK_SIDES[rank]]
        values, margin = -(chronicle.centres[rows] * np.conj(axis)).real, _PLACE_MARGIN
    near = (values < values.min(axis=0) + margin).any(axis=1)
    may = [actor for actor, is_near in zip(ids, near) if is_near]
    return Fit.of(may if len(may) == 1 else (), may)


def _word_rank(rank: str, name: Name, rng: np.random.Generator) -> str:
    if rank in _RANK_SIDES and rng.random() < 0.4:
        side = _RANK_SIDES[rank]
        where = f"{pick(rng, ('on', 'at'))} the {side}" if side in _AXES else ""
        where = where if side in ("left", "right") else f"at the {side}"
        return f"{name.word(rng)} {where}"
    return f"the {pick(rng, _SYNONYMS.get(rank, (rank,)))} {name.bare(rng)}"


def tell_plurals(chronicle: Chronicle, rng: np.random.Generator) -> Iterator[Claim]:
    """Several by a name or by what they do."""
    names = chronicle.names
    common = [n for actor in chronicle.ids for n in names.of[actor] if len(names.fit(n).sure) >= 2]
    said = [(name, None) for name in dict.fromkeys(common)]
    said += [(Name(), deed) for deed in deeds(chronicle, rng) if len(deed.fit.sure) >= 2]
    said += [(None, actor) for actor in chronicle.ids if len(chronicle.ids) >= 3]
    for i in rng.permutation(len(said)).tolist():
        name, more = said[i]
        if name is None:
            called = names.call(more, rng)
            if called is not None:
                text = f"{pick(rng, ('everything', 'all the shapes', 'all'))} except {called}"
                fit = names.everyone - Fit.of((more,))
                yield Claim("plural", text, fit, plural=True)
        elif more is not None:
            fit = names.fit(name) & more.fit
            yield Claim("plural", f"{_word_all(name, fit, rng)} that {more.plural}", fit, True)
        else:
            fit = names.fit(name)
            if name == Name() and rng.random() < 0.3:
                yield Claim("plural", "everything", fit, plural=True)
            else:
                yield Claim("plural", _word_all(name, fit, rng), fit, plural=True)


def _word_all(name: Name, fit: Fit, rng: np.random.Generator) -> str:
    many = ("all the", "all", "the", f"the {_NUMBERS.get(len(fit.sure), '')}".strip())
    return f"{pick(rng, many)} {name.bare(rng, plural=True)}"
