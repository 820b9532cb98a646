"""From when to when one must look to see what actors, by their ids, do; in ticks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
import itertools

import numpy as np

from virst_model.synthetic.sentence import Claim
from virst_model.synthetic.timeline import Timeline
from virst_model.synthetic.trajectory import TICK_S, Action

Ticks = tuple[int, int]
Spans = Mapping[int, Ticks]

# Who disappears, or bounces off another, was to be seen for so long before, and is afterwards.
_AROUND = 4
# Something that takes a while is seen where so much of its beginning and of its end is not.
_MISSED = 2


def span_of(timeline: Timeline, fits: Callable[[Action], bool]) -> Spans:
    """Of an action of each actor that fits: the first that is well to be seen, if any is."""
    spans: dict[int, Ticks] = {}
    for actor, actions in zip(timeline.ids, timeline.actions):
        fitting = [action for action in actions if fits(action)]
        seen = [action for action in fitting if timeline.is_seen(actor, action)]
        for action in (seen or fitting)[:1]:
            spans[actor] = span_from(action.start, action.end)
    return spans


def span_of_a_pair(timeline: Timeline, fits: Callable[[Action, Action], bool]) -> Spans:
    """Of the first two actions of each actor, one straight after the other, that fit."""
    spans: dict[int, Ticks] = {}
    for actor, actions in zip(timeline.ids, timeline.actions):
        pairs = [
            (one, then)
            for one, then in itertools.pairwise(actions)
            if one.end == then.start and fits(one, then)
        ]
        seen = [p for p in pairs if all(timeline.is_seen(actor, action) for action in p)]
        for one, then in (seen or pairs)[:1]:
            spans[actor] = span_from(one.start, then.end)
    return spans


def span_of_hiding(timeline: Timeline, back: bool) -> Spans:
    """Of the first time that each is gone, to the time that it is `back`."""
    spans: dict[int, Ticks] = {}
    for actor, hidings in zip(timeline.ids, timeline.hidings):
        known = [
            (start, end)
            for start, end in hidings
            if start >= 0 and (end < timeline.ticks or not back)
        ]
        for start, end in known[:1]:
            spans[actor] = start - _AROUND, (end if back else start) + _AROUND
    return spans


def span_of_covers(timeline: Timeline, front: int, least: float) -> Spans:
    """Of the time in which the actor `front` hides so much of another."""
    spans: dict[int, Ticks] = {}
    for actor in timeline.ids:
        covered = np.flatnonzero(timeline.covers[actor - 1, front - 1] >= least)
        if covered.size:
            spans[actor] = int(covered[0]) - _AROUND, int(covered[-1]) + _AROUND
    return spans


def span_of_rest(timeline: Timeline) -> Spans:
    """Of those that never move: the time in which all others are seen to."""
    moves = [int(np.argmax(moving)) for moving in timeline.moving if moving.any()]
    if not moves:
        return {}
    span = min(moves), max(moves) + _AROUND
    return {i: span for i, moving in zip(timeline.ids, timeline.moving) if not moving.any()}


def span_from(start: int, end: int) -> Ticks:
    """Of something that goes on from tick to tick, or happens at one."""
    if end - start > 2 * _MISSED:
        return start + _MISSED, end - _MISSED
    return (start, end) if end > start else (start - _AROUND, end + _AROUND)


def shown(timeline: Timeline, claims: Iterable[Claim], spans: Spans) -> Iterator[Claim]:
    """The claims, each with what must be seen of those whom it means: `deed_s`.

    Of an actor without a span, the fastest for one, it is all of the story.
    """
    last = timeline.ticks - 1
    whole = span_from(0, last)
    for claim in claims:
        seen = [spans.get(actor, whole) for actor in claim.referents.sure] or [whole]
        start, end = max(0, min(s for s, _ in seen)), min(last, max(e for _, e in seen))
        yield replace(claim, deed_s=(round(start * TICK_S, 4), round(end * TICK_S, 4)))
