"""What actors do, in words, and whom that fits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
import functools
import itertools

import numpy as np

from virst_model.synthetic.fit import Fit
from virst_model.synthetic.grammar import pick
from virst_model.synthetic.timeline import GONE, SEEN, Chronicle
from virst_model.synthetic.trajectory import OPPOSITE, WAYS, Act

# An actor that goes less far than this some way has not gone that way.
_SLIGHT = 0.06
_FOLLOWS = 0.4  # share of its way on which an actor goes behind another, to follow it

# Verb of the acts -> wordings for "the shape that ..."; the plural follows by `plural`.
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


@dataclass(frozen=True)
class Deed:
    """Something done: "moves left" (said of one) or "move left" (said of several)."""

    text: str
    fit: Fit

    @property
    def plural(self) -> str:
        """The same said of several."""
        return said_of_several(self.text)


def deeds(chronicle: Chronicle, rng: np.random.Generator) -> list[Deed]:
    """All that can be done alone, whether anyone does it or not."""
    said = []
    for verb, fit in _alone(chronicle).items():
        if verb in WAYS:
            text = f"{pick(rng, ('moves', 'goes'))} {word_way(verb, rng)}"
        else:
            text = pick(rng, _WORDS[verb])
        said.append(Deed(text, fit))
    return said


# A story is asked for this for several kinds of sentences in a row.
@functools.lru_cache(maxsize=4)
def _alone(chronicle: Chronicle) -> dict[str, Fit]:
    """Whom what can be done alone fits, by its way, its verb or its key in _WORDS."""
    return {
        **{way: _goes(chronicle, way) for way in WAYS},
        **{verb: _acts(chronicle, verb) for verb in ("circle", "grow", "shrink", "spin")},
        **{verb: _acts(chronicle, verb) for verb in ("leave", "enter")},
        "stay": _stays(chronicle),
        "turn back": _turns_back(chronicle),
        "hide": _hides(chronicle),
        "return": _returns(chronicle),
    }


def said_of_several(text: str) -> str:
    """`text`, which begins with its verb, with all of it in the plural."""
    verb, *rest = text.split(" ")
    verb = _PLURALS.get(verb, verb.removesuffix("s"))
    return " ".join([verb, *(_PLURALS.get(word, word) for word in rest)])


def word_way(way: str, rng: np.random.Generator) -> str:
    """left, or to the left."""
    return f"to the {way}" if way in ("left", "right") and rng.random() < 0.5 else way


def _goes(chronicle: Chronicle, way: str) -> Fit:
    far = chronicle.excursions(way)
    sure = {
        actor
        for actor, act in chronicle.done("go", "leave", "enter")
        if act.way == way and chronicle.saw(actor, act)
    }
    may = {actor for actor in chronicle.ids if far[actor - 1] > _SLIGHT}
    return Fit.of(sure, may)


def _acts(chronicle: Chronicle, verb: str) -> Fit:
    done = list(chronicle.done(verb))
    sure = {actor for actor, act in done if chronicle.saw(actor, act)}
    return Fit.of(sure, {actor for actor, _ in done})


def _stays(chronicle: Chronicle) -> Fit:
    still = ~(chronicle.speeds > 0).any(axis=1)
    same = (chronicle.turns == chronicle.turns[:, :1]).all(axis=1)
    seen = (chronicle.shown >= SEEN).all(axis=1)
    sure = np.flatnonzero(still & same & seen) + 1
    return Fit.of(sure.tolist(), (np.flatnonzero(still) + 1).tolist())


def _turns_back(chronicle: Chronicle) -> Fit:
    sure, may = set(), {actor for actor, _ in chronicle.done("bounce", "circle", "follow")}
    for actor, acts in zip(chronicle.ids, chronicle.acts):
        moves = [act for act in acts if act.verb in ("go", "leave", "enter")]
        for act, after in itertools.pairwise(moves):
            if act.way == OPPOSITE[after.way]:
                may.add(actor)
                seen = chronicle.saw(actor, act) and chronicle.saw(actor, after)
                if act.end == after.start and act.verb == after.verb == "go" and seen:
                    sure.add(actor)
    sure -= {actor for actor, _ in chronicle.done("bounce", "circle")}
    return Fit.of(sure, may)


def _hides(chronicle: Chronicle) -> Fit:
    gone = {
        i for i, spans in zip(chronicle.ids, chronicle.hidings) if any(s >= 0 for s, _ in spans)
    }
    return Fit.of(gone - chronicle.half_hidden, gone | chronicle.half_hidden)


def _returns(chronicle: Chronicle) -> Fit:
    end = chronicle.ticks
    back = {
        actor
        for actor, spans in zip(chronicle.ids, chronicle.hidings)
        if any(start >= 0 and stop < end for start, stop in spans)
    }
    half = chronicle.half_hidden
    return Fit.of(back - half, back | half)


def meetings(chronicle: Chronicle, other: int, name: str, rng: np.random.Generator) -> list[Deed]:
    """All that can be done with the actor `other`, who is called `name`."""
    ids = [actor for actor in chronicle.ids if actor != other]
    follows = {a for a, act in chronicle.done("follow") if act.other == other}
    bounces = {
        a for a, act in chronicle.done("bounce") if act.other == other and chronicle.saw(a, act)
    }
    touches = {a for a in ids if (chronicle.gap(a, other) < 0.03).any()}
    behind = [(a, chronicle.covers[a - 1, other - 1]) for a in ids]
    passes = {a for a, cover in behind if _is_crossed(chronicle, a, cover)}
    under = {a for a, cover in behind if cover.max() > GONE}
    hidden = {a for a in passes if chronicle.covers[a - 1, other - 1].max() >= 1 - GONE}
    nearly = {a for a in under if chronicle.covers[a - 1, other - 1].max() > 0.6}
    after = {a for a in ids if _goes_behind(chronicle, a, other)}
    return [
        Deed(f"{pick(rng, ('follows', 'goes after'))} {name}", Fit.of(follows, after)),
        Deed(
            f"{pick(rng, ('bumps into', 'bounces off', 'hits'))} {name}", Fit.of(bounces, touches)
        ),
        Deed(f"{pick(rng, ('passes behind', 'goes behind'))} {name}", Fit.of(passes, under)),
        Deed(f"{pick(rng, ('hides behind', 'disappears behind'))} {name}", Fit.of(hidden, nearly)),
    ]


def _is_crossed(chronicle: Chronicle, actor: int, cover: np.ndarray) -> bool:
    """Whether the actor is well seen, then goes on and is covered by a good part."""
    covered = np.flatnonzero(cover >= 0.4)
    if not covered.size:
        return False
    before = chronicle.shown[actor - 1, : covered[0]]
    on_its_way = chronicle.moving[actor - 1, max(covered[0] - 3, 0) : covered[0] + 1].all()
    return bool(before.size and before.max() >= 0.9 and on_its_way)


def _goes_behind(chronicle: Chronicle, actor: int, other: int) -> bool:
    """Whether for a good part of its way the actor might be said to go after the other."""
    steps = np.diff(chronicle.centres[[actor - 1, other - 1]], axis=1)
    length = np.abs(steps)
    to_other = (chronicle.centres[other - 1] - chronicle.centres[actor - 1])[:-1]
    both = (length > 0).all(axis=0)
    along = (steps[0] * np.conj(to_other)).real > 0.8 * length[0] * abs(to_other)
    same = (steps[0] * np.conj(steps[1])).real > 0.8 * length.prod(axis=0)
    mine = max(int((length[0] > 0).sum()), 1)
    return float((both & along & same).sum()) > _FOLLOWS * mine


def sequences(chronicle: Chronicle, rng: np.random.Generator) -> Iterator[Deed]:
    """Two things that someone is seen to do one after the other ("moves left, then stops")."""
    told = [_steps(acts) for acts in chronicle.acts]
    for actor, steps in zip(chronicle.ids, told):
        for first, second in itertools.pairwise(steps):
            # Left, a rest, and left again is no sequence, and who follows goes many ways.
            told_apart = _keys(first)[0] != _keys(second)[0] and first.verb != "follow"
            seen = chronicle.saw(actor, first) and chronicle.saw(actor, second)
            if not (told_apart and seen and second.verb != "follow"):
                continue
            pair = (_keys(first)[0], _keys(second)[0])
            likely = {i for i, other in zip(chronicle.ids, told) if _may_do(pair, other)}
            simple = {i for i, other in zip(chronicle.ids, told) if _does(pair, other)}
            both = [_phrase(act, rng) for act in (first, second)]
            sure = {actor} if actor not in chronicle.half_hidden else set()
            yield Deed(pick(rng, _THEN).join(both), Fit.of(sure, likely | simple))


def _steps(acts: tuple[Act, ...]) -> list[Act]:
    """The acts that a sequence speaks of; standing only where it is a stop."""
    steps: list[Act] = []
    for act in acts:
        stops = steps and steps[-1].verb in _STOPPABLE and act.end - act.start >= 6
        if act.verb != "stand" or stops:
            steps.append(act)
    return steps


def _keys(act: Act) -> tuple[tuple[str, str], ...]:
    """What can be said of an act; first what `_phrase` says."""
    if act.verb in ("enter", "leave"):
        return (act.verb, ""), ("go", act.way)
    return ((act.verb, act.way),)


def _does(pair: tuple, steps: list[Act]) -> bool:
    """Whether it does the first and at any time afterwards the second."""
    does = [[key in _keys(act) for act in steps] for key in pair]
    return True in does[0] and True in does[1][does[0].index(True) + 1 :]


def _may_do(pair: tuple, steps: list[Act]) -> bool:
    """Whether its ways are such that one can say of them what one likes."""
    tangled = any(act.verb in ("circle", "follow") for act in steps)
    return tangled and any(verb in ("go", "circle", "leave", "enter") for verb, _ in pair)


def _phrase(act: Act, rng: np.random.Generator) -> str:
    if act.verb == "go":
        return f"{pick(rng, ('moves', 'goes'))} {word_way(act.way, rng)}"
    if act.verb == "stand":
        return "stops"
    return "bounces" if act.verb == "bounce" else pick(rng, _WORDS[act.verb])
