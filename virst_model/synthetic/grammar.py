"""The small language of the synthetic scenes: phrases, their wordings and a parser.

A phrase names objects by what they are (colour, shape, size), by where they are among
those of the same name (`rank`), or by how they move. All wordings of `word` are
understood by `parse`, which also takes what a person types ("Blue square!").
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
import dataclasses
import re
from typing import TypeVar

import numpy as np

T = TypeVar("T")

COLOURS = ("red", "green", "blue", "yellow", "purple", "orange", "cyan", "white")
SHAPES = ("circle", "square", "triangle", "star", "cross")
SIZES = ("big", "small")
NOUNS = ("shape", "object", "thing")
MOTIONS = ("left", "right", "up", "down", "still")
NUMBERS = ("None", "One", "Two", "Three", "Four", "Five", "Six")
RANKS = ("leftmost", "rightmost", "topmost", "bottommost", "biggest", "smallest")

_PLURALS = {word: word + "s" for word in SHAPES + NOUNS} | {"cross": "crosses"}
_SINGULARS = {plural: word for word, plural in _PLURALS.items()}
_SYNONYMS = {"large": "big", "largest": "biggest"}
_PLACES = {"left": "leftmost", "right": "rightmost", "top": "topmost", "bottom": "bottommost"}
_SIDES = {rank: side for side, rank in _PLACES.items()}

KNOWN_WORDS = (
    *("the", "all", "everything"),
    *COLOURS,
    *(SHAPES + NOUNS),
    *_SINGULARS,
    *(SIZES + RANKS),
    *_SYNONYMS,
    *("on", "at", "left", "right", "top", "bottom"),
    *("that", "is", "moving", "moves", "move", "to", "up", "down"),
    *("standing", "stands", "stand", "still"),
)


@dataclasses.dataclass(frozen=True)
class Phrase:
    """What a sentence asks for; None means "not said".

    `shape` None is a general noun (shape, object, thing). `plural` phrases ("all the red
    circles") may mean any number of objects, others exactly one.
    """

    colour: str | None = None
    shape: str | None = None
    size: str | None = None
    rank: str | None = None
    motion: str | None = None
    plural: bool = False


def _any(words: Iterable[str]) -> str:
    return "|".join(words)


_SENTENCE = re.compile(
    rf"(?P<all>all )?(?:the )?"
    rf"(?P<adjectives>(?:(?:{_any(COLOURS + SIZES + RANKS + tuple(_SYNONYMS))}) )*)"
    rf"(?P<noun>{_any((*_SINGULARS, *_SINGULARS.values()))})"
    rf"(?: (?:on|at) the (?P<place>{_any(_PLACES)}))?"
    rf"(?: (?:(?:that is )?moving|that moves?) "
    rf"(?:(?P<way>left|right|up|down)|to the (?P<side>left|right))"
    rf"|(?P<still> (?:(?:that is )?standing|that stands?) still))?"
)


def parse(text: str) -> Phrase | None:
    """The phrase that `text` words, or None where it is not a sentence of this grammar.

    Case, punctuation and extra white space do not matter. Contradictions ("the red blue
    circle", "the leftmost circle on the right") are no sentences.
    """
    words = " ".join(re.sub(r"[^\w\s]", " ", text.lower()).split())
    if words == "everything":
        return Phrase(plural=True)
    match = _SENTENCE.fullmatch(words)
    if match is None:
        return None
    slots: dict[str, str] = {}
    for word in match["adjectives"].split():
        word = _SYNONYMS.get(word, word)
        slot = "colour" if word in COLOURS else "size" if word in SIZES else "rank"
        if slot in slots:
            return None
        slots[slot] = word
    if match["place"]:
        if "rank" in slots:
            return None
        slots["rank"] = _PLACES[match["place"]]
    noun = _SINGULARS.get(match["noun"], match["noun"])
    if noun in SHAPES:
        slots["shape"] = noun
    motion = "still" if match["still"] else match["way"] or match["side"]
    plural = bool(match["all"]) or match["noun"] in _SINGULARS
    return Phrase(**slots, motion=motion, plural=plural)


def word(phrase: Phrase, rng: np.random.Generator) -> str:
    """One of the wordings of `phrase`, drawn with `rng`; `parse` gives the phrase back."""
    if phrase == Phrase(plural=True) and rng.random() < 0.4:
        return "everything"
    noun = phrase.shape or pick(rng, NOUNS)
    parts = [pick(rng, ("all the", "all"))] if phrase.plural else []
    if not phrase.plural and rng.random() < 0.85:
        parts.append("the")
    side = _SIDES.get(phrase.rank)
    at_the_side = side is not None and rng.random() < 0.6
    if phrase.rank and not at_the_side:
        parts.append(_or_synonym(phrase.rank, rng))
    if phrase.size:
        parts.append(_or_synonym(phrase.size, rng))
    if phrase.colour:
        parts.append(phrase.colour)
    parts.append(_PLURALS[noun] if phrase.plural else noun)
    if at_the_side:
        sideways = side in ("left", "right")
        parts.append(f"{pick(rng, ('on', 'at')) if sideways else 'at'} the {side}")
    if phrase.motion:
        parts.append(_word_motion(phrase.motion, phrase.plural, rng))
    return " ".join(parts)


def word_way(motion: str) -> str:
    """The answer to which way something moves, of MOTIONS but "still"."""
    return f"To the {motion}." if motion in ("left", "right") else f"{motion.capitalize()}."


def _word_motion(motion: str, plural: bool, rng: np.random.Generator) -> str:
    if motion == "still":
        return pick(rng, ("standing still", "that stand still" if plural else "that stands still"))
    ways = (motion, f"to the {motion}") if motion in ("left", "right") else (motion,)
    clause = ("that move",) if plural else ("that moves", "that is moving")
    verb = "moving" if rng.random() < 0.5 else pick(rng, clause)
    return f"{verb} {pick(rng, ways)}"


def _or_synonym(adjective: str, rng: np.random.Generator) -> str:
    synonym = {"big": "large", "biggest": "largest"}.get(adjective)
    return synonym if synonym and rng.random() < 0.3 else adjective


def pick(rng: np.random.Generator, choices: Sequence[T]) -> T:
    """One of `choices`, all alike."""
    return choices[int(rng.integers(len(choices)))]
