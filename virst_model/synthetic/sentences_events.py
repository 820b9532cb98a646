"""Sentences about what happens: motion, and time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from virst_model.synthetic.fit import Fit
from virst_model.synthetic.grammar import pick
from virst_model.synthetic.names import Name
from virst_model.synthetic.predicates import deeds, meetings, sequences
from virst_model.synthetic.sentence import Claim
from virst_model.synthetic.sentences_looks import narrowed
from virst_model.synthetic.timeline import Chronicle
from virst_model.synthetic.trajectory import TICK_S

# What happens closer together than this happens at the same time.
_MARGIN_TICKS = 5


@dataclass(frozen=True)
class Event:
    """Something that happens at some tick to some actors.

    `does` and `do` word it ("disappears", "disappear"); `at` are its ticks by the ids of the
    actors to whom it is seen to happen, `doubtful` the ids of those to whom it may.
    """

    does: str
    do: str
    at: dict[int, tuple[int, ...]]
    doubtful: frozenset[int] = frozenset()


def events(chronicle: Chronicle, rng: np.random.Generator) -> list[Event]:
    """All that can happen, whether it happens or not."""
    ids, end = chronicle.ids, chronicle.ticks
    gone = {i: tuple(s for s, _ in spans if s >= 0) for i, spans in zip(ids, chronicle.hidings)}
    back = {
        i: tuple(e for s, e in spans if s >= 0 and e < end)
        for i, spans in zip(ids, chronicle.hidings)
    }
    hides = pick(rng, (("disappears", "disappear"), ("goes out of sight", "go out of sight")))
    stops = pick(rng, (("stops", "stop"), ("stops moving", "stop moving")))
    starts = pick(rng, (("starts moving", "start moving"), ("sets off", "set off")))
    half_hidden, half_stopped = chronicle.half_hidden, chronicle.half_stopped
    return [
        Event(*hides, _some(gone), half_hidden),
        Event("comes back", "come back", _some(back), half_hidden),
        Event(*stops, _some(dict(zip(ids, chronicle.stops))), half_stopped),
        Event(*starts, _some(dict(zip(ids, chronicle.starts))), half_stopped),
        _event(chronicle, "leave", "leaves the picture", "leave the picture"),
        _event(chronicle, "grow", "grows", "grow"),
        _event(chronicle, "shrink", "shrinks", "shrink"),
        _event(chronicle, "spin", "spins", "spin"),
    ]


def _event(chronicle: Chronicle, verb: str, does: str, do: str) -> Event:
    done = list(chronicle.done(verb))
    # It has left when it is out, it grows as soon as it begins to.
    at = {
        actor: (act.end if verb == "leave" else act.start,)
        for actor, act in done
        if chronicle.saw(actor, act)
    }
    return Event(does, do, at, frozenset(actor for actor, _ in done) - at.keys())


def _some(at: dict[int, tuple[int, ...]]) -> dict[int, tuple[int, ...]]:
    return {actor: ticks for actor, ticks in at.items() if ticks}


def tell_motions(chronicle: Chronicle, rng: np.random.Generator) -> Iterator[Claim]:
    """An actor by what it does: alone, one thing after the other, or with another."""
    other = pick(rng, chronicle.ids)
    called = chronicle.names.call(other, rng)
    # What happens in order, or to another, is worth more than the rest.
    done = deeds(chronicle, rng) + 2 * list(sequences(chronicle, rng))
    if called is not None:
        done += 2 * meetings(chronicle, other, called, rng)
    done = [deed for deed in done if deed.fit.sure]
    for i in rng.permutation(len(done)).tolist():
        yield from narrowed(chronicle, "motion", f"that {done[i].text}", done[i].fit, rng)


def tell_times(chronicle: Chronicle, rng: np.random.Generator) -> Iterator[Claim]:
    """An actor by when something happens to it."""
    happened = [event for event in events(chronicle, rng) if event.at]
    kinds = [(event, None) for event in happened if len(event.at) >= 2]
    kinds += [(one, other) for one in happened for other in happened]
    order = rng.permutation(len(kinds)).tolist()
    # The first and last are few, what happens before or after something else is much.
    order.sort(key=lambda i: kinds[i][1] is not None and rng.random() < 0.6)
    for i in order:
        event, other = kinds[i]
        if other is None:
            yield from _extremes(chronicle, event, rng)
        else:
            yield from _before_or_after(chronicle, event, other, rng)


def _extremes(chronicle: Chronicle, event: Event, rng: np.random.Generator) -> Iterator[Claim]:
    """The first or the last to whom it happens, of all or of a class."""
    general = Name()
    names = [n for actor in event.at for n in chronicle.names.of[actor] if n.words == 1]
    for name in (general, pick(rng, names) if names else general):
        fit = chronicle.names.fit(name)
        at = {actor: ticks for actor, ticks in event.at.items() if actor in fit.may}
        if not fit.is_certain or len(at) < 2 or event.doubtful & fit.may:
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
        yield Claim(
            "time",
            pick(rng, wordings),
            Fit.of(sure, may),
            decided_s=round(abs(times[first]) * TICK_S, 4),
        )


def _before_or_after(
    chronicle: Chronicle, event: Event, other: Event, rng: np.random.Generator
) -> Iterator[Claim]:
    """To whom it happens before or after something else happens to somebody else, once."""
    once = [actor for actor, ticks in other.at.items() if len(ticks) == 1]
    once = [actor for actor in once if actor not in other.doubtful]
    if not once:
        return
    marker = pick(rng, once)
    called = chronicle.names.call(marker, rng)
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
    for claim in narrowed(chronicle, "time", words, Fit.of(sure, may), rng):
        (actor,) = claim.fit.sure
        decided = max(when, max(event.at[actor]))
        yield Claim("time", claim.text, claim.fit, decided_s=round(decided * TICK_S, 4))
