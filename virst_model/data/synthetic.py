"""Synthetic scenes: moving shapes, sentences about them, and the truth.

Everything is a function of (split, seed): the tiny model trains and is measured on these
scenes, and the demo camera films one. Splits share no seeds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
import colorsys
import dataclasses
import zlib

import numpy as np

from virst_model.data.grammar import (
    COLOURS,
    KNOWN_WORDS,
    MOTIONS,
    RANKS,
    SHAPES,
    SIZES,
    Phrase,
    parse,
    word,
)
from virst_model.data.moving_shapes import EXTENT, WIDE, Backdrop, SceneObject, paint_object

__all__ = ["DEMO_QUERIES", "KINDS", "KNOWN_WORDS", "Scene", "SceneObject", "Sentence"]
__all__ += ["demo_scene", "make_scene"]

KINDS = ("colour", "colour_shape", "shape", "size", "position", "motion", "all", "none")
SPLITS = ("train", "valid", "test")
DEMO_QUERIES = ("the red circle", "the blue square")

_RGB = {
    "red": (212, 36, 40),
    "green": (42, 160, 58),
    "blue": (40, 78, 218),
    "yellow": (238, 216, 44),
    "purple": (142, 58, 184),
    "orange": (246, 134, 30),
    "cyan": (56, 204, 220),
    "white": (240, 240, 240),
}
_RADII = {"big": (0.17, 0.22), "small": (0.09, 0.12)}
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
        phrase = parse(text)
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
            rng = _rng(self.split, self.seed, "sentences")
        said = []
        for kind in KINDS:
            for phrase in self._choose(kind, per_kind, rng):
                said.append(Sentence(word(phrase, rng), kind, self._meant(phrase)))
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
        named = [thing for thing in self.objects if _is_called(thing, phrase)]
        if phrase.motion:
            ways = [(t.motion(t_s),) if t_s is not None else self._motions(t) for t in named]
            named = [t for t, way in zip(named, ways) if way == (phrase.motion,)]
        if phrase.rank and named:
            firsts = {_first(named, phrase.rank, t) for t in self._times(phrase, t_s)}
            named = [t for t in named if firsts == {t.id}]
        return tuple(thing.id for thing in named)

    def _doubtful(self, phrase: Phrase) -> tuple[int, ...]:
        """Ids of all objects that `phrase` may mean at some time, margins included."""
        named = [thing for thing in self.objects if _is_called(thing, phrase)]
        if phrase.motion:
            named = [thing for thing in named if phrase.motion in self._motions(thing)]
        if phrase.rank and named:
            near = {i for t in self._times(phrase) for i in _near_first(named, phrase.rank, t)}
            named = [thing for thing in named if thing.id in near]
        return tuple(thing.id for thing in named)

    def _motions(self, thing: SceneObject) -> tuple[str, ...]:
        return thing.motions(self.duration_s)

    def _times(self, phrase: Phrase, t_s: float | None = None) -> Iterable[float]:
        if t_s is not None or phrase.rank in ("biggest", "smallest"):
            return (t_s or 0.0,)
        return np.arange(0, self.duration_s + _LOOK_EVERY_S / 2, _LOOK_EVERY_S).tolist()

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
                yield from self._ranked(RANKS[4:], names[:3])
            elif kind == "position":
                yield from self._ranked(RANKS[:4], names)
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


def make_scene(
    seed: int, split: str = "train", n_objects: int | None = None, duration_s: float = 8.0
) -> Scene:
    """The scene of a seed: 2-5 objects (or `n_objects`) that often share colours and shapes.

    Every object is at least 60 % visible at time 0, and most do not turn back within
    `duration_s`. Raises ValueError for a split or a number of objects that is not there.
    """
    if split not in SPLITS:
        raise ValueError(f"split {split!r} is not one of {', '.join(SPLITS)}")
    if n_objects is not None and not 1 <= n_objects <= 5:
        raise ValueError(f"n_objects is {n_objects}, must be 1 to 5")
    rng = _rng(split, seed, "scene")
    count = n_objects or int(rng.choice([2, 3, 4, 5], p=[0.2, 0.3, 0.3, 0.2]))
    names = _draw_names(count, rng)
    backdrop = _draw_backdrop(rng)
    for _ in range(100):
        sizes = _draw_sizes(count, rng)
        scene = Scene(seed, split, duration_s, _place(names, sizes, duration_s, rng), backdrop)
        if min(_visible(scene, 0.0)) >= 0.6:
            break
    return scene


def demo_scene(seed: int = 0) -> Scene:
    """A scene for the camera: 4-5 objects of different colour and shape, gentle for minutes.

    A red circle and a blue square (DEMO_QUERIES) are among them, in front of the others.
    """
    rng = _rng("demo", seed, "scene")
    names = [("red", "circle"), ("blue", "square")]
    spare = [str(colour) for colour in rng.permutation(COLOURS) if colour not in ("red", "blue")]
    shapes = [str(shape) for shape in rng.permutation(["triangle", "star", "cross"])]
    names = [*zip(spare, shapes[: int(rng.integers(2, 4))]), *names]
    backdrop = _draw_backdrop(rng)
    scenes = []
    for _ in range(40):
        sizes = ["small"] * (len(names) - 2) + ["big", "big"]
        objects = _place(names, sizes, 60.0, rng, speed=(0.04, 0.09), still=0.1)
        scenes.append(Scene(seed, "demo", 60.0, objects, backdrop))
    return max(scenes, key=_well_visible)


def _rng(split: str, seed: int, use: str) -> np.random.Generator:
    """A generator of its own for every split, seed and use."""
    return np.random.default_rng([zlib.crc32(f"{split}/{use}".encode()), abs(seed), seed < 0])


def _draw_names(count: int, rng: np.random.Generator) -> list[tuple[str, str]]:
    """Colour and shape of each object. Copies make it needed to read a whole sentence."""
    names: list[tuple[str, str]] = []
    for _ in range(count):
        colour, shape = _pick(rng, COLOURS), _pick(rng, SHAPES)
        if names and rng.random() < 0.6:
            model = names[int(rng.integers(len(names)))]
            which = rng.random()
            colour = model[0] if which < 0.58 else colour
            shape = model[1] if which > 0.42 else shape
        names.append((colour, shape))
    return names


def _draw_sizes(count: int, rng: np.random.Generator) -> list[str]:
    """Half of them big, at most two where there are four or five."""
    sizes = ["big" if rng.random() < 0.5 else "small" for _ in range(count)]
    if count >= 4 and sizes.count("big") > 2:
        sizes = [str(size) for size in rng.permutation(["big"] * 2 + ["small"] * (count - 2))]
    return sizes


def _draw_backdrop(rng: np.random.Generator) -> Backdrop:
    def muted() -> tuple[int, int, int]:
        rgb = colorsys.hsv_to_rgb(rng.random(), rng.uniform(0, 0.22), rng.uniform(0.14, 0.58))
        return tuple(round(255 * value) for value in rgb)

    base = muted()
    corners = (base,) * 4 if rng.random() < 0.4 else tuple(muted() for _ in range(4))
    return Backdrop(
        corners_rgb=corners,
        clouds=round(float(rng.uniform(4, 10)), 2) if rng.random() < 0.5 else 0.0,
        noise=round(float(rng.uniform(0.5, 4.0)), 2),
        light=_rounded(rng.uniform(0, 0.08), rng.uniform(4, 15), rng.uniform(0, 6.28)),
        seed=int(rng.integers(2**31)),
    )


def _place(
    names: list[tuple[str, str]],
    sizes: list[str],
    duration_s: float,
    rng: np.random.Generator,
    speed: tuple[float, float] = (0.06, 0.2),
    still: float = 0.25,
) -> tuple[SceneObject, ...]:
    """Objects at places where they do not hide each other much, with their motions.

    `speed` is a range in widths of the frame a second, `still` the share that stands still.
    """
    placed: list[SceneObject] = []
    for name, size in zip(names, sizes):
        for _ in range(30):
            thing = _draw_object(len(placed) + 1, name, size, rng)
            moving = rng.random() >= still
            thing = _set_going(thing, duration_s, speed, rng) if moving else thing
            gaps = [np.hypot(*np.subtract(thing.start, o.start)) for o in placed]
            if all(g > 0.85 * (thing.radius + o.radius) for g, o in zip(gaps, placed)):
                break
        placed.append(thing)
    return tuple(placed)


def _draw_object(
    number: int, name: tuple[str, str], size: str, rng: np.random.Generator
) -> SceneObject:
    """An object that stands still somewhere."""
    colour, shape = name
    radius = round(float(rng.uniform(*_RADII[size])), 4)
    value = rng.uniform(0.86, 1.05)
    tilt = 20 if shape in ("square", "cross") else 180
    margin = radius * EXTENT[shape] * 0.9
    room = _rounded(margin, margin, WIDE - margin, 1 - margin)
    return SceneObject(
        id=number,
        colour=colour,
        shape=shape,
        size=size,
        radius=radius,
        rgb=tuple(min(255, round(channel * value)) for channel in _RGB[colour]),
        outlined=bool(rng.random() < 0.3),
        angle_deg=round(float(rng.uniform(-tilt, tilt)), 2),
        start=_rounded(rng.uniform(room[0], room[2]), rng.uniform(room[1], room[3])),
        velocity=(0.0, 0.0),
        room=room,
        wobble=_rounded(0.012 * (rng.random() < 0.4), rng.uniform(1, 2.5), rng.uniform(0, 6.28)),
        turn_deg=6.0 if rng.random() < 0.3 and shape != "circle" else 0.0,
    )


def _set_going(
    thing: SceneObject, duration_s: float, speed: tuple[float, float], rng: np.random.Generator
) -> SceneObject:
    """Gives it a velocity, mostly one (and a start) with which it need not turn for a while."""
    along = int(rng.random() < 0.45)
    space = thing.room[along + 2] - thing.room[along]
    way = rng.uniform(*speed) * WIDE
    start = list(thing.start)
    sign = 1 if rng.random() < 0.5 else -1
    if rng.random() < 0.8:
        way = max(min(way, 0.97 * space / duration_s), 0.8 * speed[0] * WIDE)
        slack = max(space - way * duration_s, 0.0) * rng.uniform(0.02, 0.98)
        start[along] = thing.room[along] + slack if sign > 0 else thing.room[along + 2] - slack
    velocity = [0.0, 0.0]
    velocity[along] = sign * way
    velocity[1 - along] = way * rng.uniform(-0.2, 0.2) * (rng.random() < 0.5)
    return dataclasses.replace(thing, start=_rounded(*start), velocity=_rounded(*velocity))


def _visible(scene: Scene, t_s: float) -> list[float]:
    """The visible share of every object, 0..1, looked at coarsely."""
    shares, ids = [], np.zeros((60, 80), np.uint8)
    for thing in scene.objects:
        paint_object(None, ids, thing, t_s)
    for thing in scene.objects:
        alone = np.zeros_like(ids)
        paint_object(None, alone, thing, t_s)
        shares.append(np.count_nonzero(ids == thing.id) / max(1, np.count_nonzero(alone)))
    return shares


def _well_visible(scene: Scene) -> float:
    """How well the last two objects, and a little how well the others, are seen for a minute."""
    shares = np.array([_visible(scene, t) for t in range(0, 61, 2)])
    return float(shares[:, -2:].min() + 0.5 * shares[:, :-2].min() + 0.5 * shares.mean())


def _spoil(near: SceneObject, other: SceneObject, rng: np.random.Generator) -> Phrase:
    """A phrase that is likely to mean nothing, though each of its words might fit."""
    said = {"colour": near.colour, "shape": other.shape}
    draw = rng.random()
    if draw < 0.12:
        said = {"colour": _pick(rng, COLOURS)}
    elif draw < 0.24:
        said = {"shape": _pick(rng, SHAPES)}
    elif draw < 0.36:
        said = {"shape": near.shape, "size": _pick(rng, SIZES)}
    elif draw < 0.48:
        said = {"colour": near.colour, "size": _pick(rng, SIZES)}
    elif draw < 0.60:
        said = {"shape": near.shape, "motion": _pick(rng, MOTIONS)}
    elif draw < 0.72:
        said["colour"] = _pick(rng, COLOURS)
    elif draw < 0.80:
        said["rank"] = _pick(rng, RANKS)
    return Phrase(**said, plural="rank" not in said and bool(rng.random() < 0.1))


def _is_called(thing: SceneObject, phrase: Phrase) -> bool:
    wanted = (phrase.colour, phrase.shape, phrase.size)
    return all(w in (None, has) for w, has in zip(wanted, (thing.colour, thing.shape, thing.size)))


def _standing(thing: SceneObject, rank: str, t_s: float) -> float:
    """What `rank` compares: the object with the smallest comes first."""
    if rank in ("biggest", "smallest"):
        # The logarithm turns the ratio of radii into a difference.
        return float(np.log(thing.radius)) * (-1 if rank == "biggest" else 1)
    x, y = thing.centre(t_s)
    return {"leftmost": x, "rightmost": -x, "topmost": y, "bottommost": -y}[rank]


def _first(things: list[SceneObject], rank: str, t_s: float) -> int:
    return min(things, key=lambda thing: _standing(thing, rank, t_s)).id


def _near_first(things: list[SceneObject], rank: str, t_s: float) -> list[int]:
    """Ids of those that come first within the margin."""
    sized = rank in ("biggest", "smallest")
    margin = float(np.log(_RADIUS_MARGIN)) if sized else _PLACE_MARGIN
    standings = [_standing(thing, rank, t_s) for thing in things]
    return [t.id for t, s in zip(things, standings) if s < min(standings) + margin]


def _tuples(fields: dict) -> dict:
    """JSON's lists, as the tuples that they were."""

    def restore(value):
        return tuple(restore(one) for one in value) if isinstance(value, (list, tuple)) else value

    return {key: restore(value) for key, value in fields.items()}


def _rounded(*values: float) -> tuple[float, ...]:
    """Plain floats, short in JSON."""
    return tuple(round(float(value), 4) for value in values)


def _pick(rng: np.random.Generator, choices):
    return choices[int(rng.integers(len(choices)))]
