"""Sentences about what happens: motion, and time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from virst_model.synthetic.deeds import shown
from virst_model.synthetic.grammar import pick
from virst_model.synthetic.names import Name
from virst_model.synthetic.predicates import meetings, predicates, sequences
from virst_model.synthetic.sentence import Claim, Referents
from virst_model.synthetic.sentences_looks import narrowed
from virst_model.synthetic.timeline import Timeline
from virst_model.synthetic.trajectory import TICK_S

# What happens closer together than this happens at the same time.
_MARGIN_TICKS = 5
# So long before something happens one must see that it has not yet, and afterwards that it has.
_AROUND = 4


@dataclass(frozen=True)
class Event:
    """Something that happens at some tick to some actors.

    Attributes:
        does, do: its words ("disappears", "disappear").
        at: its ticks, by the ids of the actors to whom it is seen to happen.
        doubtful: ids of the actors to whom it may happen.
    """

    does: str
    do: str
    at: dict[int, tuple[int, ...]]
    doubtful: frozenset[int] = frozenset()


def events(timeline: Timeline, rng: np.random.Generator) -> list[Event]:
    """All that can happen, whether it happens or not."""
    ids, end = timeline.ids, timeline.ticks
    gone = {i: tuple(s for s, _ in spans if s >= 0) for i, spans in zip(ids, timeline.hidings)}
    back = {
        i: tuple(e for s, e in spans if s >= 0 and e < end)
        for i, spans in zip(ids, timeline.hidings)
    }
    hides = pick(rng, (("disappears", "disappear"), ("goes out of sight", "go out of sight")))
    stops = pick(rng, (("stops", "stop"), ("stops moving", "stop moving")))
    starts = pick(rng, (("starts moving", "start moving"), ("sets off", "set off")))
    half_hidden, half_stopped = timeline.half_hidden, timeline.half_stopped
    return [
        Event(*hides, _some(gone), half_hidden),
        Event("comes back", "come back", _some(back), half_hidden),
        Event(*stops, _some(dict(zip(ids, timeline.stops))), half_stopped),
        Event(*starts, _some(dict(zip(ids, timeline.starts))), half_stopped),
        _event(timeline, "leave", "leaves the picture", "leave the picture"),
        _event(timeline, "grow", "grows", "grow"),
        _event(timeline, "shrink", "shrinks", "shrink"),
        _event(timeline, "spin", "spins", "spin"),
    ]


def _event(timeline: Timeline, verb: str, does: str, do: str) -> Event:
    done = list(timeline.actions_of(verb))
    # It has left when it is out, it grows as soon as it begins to.
    at = {
        actor: (action.end if verb == "leave" else action.start,)
        for actor, action in done
        if timeline.is_seen(actor, action)
    }
    return Event(does, do, at, frozenset(actor for actor, _ in done) - at.keys())


def _some(at: dict[int, tuple[int, ...]]) -> dict[int, tuple[int, ...]]:
    return {actor: ticks for actor, ticks in at.items() if ticks}


def motion_claims(timeline: Timeline, rng: np.random.Generator) -> Iterator[Claim]:
    """An actor by what it does: alone, one thing after the other, or with another."""
    other = pick(rng, timeline.ids)
    called = timeline.names.call(other, rng)
    # What happens in order, or to another, is worth more than the rest.
    done = predicates(timeline, rng) + 2 * list(sequences(timeline, rng))
    if called is not None:
        done += 2 * meetings(timeline, other, called, rng)
    done = [predicate for predicate in done if predicate.referents.sure]
    for i in rng.permutation(len(done)).tolist():
        words, referents = f"that {done[i].text}", done[i].referents
        claims = narrowed(timeline, "motion", words, referents, rng)
        yield from shown(timeline, claims, done[i].spans)


def time_claims(timeline: Timeline, rng: np.random.Generator) -> Iterator[Claim]:
    """An actor by when something happens to it."""
    happened = [event for event in events(timeline, rng) if event.at]
    kinds = [(event, None) for event in happened if len(event.at) >= 2]
    kinds += [(one, other) for one in happened for other in happened]
    order = rng.permutation(len(kinds)).tolist()
    # The first and last are few, what happens before or after something else is much.
    order.sort(key=lambda i: kinds[i][1] is not None and rng.random() < 0.6)
    for i in order:
        event, other = kinds[i]
        if other is None:
            yield from _extremes(timeline, event, rng)
        else:
            yield from _before_or_after(timeline, event, other, rng)


def _extremes(timeline: Timeline, event: Event, rng: np.random.Generator) -> Iterator[Claim]:
    """The first or the last to whom it happens, of all or of a class."""
    general = Name()
    names = [n for actor in event.at for n in timeline.names.of[actor] if n.words == 1]
    for name in (general, pick(rng, names) if names else general):
        referents = timeline.names.referents(name)
        at = {actor: ticks for actor, ticks in event.at.items() if actor in referents.may}
        if not referents.is_certain or len(at) < 2 or event.doubtful & referents.may:
            continue
        last = rng.random() < 0.5
        times = {a: (-max(ticks) if last else min(ticks)) for a, ticks in at.items()}
        first = min(times, key=times.__getitem__)
        may = [a for a, tick in times.items() if tick < times[first] + _MARGIN_TICKS]
        ordinal, noun = ("last" if last else "first"), name.bare(rng)
        wordings = (
            f"the {ordinal} {noun} to {event.do}",
            f"the {noun} that {event.does} {ordinal}",
            f"the {noun} that is the {ordinal} to {event.do}",
        )
        sure = may if len(may) == 1 else ()
        when = _when(timeline, times[first], *at.values())
        yield Claim("time", pick(rng, wordings), Referents.of(sure, may), **when)


def _before_or_after(
    timeline: Timeline, event: Event, other: Event, rng: np.random.Generator
) -> Iterator[Claim]:
    """To whom it happens before or after something else happens to somebody else, once."""
    once = [actor for actor, ticks in other.at.items() if len(ticks) == 1]
    once = [actor for actor in once if actor not in other.doubtful]
    if not once:
        return
    marker = pick(rng, once)
    called = timeline.names.call(marker, rng)
    if called is None:
        return
    when = other.at[marker][0]
    late = bool(rng.random() < 0.5)
    sure, may = set(), set(event.doubtful) - {marker}
    for actor, ticks in event.at.items():
        if actor != marker:
            after = [tick - when if late else when - tick for tick in ticks]
            if max(after) > -_MARGIN_TICKS:
                may.add(actor)
            # Somebody who does it before and after does it after, but who would say so?
            if min(after) >= _MARGIN_TICKS and actor not in event.doubtful:
                sure.add(actor)
    words = f"that {event.does} {'after' if late else 'before'} {called} {other.does}"
    # Else the words of time would say nothing.
    if not sure or len(may) == len([a for a in event.at if a != marker]) > 1:
        return
    for claim in narrowed(timeline, "time", words, Referents.of(sure, may), rng):
        (actor,) = claim.referents.sure
        decided = max(when, *event.at[actor])
        yield replace(claim, **_when(timeline, decided, (when,), event.at[actor]))


def _when(timeline: Timeline, decided: int, *ticks: Iterable[int]) -> dict[str, Any]:
    """`decided_s` and `deed_s` of a claim: at that tick it is known, of what happened at these."""
    decided, first = abs(decided), min(map(min, ticks))
    deed = max(0, first - _AROUND), min(timeline.ticks - 1, decided + _AROUND)
    return {
        "decided_s": round(decided * TICK_S, 4),
        "deed_s": tuple(round(tick * TICK_S, 4) for tick in deed),
    }
