"""Questions that need a thought: who differs, who made what happen, and what is like what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np

from virst_model.synthetic.deeds import shown, span_from, span_of, span_of_covers
from virst_model.synthetic.grammar import pick
from virst_model.synthetic.predicates import in_plural, predicates
from virst_model.synthetic.sentence import Claim, Referents
from virst_model.synthetic.timeline import GONE, Timeline

# What is asked ("Which shape ...?"), the shapes that it means, and those that it may mean.
_SHAPE_RIDDLES = (
    ("could roll like a wheel", ("circle", "ring"), ()),
    ("would make a good wheel", ("circle", "ring"), ()),
    ("has no corners at all", ("circle", "ring"), ("heart",)),
    ("has a hole in the middle", ("ring",), ()),
    ("could you put on a finger", ("ring",), ()),
    ("stands for love", ("heart",), ()),
    ("do people send on Valentine's Day", ("heart",), ()),
    ("can be seen in the sky at night", ("star",), ("circle",)),
    ("shows which way to go", ("arrow",), ()),
    ("has exactly three corners", ("triangle",), ()),
    ("has exactly four corners", ("square", "diamond"), ()),
    ("has exactly six corners", ("hexagon",), ()),
    ("looks like a cell of a honeycomb", ("hexagon",), ()),
    ("looks like a plus sign", ("cross",), ()),
    ("has the name of a precious stone", ("diamond",), ()),
)
_COLOUR_RIDDLES = (
    ("the colour of grass", "green"),
    ("the colour of a ripe banana", "yellow"),
    ("the colour of snow", "white"),
    ("the colour of a ripe tomato", "red"),
    ("the colour of a carrot", "orange"),
    ("the colour of plums", "purple"),
    ("the colour of the deep sea", "blue"),
    ("the colour that says stop at a traffic light", "red"),
    ("the colour that says go at a traffic light", "green"),
)


def reasoning_claims(timeline: Timeline, rng: np.random.Generator) -> Iterator[Claim]:
    """Questions of every sort in turn; also those to which the answer is nobody."""
    sorts = (riddle_claims, _odd_ones, _collisions, _followers, _screens, _doers)
    iterators = [sorts[i](timeline, rng) for i in rng.permutation(len(sorts)).tolist()]
    while iterators:
        for questions in tuple(iterators):
            claim = next(questions, None)
            if claim is None:
                iterators.remove(questions)
            else:
                yield claim


def _odd_ones(timeline: Timeline, rng: np.random.Generator) -> Iterator[Claim]:
    """The one that differs where all others are alike."""
    if len(timeline.ids) < 3:
        return
    for word, kinds in (
        ("shape", [(actor.shape,) for actor in timeline.actors]),
        ("colour", [actor.colours for actor in timeline.actors]),
    ):
        counts = Counter(kinds)
        if len(counts) == 2 and min(counts.values()) == 1 and _share_nothing(*counts):
            odd = [i for i, kind in zip(timeline.ids, kinds) if counts[kind] == 1]
            yield Claim(
                "reasoning",
                f"Which one has another {word} than all the others?",
                Referents.of(odd),
            )


def _share_nothing(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    return not {*one} & {*other}


def _collisions(timeline: Timeline, rng: np.random.Generator) -> Iterator[Claim]:
    bounces = [(actor, action) for actor, action in timeline.actions_of("bounce")]
    sure = {actor for actor, action in bounces if timeline.is_seen(actor, action)}
    ids = timeline.ids
    may = {a for a in ids for b in ids if a != b and (timeline.gap(a, b) < 0.03).any()}
    pairs = {frozenset((actor, action.other)) for actor, action in bounces}
    spans = span_of(timeline, lambda action: action.verb == "bounce")
    if len(pairs) <= 1:
        words = ("Which two collide?", "Which two bump into each other?")
        claim = Claim("reasoning", pick(rng, words), Referents.of(sure, may), plural=True)
        yield from shown(timeline, [claim], spans)
    for actor, action in bounces:
        called = timeline.names.call(action.other, rng)
        if called is not None:
            touches = {
                i
                for i in ids
                if i != action.other and (timeline.gap(i, action.other) < 0.03).any()
            }
            predicate = pick(
                rng, ("makes {} turn back", "does {} run into", "gets in the way of {}")
            )
            referents = Referents.of({actor} & sure, touches)
            claim = Claim("reasoning", f"Which shape {predicate.format(called)}?", referents)
            yield from shown(timeline, [claim], {actor: span_from(action.start, action.end)})


def _followers(timeline: Timeline, rng: np.random.Generator) -> Iterator[Claim]:
    follows = list(timeline.actions_of("follow"))
    if len(follows) != 1:
        return
    (actor, action), *_ = follows
    called = timeline.names.call(actor, rng)
    referents = Referents.of((action.other,))
    spans = {action.other: span_from(action.start, action.end)}
    predicates = ["is being followed"]
    if called is not None:
        predicates.insert(0, pick(rng, (f"is {called} following", f"does {called} go after")))
    claims = [Claim("reasoning", f"Which shape {text}?", referents) for text in predicates]
    yield from shown(timeline, claims, spans)


def _screens(timeline: Timeline, rng: np.random.Generator) -> Iterator[Claim]:
    """Who hides somebody."""
    for actor, covers in zip(timeline.ids, timeline.covers):
        most = covers.max(axis=1)
        called = timeline.names.call(actor, rng)
        if called is not None and most.max() >= 1 - GONE:
            referents = Referents.of(
                (np.flatnonzero(most >= 1 - GONE) + 1).tolist(),
                (np.flatnonzero(most > 0.3) + 1).tolist(),
            )
            claim = Claim("reasoning", f"Which shape hides {called} for a while?", referents)
            spans = {i: span_of_covers(timeline, i, 0.4)[actor] for i in referents.sure}
            yield from shown(timeline, [claim], spans)


def _doers(timeline: Timeline, rng: np.random.Generator) -> Iterator[Claim]:
    done = [predicate for predicate in predicates(timeline, rng) if predicate.referents.sure]
    for i in rng.permutation(len(done)).tolist():
        claim = which(done[i].text, done[i].referents, rng)
        yield from shown(timeline, [claim], done[i].spans)


def riddle_claims(timeline: Timeline, rng: np.random.Generator) -> Iterator[Claim]:
    """What shapes and colours are like in the world outside; the answer may be nobody."""
    shapes = len(_SHAPE_RIDDLES)
    for i in rng.permutation(shapes + len(_COLOUR_RIDDLES)).tolist():
        if i < shapes:
            predicate, are, may_be = _SHAPE_RIDDLES[i]
            sure = [actor.id for actor in timeline.actors if actor.shape in are]
            may = [actor.id for actor in timeline.actors if actor.shape in may_be]
        else:
            colour_of, colour = _COLOUR_RIDDLES[i - shapes]
            predicate = f"has {colour_of}"
            sure = [actor.id for actor in timeline.actors if actor.colours == (colour,)]
            may = [actor.id for actor in timeline.actors if colour in actor.colours]
        yield which(predicate, Referents.of(sure, may), rng)


def which(predicate: str, referents: Referents, rng: np.random.Generator) -> Claim:
    """A question for those whom `predicate` fits ("moves"): Which shape moves?

    Where they are several it is: Which shapes move?
    """
    plural = len(referents.sure) > 1
    noun = pick(rng, ("shape", "object", "one"))
    if plural:
        noun, predicate = f"{noun}s", in_plural(predicate)
    return Claim("reasoning", f"Which {noun} {predicate}?", referents, plural)
