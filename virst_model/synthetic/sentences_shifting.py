"""Sentences whose meaning shifts as the story goes on."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from virst_model.synthetic.grammar import pick
from virst_model.synthetic.names import Name
from virst_model.synthetic.sentence import Sentence, shifting
from virst_model.synthetic.timeline import Chronicle

_CLEAR = 0.3  # share of an actor that must be seen to compare it
_PLACE_MARGIN = 0.05
_SIZE_MARGIN = 1.15
_TOUCH_MARGIN = 0.025
_VEIL = 0.05  # share of two actors that a third hides
_MOST_DOUBT = 0.25  # of the story
_LEAST_TICKS = 6  # of each of two meanings
_SIDES = {"leftmost": -1.0 + 0j, "rightmost": 1.0 + 0j, "topmost": -1j, "bottommost": 1j}

# (A, T) whom it means, (T,) where there is doubt.
Truth = tuple[np.ndarray, np.ndarray]


def tell_shifts(chronicle: Chronicle, rng: np.random.Generator) -> Iterator[Sentence]:
    """Sentences that mean at least two different sets of actors, each for a while."""
    makers = [_tell_side, _tell_size, _tell_moving, _tell_touching, _tell_nearest, _tell_still]
    for i in rng.permutation(len(makers)).tolist():
        for text, (truth, doubt) in makers[i](chronicle, rng):
            if _shifts(truth, doubt):
                yield shifting(text, truth, doubt)


def _shifts(truth_AT: np.ndarray, doubt_T: np.ndarray) -> bool:
    if doubt_T.mean() > _MOST_DOUBT:
        return False
    sure = truth_AT[:, ~doubt_T]
    weights = 1 << np.arange(len(sure))
    meanings, ticks = np.unique(weights @ sure, return_counts=True)
    return int((ticks >= _LEAST_TICKS).sum()) >= 2 and bool(meanings.any())


def _first(chronicle: Chronicle, values: np.ndarray, margin: float) -> Truth:
    """Who has the least of `values` (A, T) among those that are seen."""
    clear, some = chronicle.shown >= _CLEAR, chronicle.shown > 0
    seen = np.where(clear, values, np.inf)
    truth = (seen == seen.min(axis=0)) & clear
    others = np.where(some & ~truth, values, np.inf).min(axis=0)
    doubt = np.where(truth.any(axis=0), others < seen.min(axis=0) + margin, some.any(axis=0))
    return truth & (truth.cumsum(axis=0) == 1), doubt


def _tell_side(chronicle: Chronicle, rng: np.random.Generator) -> Iterator[tuple[str, Truth]]:
    for rank in rng.permutation(list(_SIDES)).tolist():
        places = np.nan_to_num(chronicle.middles * np.conj(_SIDES[rank]), nan=-9.0).real
        words = (
            f"the {Name().bare(rng)} that is {rank} now",
            f"whatever is {rank} at the moment",
            f"the {rank} {Name().bare(rng)} at each moment",
        )
        yield pick(rng, words), _first(chronicle, -places, _PLACE_MARGIN)


def _tell_size(chronicle: Chronicle, rng: np.random.Generator) -> Iterator[tuple[str, Truth]]:
    if next(chronicle.done("grow", "shrink"), None) is None:
        return
    for word, sign in (("biggest", -1), ("smallest", 1)):
        text = pick(rng, (f"the {Name().bare(rng)} that is {word} now", f"whatever is {word} now"))
        sizes = sign * np.log(abs(chronicle.turns))
        yield text, _first(chronicle, sizes, float(np.log(_SIZE_MARGIN)))


def _tell_nearest(chronicle: Chronicle, rng: np.random.Generator) -> Iterator[tuple[str, Truth]]:
    if len(chronicle.ids) < 3:
        return
    for other in rng.permutation(chronicle.ids)[:2].tolist():
        called = chronicle.names.call(other, rng)
        if called is None or (chronicle.shown[other - 1] < _CLEAR).any():
            continue
        apart = abs(chronicle.middles - chronicle.middles[other - 1])
        apart = np.nan_to_num(apart, nan=9.0)
        apart[other - 1] = 99.0
        text = pick(
            rng, (f"whatever is nearest to {called} now", f"what is closest to {called} now")
        )
        truth, doubt = _first(chronicle, apart, _PLACE_MARGIN)
        yield text, (truth & (apart < 9), doubt)


def _tell_moving(chronicle: Chronicle, rng: np.random.Generator) -> Iterator[tuple[str, Truth]]:
    text = pick(rng, ("whatever is moving now", "all that moves now", "everything in motion now"))
    yield text, _while(chronicle, chronicle.moving)


def _tell_still(chronicle: Chronicle, rng: np.random.Generator) -> Iterator[tuple[str, Truth]]:
    text = pick(rng, ("whatever stands still now", "all that is standing still now"))
    still = ~chronicle.moving & (chronicle.shown > 0)
    # Is what grows, spins or fades on the spot still?
    busy = np.zeros_like(still)
    for actor, act in chronicle.done("grow", "shrink", "spin", "vanish", "appear"):
        busy[actor - 1, act.start : act.end + 1] = True
    truth, doubt = _while(chronicle, still)
    yield text, (truth, doubt | busy.any(axis=0))


def _while(chronicle: Chronicle, state_AT: np.ndarray) -> Truth:
    """Those in that state; in doubt while one of them changes or is hardly to be seen."""
    seen = chronicle.shown >= _CLEAR
    changes = np.diff(state_AT, axis=1, prepend=state_AT[:, :1])
    changes[:, :-1] |= changes[:, 1:]
    hardly = (chronicle.shown > 0) & ~seen
    return state_AT & seen, ((changes & (chronicle.shown > 0)) | (hardly & state_AT)).any(axis=0)


def _tell_touching(chronicle: Chronicle, rng: np.random.Generator) -> Iterator[tuple[str, Truth]]:
    for other in rng.permutation(chronicle.ids).tolist():
        called = chronicle.names.call(other, rng)
        if called is None:
            continue
        gaps = np.stack(
            [
                np.full(chronicle.ticks, np.inf) if actor == other else chronicle.gap(actor, other)
                for actor in chronicle.ids
            ]
        )
        there = (chronicle.shown > 0) & (chronicle.shown[other - 1] > 0)
        clear = (chronicle.shown >= _CLEAR) & (chronicle.shown[other - 1] >= _CLEAR)
        # Where a third one lies over them, it may hide that they touch.
        covers = chronicle.covers
        over_them = covers.sum(axis=1) - covers[:, other - 1]
        over_it = covers[other - 1].sum(axis=0) - covers[other - 1]
        unveiled = clear & (over_them + over_it < _VEIL)
        doubt = there & ((abs(gaps) < _TOUCH_MARGIN) | ((gaps < 0) & ~unveiled))
        text = pick(rng, (f"whatever {called} touches", f"whatever touches {called} now"))
        yield text, ((gaps < 0) & clear, doubt.any(axis=0))
