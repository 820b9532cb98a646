"""What the phrases of the grammar mean in a scene, and which of them can be said of it."""

from __future__ import annotations

from collections.abc import Iterator
import dataclasses
import functools
import math

import numpy as np

from virst_model.synthetic import grammar
from virst_model.synthetic.grammar import Phrase, pick
from virst_model.synthetic.scene_objects import UNNAMED, SceneObject

KINDS = ("colour", "colour_shape", "shape", "size", "position", "motion", "all", "none")

_SIZE_RANKS = ("biggest", "smallest")
_PLACE_RANKS = ("leftmost", "rightmost", "topmost", "bottommost")
# A place is sure where it beats the next by this much (heights of the frame) all the time,
# a largest or smallest where it does by this ratio.
_PLACE_MARGIN = 0.12
_RADIUS_MARGIN = 1.15
_LOOK_EVERY_S = 0.25


class ScenePhrases:
    """Phrases about objects that move through [0, duration_s]."""

    def __init__(self, objects: tuple[SceneObject, ...], duration_s: float) -> None:
        self._objects, self._duration_s = objects, duration_s

    def choose(self, kind: str, count: int, rng: np.random.Generator) -> list[Phrase]:
        """Up to `count` different phrases of one of KINDS; mostly those that need every word.

        A singular one means exactly one object, beyond doubt (margins of place and size, nothing
        that turns back), at any time; one of kind `none` means no object at any time.
        """
        if kind == "none":
            return self._choose_none(count, rng)
        phrases = sorted(set(self._describe(kind)), key=repr)
        order = rng.permutation(len(phrases))
        if rng.random() < 0.7:
            order = sorted(order, key=lambda i: not self._needs_all_words(phrases[i]))
        chosen = []
        for phrase in (phrases[i] for i in order):
            if len(chosen) == count:
                break
            if self._is_sure(phrase):
                chosen.append(phrase)
        return chosen

    def unique(self, untold: str) -> list[Phrase]:
        """Those that mean exactly one object, beyond doubt, and leave a field of theirs unsaid."""
        singular = (kind for kind in KINDS if kind not in ("all", "none"))
        found = {phrase for kind in singular for phrase in self._describe(kind)}
        unsaid = (phrase for phrase in found if getattr(phrase, untold) is None)
        return sorted(filter(self._is_sure, unsaid), key=repr)

    def meant(self, phrase: Phrase, t_s: float | None = None) -> tuple[int, ...]:
        """Ids of the objects that `phrase` fits at `t_s`, or all through [0, duration_s]."""
        named = self._called(phrase)
        if phrase.motion:
            ways = [
                (t.motion(t_s),) if t_s is not None else t.motions(self._duration_s) for t in named
            ]
            named = [t for t, way in zip(named, ways) if way == (phrase.motion,)]
        if phrase.rank and named:
            first = self._standings(named, phrase.rank, t_s).argmin(axis=1)
            named = [named[first[0]]] if (first == first[0]).all() else []
        return tuple(item.id for item in named)

    def doubtful(self, phrase: Phrase) -> tuple[int, ...]:
        """Ids of all objects that `phrase` may mean at some time, margins included."""
        named = [item for item in self._objects if _may_be_called(item, phrase)]
        if phrase.motion:
            named = [item for item in named if phrase.motion in item.motions(self._duration_s)]
        if phrase.rank and named:
            margin = math.log(_RADIUS_MARGIN) if phrase.rank in _SIZE_RANKS else _PLACE_MARGIN
            standings = self._standings(named, phrase.rank)
            near = (standings < standings.min(axis=1, keepdims=True) + margin).any(axis=0)
            named = [item for item, is_near in zip(named, near) if is_near]
        return tuple(item.id for item in named)

    def _called(self, phrase: Phrase) -> list[SceneObject]:
        return [item for item in self._objects if _is_called(item, phrase)]

    def _standings(
        self, objects: list[SceneObject], rank: str, t_s: float | None = None
    ) -> np.ndarray:
        """(times, objects) what `rank` compares: the object with the smallest comes first."""
        if rank in _SIZE_RANKS:
            # The logarithm turns the ratio of radii into a difference.
            sizes = np.log([[item.radius for item in objects]])
            return -sizes if rank == "biggest" else sizes
        if t_s is None:
            at = np.stack([self._paths[item.id] for item in objects], axis=1)
        else:
            at = np.array([[item.centre(t_s) for item in objects]])
        axis, sign = {"leftmost": (0, 1), "rightmost": (0, -1), "topmost": (1, 1)}.get(
            rank, (1, -1)
        )
        return sign * at[:, :, axis]

    @functools.cached_property
    def _paths(self) -> dict[int, np.ndarray]:
        """(times, 2) centres through [0, duration_s], by id."""
        times = np.arange(0, self._duration_s + _LOOK_EVERY_S / 2, _LOOK_EVERY_S).tolist()
        return {item.id: np.array([item.centre(t) for t in times]) for item in self._objects}

    def _is_sure(self, phrase: Phrase) -> bool:
        meant = self.meant(phrase)
        return meant == self.doubtful(phrase) and (phrase.plural or len(meant) == 1)

    def _needs_all_words(self, phrase: Phrase) -> bool:
        """Whether without its size, place or motion (else its shape) it would mean others too.

        A plural phrase needs its words where it means several.
        """
        if phrase.plural:
            return len(self.doubtful(phrase)) > 1
        if phrase.size or phrase.rank or phrase.motion:
            less = dataclasses.replace(phrase, size=None, rank=None, motion=None)
        else:
            less = dataclasses.replace(phrase, shape=None)
        return len(self.doubtful(less)) > 1

    def _describe(self, kind: str) -> Iterator[Phrase]:
        """Phrases of a kind that fit some object, sure or not."""
        if kind == "all":
            yield Phrase(plural=True)
        for item in self._objects:
            colour, shape, size = item.colour, item.shape, item.size
            shapes = (None,) if shape == UNNAMED else (None, shape)
            names = [{"colour": c, "shape": s} for c in (None, colour) for s in shapes]
            if kind in ("shape", "colour_shape") and shape == UNNAMED:
                continue
            if kind in ("colour", "shape", "colour_shape"):
                words = {key: getattr(item, key) for key in kind.split("_")}
                yield Phrase(**words)
            elif kind == "size":
                yield from (Phrase(size=size, **name) for name in names)
                yield from self._ranked(_SIZE_RANKS, names[:3])
            elif kind == "position":
                yield from self._ranked(_PLACE_RANKS, names)
            elif kind == "motion":
                yield from (
                    Phrase(motion=m, **n) for m in item.motions(self._duration_s) for n in names
                )
            elif kind == "all":
                yield from (Phrase(**name, plural=True) for name in names[1:])
                yield Phrase(size=size, plural=True)
                yield from (Phrase(motion=m, plural=True) for m in item.motions(self._duration_s))

    def _ranked(self, ranks: tuple[str, ...], names: list[dict]) -> Iterator[Phrase]:
        """A first among several of that name: with one alone, its place says nothing."""
        for name in names:
            if len(self.doubtful(Phrase(**name))) > 1:
                yield from (Phrase(rank=rank, **name) for rank in ranks)

    def _choose_none(self, count: int, rng: np.random.Generator) -> list[Phrase]:
        """Phrases without a referent, mostly by one word: its colour and its shape are here."""
        chosen: list[Phrase] = []
        for _ in range(40 * count):
            if len(chosen) == count:
                break
            near = self._objects[int(rng.integers(len(self._objects)))]
            other = self._objects[int(rng.integers(len(self._objects)))]
            phrase = _spoil(near, other, rng)
            if phrase.shape == UNNAMED:
                continue
            if phrase not in chosen and not self.doubtful(phrase):
                chosen.append(phrase)
        return chosen


def _spoil(near: SceneObject, other: SceneObject, rng: np.random.Generator) -> Phrase:
    """A phrase that is likely to mean nothing, though each of its words might fit."""
    words = {"colour": near.colour, "shape": other.shape}
    draw = rng.random()
    if draw < 0.12:
        words = {"colour": pick(rng, grammar.COLOURS)}
    elif draw < 0.24:
        words = {"shape": pick(rng, grammar.SHAPES)}
    elif draw < 0.36:
        words = {"shape": near.shape, "size": pick(rng, grammar.SIZES)}
    elif draw < 0.48:
        words = {"colour": near.colour, "size": pick(rng, grammar.SIZES)}
    elif draw < 0.60:
        words = {"shape": near.shape, "motion": pick(rng, grammar.MOTIONS)}
    elif draw < 0.72:
        words["colour"] = pick(rng, grammar.COLOURS)
    elif draw < 0.80:
        words["rank"] = pick(rng, grammar.RANKS)
    return Phrase(**words, plural="rank" not in words and bool(rng.random() < 0.1))


def _is_called(item: SceneObject, phrase: Phrase) -> bool:
    wanted = (phrase.colour, phrase.shape, phrase.size)
    return all(w in (None, has) for w, has in zip(wanted, (item.colour, item.shape, item.size)))


def _may_be_called(item: SceneObject, phrase: Phrase) -> bool:
    """As `_is_called`; what has no name for its shape may be called by any."""
    if item.shape == UNNAMED:
        phrase = dataclasses.replace(phrase, shape=None)
    return _is_called(item, phrase)
