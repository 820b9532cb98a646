"""Sentences whose meaning shifts as the story goes on."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from virst_model.synthetic.grammar import pick
from virst_model.synthetic.names import Name
from virst_model.synthetic.sentence import Sentence
from virst_model.synthetic.timeline import Timeline, stretches
from virst_model.synthetic.trajectory import TICK_S

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


def shifting_sentences(timeline: Timeline, rng: np.random.Generator) -> Iterator[Sentence]:
    """Sentences that mean at least two different sets of actors, each for a while."""
    makers = [_by_side, _by_size, _by_moving, _by_touching, _by_nearest, _by_still]
    for i in rng.permutation(len(makers)).tolist():
        for text, (truth, doubt) in makers[i](timeline, rng):
            if _shifts(truth, doubt):
                yield _shifting(text, truth, doubt)


def _shifting(text: str, truth_AT: np.ndarray, doubt_T: np.ndarray) -> Sentence:
    """A sentence that means actor a + 1 at tick t where truth_AT[a, t]."""
    changes = np.flatnonzero((truth_AT[:, 1:] != truth_AT[:, :-1]).any(axis=0)) + 1
    spans = []
    for tick in [0, *changes.tolist()]:
        ids = tuple((np.flatnonzero(truth_AT[:, tick]) + 1).tolist())
        spans.append((_between(tick) if tick else -np.inf, ids))
    unsure = tuple((_between(start), _between(end)) for start, end in stretches(doubt_T))
    return Sentence(text, "shift", tuple(spans), unsure=unsure)


def _between(tick: int) -> float:
    """A tick speaks for the time until halfway to its neighbours."""
    return round((tick - 0.5) * TICK_S, 4)


def _shifts(truth_AT: np.ndarray, doubt_T: np.ndarray) -> bool:
    if doubt_T.mean() > _MOST_DOUBT:
        return False
    sure = truth_AT[:, ~doubt_T]
    weights = 1 << np.arange(len(sure))
    meanings, ticks = np.unique(weights @ sure, return_counts=True)
    return int((ticks >= _LEAST_TICKS).sum()) >= 2 and bool(meanings.any())


def _first(timeline: Timeline, values: np.ndarray, margin: float) -> Truth:
    """Who has the least of `values` (A, T) among those that are seen."""
    clear, some = timeline.visibility >= _CLEAR, timeline.visibility > 0
    clear_values = np.where(clear, values, np.inf)
    truth = (clear_values == clear_values.min(axis=0)) & clear
    others = np.where(some & ~truth, values, np.inf).min(axis=0)
    doubt = np.where(
        truth.any(axis=0), others < clear_values.min(axis=0) + margin, some.any(axis=0)
    )
    return truth & (truth.cumsum(axis=0) == 1), doubt


def _by_side(timeline: Timeline, rng: np.random.Generator) -> Iterator[tuple[str, Truth]]:
    for rank in rng.permutation(list(_SIDES)).tolist():
        places = np.nan_to_num(timeline.middles * np.conj(_SIDES[rank]), nan=-9.0).real
        words = (
            f"the {Name().bare(rng)} that is {rank} now",
            f"whatever is {rank} at the moment",
            f"the {rank} {Name().bare(rng)} at each moment",
        )
        yield pick(rng, words), _first(timeline, -places, _PLACE_MARGIN)


def _by_size(timeline: Timeline, rng: np.random.Generator) -> Iterator[tuple[str, Truth]]:
    if next(timeline.actions_of("grow", "shrink"), None) is None:
        return
    for word, sign in (("biggest", -1), ("smallest", 1)):
        text = pick(rng, (f"the {Name().bare(rng)} that is {word} now", f"whatever is {word} now"))
        sizes = sign * np.log(abs(timeline.turns))
        yield text, _first(timeline, sizes, float(np.log(_SIZE_MARGIN)))


def _by_nearest(timeline: Timeline, rng: np.random.Generator) -> Iterator[tuple[str, Truth]]:
    if len(timeline.ids) < 3:
        return
    for other in rng.permutation(timeline.ids)[:2].tolist():
        called = timeline.names.call(other, rng)
        if called is None or (timeline.visibility[other - 1] < _CLEAR).any():
            continue
        apart = abs(timeline.middles - timeline.middles[other - 1])
        apart = np.nan_to_num(apart, nan=9.0)
        apart[other - 1] = 99.0
        text = pick(
            rng, (f"whatever is nearest to {called} now", f"what is closest to {called} now")
        )
        truth, doubt = _first(timeline, apart, _PLACE_MARGIN)
        yield text, (truth & (apart < 9), doubt)


def _by_moving(timeline: Timeline, rng: np.random.Generator) -> Iterator[tuple[str, Truth]]:
    text = pick(rng, ("whatever is moving now", "all that moves now", "everything in motion now"))
    yield text, _while(timeline, timeline.moving)


def _by_still(timeline: Timeline, rng: np.random.Generator) -> Iterator[tuple[str, Truth]]:
    text = pick(rng, ("whatever stands still now", "all that is standing still now"))
    still = ~timeline.moving & (timeline.visibility > 0)
    # Is what grows, spins or fades on the spot still?
    busy = np.zeros_like(still)
    for actor, action in timeline.actions_of("grow", "shrink", "spin", "vanish", "appear"):
        busy[actor - 1, action.start : action.end + 1] = True
    truth, doubt = _while(timeline, still)
    yield text, (truth, doubt | busy.any(axis=0))


def _while(timeline: Timeline, state_AT: np.ndarray) -> Truth:
    """Those in that state; in doubt while one of them changes or is hardly to be seen."""
    clear = timeline.visibility >= _CLEAR
    changes = np.diff(state_AT, axis=1, prepend=state_AT[:, :1])
    changes[:, :-1] |= changes[:, 1:]
    hardly = (timeline.visibility > 0) & ~clear
    return state_AT & clear, ((changes & (timeline.visibility > 0)) | (hardly & state_AT)).any(
        axis=0
    )


def _by_touching(timeline: Timeline, rng: np.random.Generator) -> Iterator[tuple[str, Truth]]:
    for other in rng.permutation(timeline.ids).tolist():
        called = timeline.names.call(other, rng)
        if called is None:
            continue
        gaps = np.stack(
            [
                np.full(timeline.ticks, np.inf) if actor == other else timeline.gap(actor, other)
                for actor in timeline.ids
            ]
        )
        there = (timeline.visibility > 0) & (timeline.visibility[other - 1] > 0)
        clear = (timeline.visibility >= _CLEAR) & (timeline.visibility[other - 1] >= _CLEAR)
        # Where a third one lies over them, it may hide that they touch.
        covers = timeline.covers
        over_them = covers.sum(axis=1) - covers[:, other - 1]
        over_it = covers[other - 1].sum(axis=0) - covers[other - 1]
        unveiled = clear & (over_them + over_it < _VEIL)
        doubt = there & ((abs(gaps) < _TOUCH_MARGIN) | ((gaps < 0) & ~unveiled))
        text = pick(rng, (f"whatever {called} touches", f"whatever touches {called} now"))
        yield text, ((gaps < 0) & clear, doubt.any(axis=0))
