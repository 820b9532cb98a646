"""Sentences about looks and places: attribute, relation, superlative, plural."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from virst_model.data.grammar import RANKS, pick
from virst_model.data.stories.chronicle import Chronicle
from virst_model.data.stories.deeds import deeds
from virst_model.data.stories.fit import Fit
from virst_model.data.stories.names import Name
from virst_model.data.stories.sentence import Claim

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
        needed = [any(chronicle.names.fit(s).is_one for s in name.shorter()) for name in names]
        order.sort(key=lambda i: needed[i])
    for i in order:
        name = names[i]
        yield Claim("attribute", name.word(rng), chronicle.names.fit(name))


def tell_relations(chronicle: Chronicle, rng: np.random.Generator) -> Iterator[Claim]:
    """An actor by where, how big or of what colour it is beside another."""
    names = chronicle.names
    for other in rng.permutation(chronicle.ids).tolist():
        called = names.call(other, rng)
        if called is None:
            continue
        relations = list(_relations(chronicle, other, called, rng))
        for i in rng.permutation(len(relations)).tolist():
            words, fit = relations[i]
            yield from narrowed(chronicle, "relation", words, fit, rng, but=other)


def _relations(
    chronicle: Chronicle, other: int, called: str, rng: np.random.Generator
) -> Iterator[tuple[str, Fit]]:
    """Words that follow a name, and whom they fit."""
    apart = chronicle.centres - chronicle.centres[other - 1]
    for side, axis in _AXES.items():
        ahead = (apart * np.conj(axis)).real
        aside = abs((apart * np.conj(axis)).imag)
        sure = ((ahead > _PLACE_MARGIN) & (ahead > 0.6 * aside)).all(axis=1)
        yield f"{_word_side(side, rng)} {called}", _fit(sure, (ahead > 0).any(axis=1), other)
    sizes = abs(chronicle.turns)
    for word, ratio in (
        ("bigger", sizes / sizes[other - 1]),
        ("smaller", sizes[other - 1] / sizes),
    ):
        sure, may = (ratio > _SIZE_MARGIN).all(axis=1), (ratio > 0.98).any(axis=1)
        yield f"{pick(rng, ('', 'that is '))}{word} than {called}", _fit(sure, may, other)
    distance = abs(apart)
    distance[other - 1] = np.inf
    if len(distance) > 2:
        second = np.partition(distance, 1, axis=0)[1]
        nearest, near = distance.min(axis=0), distance
        sure = ((near == nearest) & (second - nearest > _PLACE_MARGIN)).all(axis=1)
        may = (near < nearest + _PLACE_MARGIN).any(axis=1)
        yield f"{pick(rng, ('nearest', 'closest'))} to {called}", _fit(sure, may, other)
    same = np.array([a.colours == chronicle.actors[other - 1].colours for a in chronicle.actors])
    mine = set(chronicle.actors[other - 1].colours)
    some = np.array([bool(mine & set(a.colours)) for a in chronicle.actors])
    words = pick(rng, ("of the same colour as", "that has the same colour as"))
    yield f"{words} {called}", _fit(same, some, other)


def _fit(sure: np.ndarray, may: np.ndarray, other: int) -> Fit:
    who = [set((np.flatnonzero(fits) + 1).tolist()) - {other} for fits in (sure, may)]
    return Fit.of(*who)


def _word_side(side: str, rng: np.random.Generator) -> str:
    if side in ("left", "right"):
        return pick(rng, (f"{side} of", f"to the {side} of", f"on the {side} of"))
    return {"top": "above", "bottom": "below"}[side]


def narrowed(
    chronicle: Chronicle,
    kind: str,
    words: str,
    fit: Fit,
    rng: np.random.Generator,
    but: int = 0,
) -> Iterator[Claim]:
    """ "the <name> <words>" for one of `fit`, by the least name that means it and nobody else."""
    for actor in rng.permutation(sorted(fit.sure)).tolist():
        names = sorted(chronicle.names.of[actor], key=lambda name: name.words)
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
