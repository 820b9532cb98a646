"""What actors do, in words, and whom that fits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
import functools
import itertools

import numpy as np

from virst_model.synthetic.deeds import (
    Spans,
    span_from,
    span_of,
    span_of_a_pair,
    span_of_covers,
    span_of_hiding,
    span_of_rest,
)
from virst_model.synthetic.grammar import pick
from virst_model.synthetic.sentence import Referents
from virst_model.synthetic.timeline import GONE, SEEN, Timeline
from virst_model.synthetic.trajectory import OPPOSITE, WAYS, Action

# An actor that goes less far than this some way has not gone that way.
_SLIGHT = 0.06
_FOLLOWS = 0.4  # share of its way on which an actor goes behind another, to follow it

# Verb of the actions -> wordings for "the shape that ..."; the plural follows by `plural`.
_WORDS = {
    "circle": ("goes round in a circle", "goes in circles", "moves in a circle"),
    "grow": ("grows", "gets bigger"),
    "shrink": ("shrinks", "gets smaller"),
    "spin": ("spins", "rotates", "turns around itself"),
    "leave": ("leaves the picture", "goes out of the picture"),
    "enter": ("comes into the picture", "enters the picture"),
    "vanish": ("fades away",),
    "appear": ("appears again",),
    "stay": ("never moves", "stands still all the time", "does not move at all"),
    "turn back": ("turns back", "goes back the way it came"),
    "hide": ("disappears", "goes out of sight"),
    "return": ("disappears and comes back", "comes back after it was gone"),
}
_PLURALS = {
    "goes": "go",
    "does": "do",
    "is": "are",
    "has": "have",
    "was": "were",
    "comes": "come",
    "never": "never",
    "moves": "move",
    "it": "they",
    "itself": "themselves",
}
_THEN = (", then ", " and then ")
_STOPPABLE = ("go", "circle", "enter", "follow")
_STOP = 6  # ticks


@dataclass(frozen=True)
class Predicate:
    """Something done, as it is said of one ("moves left"), and whom that fits.

    Attributes:
        spans: by actor's id, from which tick to which it is to be seen that it does it.
    """

    text: str
    referents: Referents
    spans: Spans = field(default_factory=dict)

    @property
    def plural(self) -> str:
        """The text as it is said of several: "move left"."""
        return in_plural(self.text)


def predicates(timeline: Timeline, rng: np.random.Generator) -> list[Predicate]:
    """All that can be done alone, whether anyone does it or not; first to go each of WAYS."""
    alone = []
    for verb, (referents, spans) in _alone(timeline).items():
        if verb in WAYS:
            text = f"{pick(rng, ('moves', 'goes'))} {word_way(verb, rng)}"
        else:
            text = pick(rng, _WORDS[verb])
        alone.append(Predicate(text, referents, spans))
    return alone


# A story is asked for this for several kinds of sentences in a row.
@functools.lru_cache(maxsize=4)
def _alone(timeline: Timeline) -> dict[str, tuple[Referents, Spans]]:
    """Whom what can be done alone fits, and when, by its way, its verb or its key in _WORDS."""
    return {
        **{way: (_goes(timeline, way), span_of(timeline, _goes_there(way))) for way in WAYS},
        **{verb: _does_alone(timeline, verb) for verb in ("circle", "grow", "shrink", "spin")},
        **{verb: _does_alone(timeline, verb) for verb in ("leave", "enter")},
        "stay": (_stays(timeline), span_of_rest(timeline)),
        "turn back": (_turns_back(timeline), span_of_a_pair(timeline, _goes_back)),
        "hide": (_hides(timeline), span_of_hiding(timeline, back=False)),
        "return": (_returns(timeline), span_of_hiding(timeline, back=True)),
    }


def in_plural(text: str) -> str:
    """`text`, which begins with its verb, with all of it in the plural."""
    verb, *rest = text.split(" ")
    verb = _PLURALS.get(verb, verb.removesuffix("s"))
    return " ".join([verb, *(_PLURALS.get(word, word) for word in rest)])


def word_way(way: str, rng: np.random.Generator) -> str:
    """A way in words, drawn with `rng`: left, or to the left."""
    return f"to the {way}" if way in ("left", "right") and rng.random() < 0.5 else way


def _goes(timeline: Timeline, way: str) -> Referents:
    far = timeline.excursions(way)
    sure = {
        actor
        for actor, action in timeline.actions_of("go", "leave", "enter")
        if action.way == way and timeline.is_seen(actor, action)
    }
    may = {actor for actor in timeline.ids if far[actor - 1] > _SLIGHT}
    return Referents.of(sure, may)


def _goes_there(way: str) -> Callable[[Action], bool]:
    return lambda action: action.verb in ("go", "leave", "enter") and action.way == way


def _goes_back(one: Action, then: Action) -> bool:
    return one.verb == then.verb == "go" and one.way == OPPOSITE[then.way]


def _does_alone(timeline: Timeline, verb: str) -> tuple[Referents, Spans]:
    done = list(timeline.actions_of(verb))
    sure = {actor for actor, action in done if timeline.is_seen(actor, action)}
    spans = span_of(timeline, lambda action: action.verb == verb)
    return Referents.of(sure, {actor for actor, _ in done}), spans


def _stays(timeline: Timeline) -> Referents:
    still = ~(timeline.speeds > 0).any(axis=1)
    same = (timeline.turns == timeline.turns[:, :1]).all(axis=1)
    whole = (timeline.visibility >= SEEN).all(axis=1)
    sure = np.flatnonzero(still & same & whole) + 1
    return Referents.of(sure.tolist(), (np.flatnonzero(still) + 1).tolist())


def _turns_back(timeline: Timeline) -> Referents:
    sure, may = set(), {actor for actor, _ in timeline.actions_of("bounce", "circle", "follow")}
    for actor, actions in zip(timeline.ids, timeline.actions):
        moves = [action for action in actions if action.verb in ("go", "leave", "enter")]
        for action, after in itertools.pairwise(moves):
            if action.way == OPPOSITE[after.way]:
                may.add(actor)
                both_seen = timeline.is_seen(actor, action) and timeline.is_seen(actor, after)
                if action.end == after.start and action.verb == after.verb == "go" and both_seen:
                    sure.add(actor)
    sure -= {actor for actor, _ in timeline.actions_of("bounce", "circle")}
    return Referents.of(sure, may)


def _hides(timeline: Timeline) -> Referents:
    gone = {i for i, spans in zip(timeline.ids, timeline.hidings) if any(s >= 0 for s, _ in spans)}
    return Referents.of(gone - timeline.half_hidden, gone | timeline.half_hidden)


def _returns(timeline: Timeline) -> Referents:
    end = timeline.ticks
    back = {
        actor
        for actor, spans in zip(timeline.ids, timeline.hidings)
        if any(start >= 0 and stop < end for start, stop in spans)
    }
    half = timeline.half_hidden
    return Referents.of(back - half, back | half)


def meetings(
    timeline: Timeline, other: int, name: str, rng: np.random.Generator
) -> list[Predicate]:
    """All that can be done with the actor of id `other`, who is called `name`."""
    ids = [actor for actor in timeline.ids if actor != other]
    follows = {a for a, action in timeline.actions_of("follow") if action.other == other}
    bounces = {
        a
        for a, action in timeline.actions_of("bounce")
        if action.other == other and timeline.is_seen(a, action)
    }
    touches = {a for a in ids if (timeline.gap(a, other) < 0.03).any()}
    behind = [(a, timeline.covers[a - 1, other - 1]) for a in ids]
    passes = {a for a, cover in behind if _is_crossed(timeline, a, cover)}
    under = {a for a, cover in behind if cover.max() > GONE}
    hidden = {a for a in passes if timeline.covers[a - 1, other - 1].max() >= 1 - GONE}
    nearly = {a for a in under if timeline.covers[a - 1, other - 1].max() > 0.6}
    after = {a for a in ids if _goes_behind(timeline, a, other)}

    def span(verb: str) -> Spans:
        return span_of(timeline, lambda action: (action.verb, action.other) == (verb, other))

    covered = span_of_covers(timeline, other, 0.4)
    return [
        Predicate(
            f"{pick(rng, ('follows', 'goes after'))} {name}",
            Referents.of(follows, after),
            span("follow"),
        ),
        Predicate(
            f"{pick(rng, ('bumps into', 'bounces off', 'hits'))} {name}",
            Referents.of(bounces, touches),
            span("bounce"),
        ),
        Predicate(
            f"{pick(rng, ('passes behind', 'goes behind'))} {name}",
            Referents.of(passes, under),
            covered,
        ),
        Predicate(
            f"{pick(rng, ('hides behind', 'disappears behind'))} {name}",
            Referents.of(hidden, nearly),
            covered,
        ),
    ]


def _is_crossed(timeline: Timeline, actor: int, cover: np.ndarray) -> bool:
    """Whether the actor is well seen, then goes on and is covered by a good part."""
    covered = np.flatnonzero(cover >= 0.4)
    if not covered.size:
        return False
    before = timeline.visibility[actor - 1, : covered[0]]
    on_its_way = timeline.moving[actor - 1, max(covered[0] - 3, 0) : covered[0] + 1].all()
    return bool(before.size and before.max() >= 0.9 and on_its_way)


def _goes_behind(timeline: Timeline, actor: int, other: int) -> bool:
    """Whether for a good part of its way the actor might be said to go after the other."""
    steps = np.diff(timeline.centres[[actor - 1, other - 1]], axis=1)
    length = np.abs(steps)
    to_other = (timeline.centres[other - 1] - timeline.centres[actor - 1])[:-1]
    both = (length > 0).all(axis=0)
    along = (steps[0] * np.conj(to_other)).real > 0.8 * length[0] * abs(to_other)
    same = (steps[0] * np.conj(steps[1])).real > 0.8 * length.prod(axis=0)
    mine = max(int((length[0] > 0).sum()), 1)
    return float((both & along & same).sum()) > _FOLLOWS * mine


def sequences(timeline: Timeline, rng: np.random.Generator) -> Iterator[Predicate]:
    """Two things that someone is seen to do one after the other ("moves left, then stops")."""
    step_lists = [_steps(actions) for actions in timeline.actions]
    for actor, steps in zip(timeline.ids, step_lists):
        for first, second in itertools.pairwise(steps):
            # Left, a rest, and left again is no sequence, and who follows goes many ways.
            differ = _keys(first)[0] != _keys(second)[0] and first.verb != "follow"
            both_seen = timeline.is_seen(actor, first) and timeline.is_seen(actor, second)
            if not (differ and both_seen and second.verb != "follow"):
                continue
            pair = (_keys(first)[0], _keys(second)[0])
            likely = {i for i, other in zip(timeline.ids, step_lists) if _may_do(pair, other)}
            simple = {i for i, other in zip(timeline.ids, step_lists) if _does(pair, other)}
            both = [_phrase(action, rng) for action in (first, second)]
            sure = {actor} if actor not in timeline.half_hidden else set()
            # Of a stop its beginning is enough.
            end = second.start + _STOP if second.verb == "stand" else second.end
            yield Predicate(
                pick(rng, _THEN).join(both),
                Referents.of(sure, likely | simple),
                {actor: span_from(first.start, end)},
            )


def _steps(actions: tuple[Action, ...]) -> list[Action]:
    """The actions that a sequence speaks of; standing only where it is a stop."""
    steps: list[Action] = []
    for action in actions:
        stops = steps and steps[-1].verb in _STOPPABLE and action.end - action.start >= _STOP
        if action.verb != "stand" or stops:
            steps.append(action)
    return steps


def _keys(action: Action) -> tuple[tuple[str, str], ...]:
    """What can be said of an action; first what `_phrase` says."""
    if action.verb in ("enter", "leave"):
        return (action.verb, ""), ("go", action.way)
    return ((action.verb, action.way),)


def _does(pair: tuple, steps: list[Action]) -> bool:
    """Whether it does the first and at any time afterwards the second."""
    does = [[key in _keys(action) for action in steps] for key in pair]
    return True in does[0] and True in does[1][does[0].index(True) + 1 :]


def _may_do(pair: tuple, steps: list[Action]) -> bool:
    """Whether its ways are such that one can say of them what one likes."""
    tangled = any(action.verb in ("circle", "follow") for action in steps)
    return tangled and any(verb in ("go", "circle", "leave", "enter") for verb, _ in pair)


def _phrase(action: Action, rng: np.random.Generator) -> str:
    if action.verb == "go":
        return f"{pick(rng, ('moves', 'goes'))} {word_way(action.way, rng)}"
    if action.verb == "stand":
        return "stops"
    return "bounces" if action.verb == "bounce" else pick(rng, _WORDS[action.verb])
