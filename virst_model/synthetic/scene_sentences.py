"""A scene: the pictures, the sentences that are true about it, and what they mean."""

from __future__ import annotations

from collections.abc import Iterator
import dataclasses
import functools
import math
import zlib

import numpy as np

from virst_model.synthetic import grammar
from virst_model.synthetic.grammar import Phrase, pick
from virst_model.synthetic.scene_objects import Backdrop, SceneObject, paint_object

KINDS = ("colour", "colour_shape", "shape", "size", "position", "motion", "all", "none")

_SIZE_RANKS = ("biggest", "smallest")
_PLACE_RANKS = ("leftmost", "rightmost", "topmost", "bottommost")
# A place is sure where it beats the next by this much (heights of the frame) all the time,
# a largest or smallest where it does by this ratio.
_PLACE_MARGIN = 0.12
_RADIUS_MARGIN = 1.15
_LOOK_EVERY_S = 0.25
_CACHED_SIZES = 2


@dataclasses.dataclass(frozen=True)
class Sentence:
    """A sentence of kind KINDS and the objects that it means, all through the scene."""

    text: str
    kind: str
    object_ids: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Scene:
    """Objects in front of a backdrop; it can be rendered at any time, also after `duration_s`.

    `sentences` and `answer` without a time hold for all of [0, duration_s].
    """

    seed: int
    split: str
    duration_s: float
    objects: tuple[SceneObject, ...]
    backdrop: Backdrop
    _backs: dict = dataclasses.field(default_factory=dict, compare=False, repr=False)

    def render(self, t_s: float, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
        """The picture (height, width, 3) uint8 RGB and the ids (height, width) uint8 at `t_s`.

        An id marks the visible pixels of its object, 0 is background. Other sizes show the
        same 4:3 picture, squeezed where the aspect differs.
        """
        size = (height, width)
        if size not in self._backs:
            while len(self._backs) >= _CACHED_SIZES:
                self._backs.pop(next(iter(self._backs)), None)
            self._backs[size] = (self.backdrop.paint(*size), self.backdrop.grain(*size))
        back, grain = self._backs[size]
        frame, ids = back.copy(), np.zeros(size, np.uint8)
        for thing in self.objects:
            paint_object(frame, ids, thing, t_s)
        return self.backdrop.light_up(frame, grain, t_s), ids

    def answer(self, text: str, t_s: float | None = None) -> tuple[int, ...] | None:
        """Ids of the objects that `text` means at `t_s`, or all through [0, duration_s].

        () where the sentence is understood and means nothing here, None where it is not a
        sentence of the grammar. A singular phrase that fits several objects gives them all.
        """
        phrase = grammar.parse(text)
        return None if phrase is None else self._meant(phrase, t_s)

    def sentences(
        self, rng: np.random.Generator | None = None, per_kind: int = 2
    ) -> tuple[Sentence, ...]:
        """Up to `per_kind` different true sentences of each kind, in the order of KINDS.

        Without `rng` they are the same at every call. A singular sentence means exactly one
        object, beyond doubt (margins of place and size, nothing that turns back); `none`
        sentences mean no object at any time.
        """
        if rng is None:
            rng = rng_of(self.split, self.seed, "sentences")
        said = []
        for kind in KINDS:
            for phrase in self._choose(kind, per_kind, rng):
                said.append(Sentence(grammar.word(phrase, rng), kind, self._meant(phrase)))
        return tuple(said)

    def to_dict(self) -> dict:
        """A description that JSON can hold; `from_dict` renders the same pictures."""
        return {
            "seed": self.seed,
            "split": self.split,
            "duration_s": self.duration_s,
            "objects": [dataclasses.asdict(thing) for thing in self.objects],
            "backdrop": dataclasses.asdict(self.backdrop),
        }

    @classmethod
    def from_dict(cls, description: dict) -> Scene:
        """The scene that `to_dict` described. KeyError, TypeError: it is no such description."""
        return cls(
            seed=description["seed"],
            split=description["split"],
            duration_s=description["duration_s"],
            objects=tuple(SceneObject(**_tuples(one)) for one in description["objects"]),
            backdrop=Backdrop(**_tuples(description["backdrop"])),
        )

    def _meant(self, phrase: Phrase, t_s: float | None = None) -> tuple[int, ...]:
        named = self._called(phrase)
        if phrase.motion:
            ways = [(t.motion(t_s),) if t_s is not None else self._motions(t) for t in named]
            named = [t for t, way in zip(named, ways) if way == (phrase.motion,)]
        if phrase.rank and named:
            first = self._standings(named, phrase.rank, t_s).argmin(axis=1)
            named = [named[first[0]]] if (first == first[0]).all() else []
        return tuple(thing.id for thing in named)

    def _doubtful(self, phrase: Phrase) -> tuple[int, ...]:
        """Ids of all objects that `phrase` may mean at some time, margins included."""
        named = self._called(phrase)
        if phrase.motion:
            named = [thing for thing in named if phrase.motion in self._motions(thing)]
        if phrase.rank and named:
            margin = math.log(_RADIUS_MARGIN) if phrase.rank in _SIZE_RANKS else _PLACE_MARGIN
            standings = self._standings(named, phrase.rank)
            near = (standings < standings.min(axis=1, keepdims=True) + margin).any(axis=0)
            named = [thing for thing, is_near in zip(named, near) if is_near]
        return tuple(thing.id for thing in named)

    def _called(self, phrase: Phrase) -> list[SceneObject]:
        return [thing for thing in self.objects if _is_called(thing, phrase)]

    def _motions(self, thing: SceneObject) -> tuple[str, ...]:
        return thing.motions(self.duration_s)

    def _standings(
        self, things: list[SceneObject], rank: str, t_s: float | None = None
    ) -> np.ndarray:
        """(times, things) what `rank` compares: the thing with the smallest comes first."""
        if rank in _SIZE_RANKS:
            # The logarithm turns the ratio of radii into a difference.
            sizes = np.log([[thing.radius for thing in things]])
            return -sizes if rank == "biggest" else sizes
        if t_s is None:
            at = np.stack([self._paths[thing.id] for thing in things], axis=1)
        else:
            at = np.array([[thing.centre(t_s) for thing in things]])
        axis, sign = {"leftmost": (0, 1), "rightmost": (0, -1), "topmost": (1, 1)}.get(
            rank, (1, -1)
        )
        return sign * at[:, :, axis]

    @functools.cached_property
    def _paths(self) -> dict[int, np.ndarray]:
        """(times, 2) centres through [0, duration_s], by id."""
        times = np.arange(0, self.duration_s + _LOOK_EVERY_S / 2, _LOOK_EVERY_S).tolist()
        return {thing.id: np.array([thing.centre(t) for t in times]) for thing in self.objects}

    def _choose(self, kind: str, count: int, rng: np.random.Generator) -> list[Phrase]:
        """Different phrases of a kind; mostly those in which every word is needed."""
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

    def _is_sure(self, phrase: Phrase) -> bool:
        meant = self._meant(phrase)
        return meant == self._doubtful(phrase) and (phrase.plural or len(meant) == 1)

    def _needs_all_words(self, phrase: Phrase) -> bool:
        """Whether without its size, place or motion (else its shape) it would mean others too.

        A plural phrase needs its words where it means several.
        """
        if phrase.plural:
            return len(self._doubtful(phrase)) > 1
        if phrase.size or phrase.rank or phrase.motion:
            less = dataclasses.replace(phrase, size=None, rank=None, motion=None)
        else:
            less = dataclasses.replace(phrase, shape=None)
        return len(self._doubtful(less)) > 1

    def _describe(self, kind: str) -> Iterator[Phrase]:
        """Phrases of a kind that fit some object, sure or not."""
        if kind == "all":
            yield Phrase(plural=True)
        for thing in self.objects:
            colour, shape, size = thing.colour, thing.shape, thing.size
            names = [{"colour": c, "shape": s} for c in (None, colour) for s in (None, shape)]
            if kind in ("colour", "shape", "colour_shape"):
                said = {key: getattr(thing, key) for key in kind.split("_")}
                yield Phrase(**said)
            elif kind == "size":
                yield from (Phrase(size=size, **name) for name in names)
                yield from self._ranked(_SIZE_RANKS, names[:3])
            elif kind == "position":
                yield from self._ranked(_PLACE_RANKS, names)
            elif kind == "motion":
                yield from (Phrase(motion=m, **n) for m in self._motions(thing) for n in names)
            elif kind == "all":
                yield from (Phrase(**name, plural=True) for name in names[1:])
                yield Phrase(size=size, plural=True)
                yield from (Phrase(motion=m, plural=True) for m in self._motions(thing))

    def _ranked(self, ranks: tuple[str, ...], names: list[dict]) -> Iterator[Phrase]:
        """A first among several of that name: with one alone, its place says nothing."""
        for name in names:
            if len(self._doubtful(Phrase(**name))) > 1:
                yield from (Phrase(rank=rank, **name) for rank in ranks)

    def _choose_none(self, count: int, rng: np.random.Generator) -> list[Phrase]:
        """Phrases without a referent, mostly by one word: its colour and its shape are here."""
        chosen: list[Phrase] = []
        for _ in range(40 * count):
            if len(chosen) == count:
                break
            near = self.objects[int(rng.integers(len(self.objects)))]
            other = self.objects[int(rng.integers(len(self.objects)))]
            phrase = _spoil(near, other, rng)
            if phrase not in chosen and not self._doubtful(phrase):
                chosen.append(phrase)
        return chosen


def _spoil(near: SceneObject, other: SceneObject, rng: np.random.Generator) -> Phrase:
    """A phrase that is likely to mean nothing, though each of its words might fit."""
    said = {"colour": near.colour, "shape": other.shape}
    draw = rng.random()
    if draw < 0.12:
        said = {"colour": pick(rng, grammar.COLOURS)}
    elif draw < 0.24:
        said = {"shape": pick(rng, grammar.SHAPES)}
    elif draw < 0.36:
        said = {"shape": near.shape, "size": pick(rng, grammar.SIZES)}
    elif draw < 0.48:
        said = {"colour": near.colour, "size": pick(rng, grammar.SIZES)}
    elif draw < 0.60:
        said = {"shape": near.shape, "motion": pick(rng, grammar.MOTIONS)}
    elif draw < 0.72:
        said["colour"] = pick(rng, grammar.COLOURS)
    elif draw < 0.80:
        said["rank"] = pick(rng, grammar.RANKS)
    return Phrase(**said, plural="rank" not in said and bool(rng.random() < 0.1))


def _is_called(thing: SceneObject, phrase: Phrase) -> bool:
    wanted = (phrase.colour, phrase.shape, phrase.size)
    return all(w in (None, has) for w, has in zip(wanted, (thing.colour, thing.shape, thing.size)))


def _tuples(fields: dict) -> dict:
    """JSON's lists, as the tuples that they were."""

    def restore(value):
        return tuple(restore(one) for one in value) if isinstance(value, (list, tuple)) else value

    return {key: restore(value) for key, value in fields.items()}


def rng_of(split: str, seed: int, use: str) -> np.random.Generator:
    """A generator of its own for every split, seed and use."""
    return np.random.default_rng([zlib.crc32(f"{split}/{use}".encode()), abs(seed), seed < 0])
