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

# Who disappears was to be seen for so long before, and is seen to be gone for so long.
_AROUND = 4
# A deed is seen where so much of its beginning and of its end is not.
_MISSED = 2


def span_of(timeline: Timeline, fits: Callable[[Action], bool]) -> Spans:
    """Of the first action of each actor that fits."""
    spans: dict[int, Ticks] = {}
    for actor, actions in zip(timeline.ids, timeline.actions):
        found = next(filter(fits, actions), None)
        if found is not None:
            spans[actor] = found.start, found.end
    return spans


def span_of_a_pair(timeline: Timeline, fits: Callable[[Action, Action], bool]) -> Spans:
    """Of the first two actions of each actor, one after the other, that fit."""
    spans: dict[int, Ticks] = {}
    for actor, actions in zip(timeline.ids, timeline.actions):
        moves = [action for action in actions if action.verb != "stand"]
        found = next((pair for pair in itertools.pairwise(moves) if fits(*pair)), None)
        if found is not None:
            spans[actor] = found[0].start, found[1].end
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
        if known:
            start, end = known[0]
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


def shown(timeline: Timeline, claims: Iterable[Claim], spans: Spans) -> Iterator[Claim]:
    """The claims, each with what must be seen of those whom it means: `deed_s`.

    Of an actor without a span, that stands still or is the fastest, it is all of the story.
    """
    whole = (0, timeline.ticks - 1)
    for claim in claims:
        seen = [spans.get(actor, whole) for actor in sorted(claim.referents.sure)] or [whole]
        start, end = min(s for s, _ in seen), max(e for _, e in seen)
        start = max(start, 0) + _MISSED
        end = max(start, min(end, timeline.ticks - 1) - _MISSED)
        yield replace(claim, deed_s=(round(start * TICK_S, 4), round(end * TICK_S, 4)))
