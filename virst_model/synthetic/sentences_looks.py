"""Sentences about looks and places: attribute, relation, superlative, plural."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from virst_model.synthetic.deeds import shown
from virst_model.synthetic.grammar import RANKS, pick
from virst_model.synthetic.names import Name
from virst_model.synthetic.predicates import predicates
from virst_model.synthetic.sentence import Claim, Referents
from virst_model.synthetic.timeline import Timeline

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


def attribute_claims(timeline: Timeline, rng: np.random.Generator) -> Iterator[Claim]:
    """Names; first those in which every word is needed."""
    names = [name for actor in timeline.ids for name in timeline.names.unique(actor)]
    names = list(dict.fromkeys(names))
    order = rng.permutation(len(names)).tolist()
    if rng.random() < 0.7:
        order.sort(key=lambda i: not timeline.names.needs_all_words(names[i]))
    for i in order:
        name = names[i]
        yield Claim("attribute", name.word(rng), timeline.names.referents(name))


def relation_claims(timeline: Timeline, rng: np.random.Generator) -> Iterator[Claim]:
    """An actor by where, how big or of what colour it is beside another."""
    pairs = [(other, relate) for other in timeline.ids for relate in _RELATIONS]
    for i in rng.permutation(len(pairs)).tolist():
        other, relate = pairs[i]
        called = timeline.names.call(other, rng)
        if called is not None:
            words, referents = relate(timeline, other, rng)
            yield from narrowed(timeline, "relation", f"{words} {called}", referents, rng)


# Each gives words between two names, and whom they fit beside the actor `other`.
def _beside(timeline: Timeline, other: int, rng: np.random.Generator) -> tuple[str, Referents]:
    side = pick(rng, tuple(_AXES))
    apart = (timeline.centres - timeline.centres[other - 1]) * np.conj(_AXES[side])
    ahead, aside = apart.real, abs(apart.imag)
    sure = ((ahead > _PLACE_MARGIN) & (ahead > 0.6 * aside)).all(axis=1)
    return _word_side(side, rng), _referents(sure, (ahead > 0).any(axis=1), other)


def _sized(timeline: Timeline, other: int, rng: np.random.Generator) -> tuple[str, Referents]:
    word, power = pick(rng, (("bigger", 1), ("smaller", -1)))
    sizes = abs(timeline.turns)
    ratio = (sizes / sizes[other - 1]) ** power
    sure, may = (ratio > _SIZE_MARGIN).all(axis=1), (ratio > 0.98).any(axis=1)
    return f"{pick(rng, ('', 'that is '))}{word} than", _referents(sure, may, other)


def _near(timeline: Timeline, other: int, rng: np.random.Generator) -> tuple[str, Referents]:
    words = f"{pick(rng, ('nearest', 'closest'))} to"
    distance = abs(timeline.centres - timeline.centres[other - 1])
    distance[other - 1] = np.inf
    near = (distance < distance.min(axis=0) + _PLACE_MARGIN).any(axis=1)
    # With two of them, there is nothing to compare.
    sure = near if near.sum() == 1 and len(distance) > 2 else np.zeros_like(near)
    return words, _referents(sure, near, other)


def _coloured(timeline: Timeline, other: int, rng: np.random.Generator) -> tuple[str, Referents]:
    words = pick(rng, ("of the same colour as", "that has the same colour as"))
    colours = timeline.actors[other - 1].colours
    same = np.array([actor.colours == colours for actor in timeline.actors])
    some = np.array([bool({*colours} & {*actor.colours}) for actor in timeline.actors])
    return words, _referents(same, some, other)


_RELATIONS = (_beside, _beside, _sized, _near, _coloured)


def _referents(sure: np.ndarray, may: np.ndarray, other: int) -> Referents:
    who = [set((np.flatnonzero(fits) + 1).tolist()) - {other} for fits in (sure, may)]
    return Referents.of(*who)


def _word_side(side: str, rng: np.random.Generator) -> str:
    if side in ("left", "right"):
        return pick(rng, (f"{side} of", f"to the {side} of", f"on the {side} of"))
    return {"top": "above", "bottom": "below"}[side]


def narrowed(
    timeline: Timeline, kind: str, words: str, referents: Referents, rng: np.random.Generator
) -> Iterator[Claim]:
    """An actor of `referents` by the least name that with `words` means it and nobody else.

    A name that would mean it without the words is not used: they would say nothing.
    """
    for actor in rng.permutation(sorted(referents.sure)).tolist():
        names = timeline.names.of[actor]
        names = [n for n in names if not timeline.names.referents(n).is_one or n.words == 0]
        for name in names:
            both = timeline.names.referents(name) & referents
            if both.is_one:
                yield Claim(kind, f"{name.word(rng)} {words}", both)
                break


def superlative_claims(timeline: Timeline, rng: np.random.Generator) -> Iterator[Claim]:
    """The first of a class in place or size, all through the story, or the fastest."""
    names = timeline.names
    classes = [name for actor in timeline.ids for name in names.of[actor] if name.words <= 1]
    classes = [
        n for n in dict.fromkeys(classes) if n.size is None and names.referents(n).is_certain
    ]
    classes = [n for n in classes if len(names.referents(n).sure) >= 2]
    ranks = [(rank, name) for rank in (*RANKS, "fastest") for name in classes]
    for i in rng.permutation(len(ranks)).tolist():
        rank, name = ranks[i]
        referents = _first(timeline, rank, sorted(names.referents(name).sure))
        claims = [Claim("superlative", _word_rank(rank, name, rng), referents)]
        yield from shown(timeline, claims, {}) if rank == "fastest" else claims


def _first(timeline: Timeline, rank: str, ids: list[int]) -> Referents:
    rows = np.array(ids) - 1
    if rank == "fastest":
        values, margin = -np.log(timeline.speeds[rows].max(axis=1) + 1e-3)[:, None], _SPEED_MARGIN
        # What is not seen is not counted.
        if (timeline.visibility[rows] < 0.4).any():
            return Referents.of((), ids)
        margin = np.log(margin)
    elif rank in ("biggest", "smallest"):
        values = np.log(abs(timeline.turns[rows])) * (-1 if rank == "biggest" else 1)
        margin = np.log(_SIZE_MARGIN)
    else:
        axis = _AXES[_RANK_SIDES[rank]]
        values, margin = -(timeline.centres[rows] * np.conj(axis)).real, _PLACE_MARGIN
    near = (values < values.min(axis=0) + margin).any(axis=1)
    may = [actor for actor, is_near in zip(ids, near) if is_near]
    return Referents.of(may if len(may) == 1 else (), may)


def _word_rank(rank: str, name: Name, rng: np.random.Generator) -> str:
    if rank in _RANK_SIDES and rng.random() < 0.4:
        side = _RANK_SIDES[rank]
        where = f"{pick(rng, ('on', 'at'))} the {side}" if side in _AXES else ""
        where = where if side in ("left", "right") else f"at the {side}"
        return f"{name.word(rng)} {where}"
    return f"the {pick(rng, _SYNONYMS.get(rank, (rank,)))} {name.bare(rng)}"


def plural_claims(timeline: Timeline, rng: np.random.Generator) -> Iterator[Claim]:
    """Several by a name or by what they do."""
    names = timeline.names
    common = [
        n for actor in timeline.ids for n in names.of[actor] if len(names.referents(n).sure) >= 2
    ]
    subjects = [(name, None) for name in dict.fromkeys(common)]
    subjects += [
        (Name(), predicate)
        for predicate in predicates(timeline, rng)
        if len(predicate.referents.sure) >= 2
    ]
    subjects += [(None, actor) for actor in timeline.ids if len(timeline.ids) >= 3]
    for i in rng.permutation(len(subjects)).tolist():
        name, more = subjects[i]
        if name is None:
            called = names.call(more, rng)
            if called is not None:
                text = f"{pick(rng, ('everything', 'all the shapes', 'all'))} except {called}"
                referents = names.everyone - Referents.of((more,))
                yield Claim("plural", text, referents, plural=True)
        elif more is not None:
            referents = names.referents(name) & more.referents
            words = f"{_word_all(name, referents, rng)} that {more.plural}"
            yield from shown(timeline, [Claim("plural", words, referents, True)], more.spans)
        else:
            referents = names.referents(name)
            if name == Name() and rng.random() < 0.3:
                yield Claim("plural", "everything", referents, plural=True)
            else:
                yield Claim("plural", _word_all(name, referents, rng), referents, plural=True)


def _word_all(name: Name, referents: Referents, rng: np.random.Generator) -> str:
    many = ("all the", "all", "the", f"the {_NUMBERS.get(len(referents.sure), '')}".strip())
    return f"{pick(rng, many)} {name.bare(rng, plural=True)}"
