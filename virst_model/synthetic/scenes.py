"""Scenes: moving shapes, sentences about them, and the truth.

Everything is a function of (split, seed): the tiny model trains and is measured on scenes and on
stories, and the demo camera films a scene. Splits share no seeds.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
import functools
import math
from typing import ClassVar

import numpy as np

from virst_model.synthetic import grammar
from virst_model.synthetic.camera import WIDE, Backdrop, Camera, View, draw_plain_view
from virst_model.synthetic.grammar import COLOURS, SHAPES, pick
from virst_model.synthetic.scene_objects import SceneObject, paint_object
from virst_model.synthetic.scene_questions import ask, ask_if_there
from virst_model.synthetic.scene_sentences import KINDS, ScenePhrases
from virst_model.synthetic.sentence import Ids, Question, Sentence
from virst_model.synthetic.shapes import OUTLINES, RGB, resemble
from virst_model.synthetic.splits import check_split, rng_of

DEMO_QUERIES = ("the red circle", "the blue square")

# For over a minute no object of this scene is hidden by more than 70 %.
DEMO_SEED = 15

_MINUTE_S = range(0, 61, 2)
_RADII = {"big": (0.17, 0.22), "small": (0.09, 0.12)}


@dataclass(frozen=True)
class Scene:
    """Objects in front of a camera; it can be rendered at any time, also after `duration_s`.

    A `World`. `sentences`, and `answer` without a time, hold for all of [0, duration_s].
    """

    seed: int
    split: str
    duration_s: float
    objects: tuple[SceneObject, ...]
    view: View
    eventful: ClassVar[bool] = False

    def render(self, t_s: float, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
        """The picture and the ids at `t_s`, as `View.render` has them."""
        return self.view.render(self._paint, t_s, height, width)

    def answer(self, text: str, t_s: float | None = None) -> Ids | None:
        """Ids of the objects that `text` means at `t_s`, or all through [0, duration_s].

        () where the sentence is understood and means nothing here, None where it is not a
        sentence of the grammar. A singular phrase that fits several objects gives them all.
        """
        phrase = grammar.parse(text)
        return None if phrase is None else self._phrases.meant(phrase, t_s)

    def sentences(
        self, rng: np.random.Generator | None = None, per_kind: int = 2
    ) -> tuple[Sentence, ...]:
        """Up to `per_kind` different true sentences of each kind, in the order of KINDS.

        Without `rng` they are the same at every call. A singular sentence means exactly one
        object, beyond doubt (margins of place and size, nothing that turns back); `none`
        sentences mean no object at any time.
        """
        rng = rng_of(self.split, self.seed, "sentences") if rng is None else rng
        return tuple(
            Sentence.of(grammar.word(phrase, rng), kind, self._phrases.meant(phrase))
            for kind in KINDS
            for phrase in self._phrases.choose(kind, per_kind, rng)
        )

    def questions(
        self, rng: np.random.Generator | None = None, count: int = 4
    ) -> tuple[Question, ...]:
        """Up to `count` different questions whose answers are words.

        Without `rng` they are the same at every call, and answered with yes or no.
        """
        if rng is not None:
            return ask(self.objects, self._phrases, rng, count)
        rng = rng_of(self.split, self.seed, "questions")
        sentences = self.sentences(rng, per_kind=1)
        return tuple(
            ask_if_there(sentence.text, sentence.object_ids(0.0))
            for sentence in (sentences[i] for i in rng.permutation(len(sentences))[:count])
        )

    def to_dict(self) -> dict:
        """A description that JSON can hold; `from_dict` renders the same pictures."""
        return {
            "seed": self.seed,
            "split": self.split,
            "duration_s": self.duration_s,
            "objects": [asdict(item) for item in self.objects],
            "backdrop": asdict(self.view.backdrop),
            "camera": asdict(self.view.camera),
        }

    @classmethod
    def from_dict(cls, description: dict) -> Scene:
        """The scene that `to_dict` described. KeyError, TypeError: it is no such description."""
        backdrop = Backdrop(**_tuples(description["backdrop"]))
        return cls(
            seed=description["seed"],
            split=description["split"],
            duration_s=description["duration_s"],
            objects=tuple(SceneObject(**_tuples(item)) for item in description["objects"]),
            view=View(backdrop, Camera(**_tuples(description["camera"]))),
        )

    @functools.cached_property
    def _phrases(self) -> ScenePhrases:
        return ScenePhrases(self.objects, self.duration_s)

    def _paint(self, picture: np.ndarray, ids: np.ndarray, t_s: float, offset: complex) -> None:
        for item in self.objects:
            paint_object(picture, ids, item, t_s, offset)


def make_scene(
    seed: int, split: str = "train", n_objects: int | None = None, duration_s: float = 8.0
) -> Scene:
    """The scene of a seed: 2-5 objects (or `n_objects`) that often share colours and shapes.

    Every object is at least 60 % visible at time 0, and most do not turn back within
    `duration_s`. Raises ValueError for a split or a number of objects that is not there.
    """
    check_split(split)
    if n_objects is not None and not 1 <= n_objects <= 5:
        raise ValueError(f"n_objects is {n_objects}, must be 1 to 5")
    rng = rng_of(split, seed, "scene")
    count = n_objects or int(rng.choice([2, 3, 4, 5], p=[0.2, 0.3, 0.3, 0.2]))
    names = _draw_names(count, rng)
    view = draw_plain_view(rng)
    for _ in range(100):
        sizes = _draw_sizes(count, rng)
        scene = Scene(seed, split, duration_s, _place(names, sizes, duration_s, rng), view)
        if min(_visible(scene, 0.0)) >= 0.6:
            break
    return scene


def demo_scene(seed: int = DEMO_SEED) -> Scene:
    """A scene for the camera: 4-5 objects of different colour and shape, gentle for minutes.

    A red circle and a blue square (DEMO_QUERIES) are among them, in front of the others.
    """
    rng = rng_of("demo", seed, "scene")
    names = [("red", "circle"), ("blue", "square")]
    spare = [str(colour) for colour in rng.permutation(COLOURS) if colour not in ("red", "blue")]
    shapes = [str(shape) for shape in rng.permutation(["triangle", "star", "cross"])]
    names = [*zip(spare, shapes[: int(rng.integers(2, 4))]), *names]
    view = draw_plain_view(rng)
    scenes = []
    for _ in range(60):
        sizes = ["small"] * (len(names) - 2) + ["big", "big"]
        objects = _place(names, sizes, 60.0, rng, speed=(0.04, 0.09), still=0.0)
        scenes.append(Scene(seed, "demo", 60.0, objects, view))
    return _best_visible(scenes)


def _draw_names(count: int, rng: np.random.Generator) -> list[tuple[str, str]]:
    """Colour and shape of each object."""
    names: list[tuple[str, str]] = []
    for _ in range(count):
        colour, shape = pick(rng, COLOURS), pick(rng, SHAPES)
        names.append(resemble((colour, shape), names, rng))
    return names


def _draw_sizes(count: int, rng: np.random.Generator) -> list[str]:
    """Half of them big, at most two where there are four or five."""
    sizes = ["big" if rng.random() < 0.5 else "small" for _ in range(count)]
    if count >= 4 and sizes.count("big") > 2:
        sizes = [str(size) for size in rng.permutation(["big"] * 2 + ["small"] * (count - 2))]
    return sizes


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
            item = _draw_object(len(placed) + 1, name, size, rng)
            moving = rng.random() >= still
            item = _set_going(item, duration_s, speed, rng) if moving else item
            gaps = [np.hypot(*np.subtract(item.start, o.start)) for o in placed]
            if all(g > 0.85 * (item.radius + o.radius) for g, o in zip(gaps, placed)):
                break
        placed.append(item)
    return tuple(placed)


def _draw_object(
    number: int, name: tuple[str, str], size: str, rng: np.random.Generator
) -> SceneObject:
    """An object that stands still somewhere."""
    colour, shape = name
    radius = round(float(rng.uniform(*_RADII[size])), 4)
    value = rng.uniform(0.86, 1.05)
    tilt = 20 if shape in ("square", "cross") else 180
    margin = radius * float(np.linalg.norm(OUTLINES[shape], axis=1).max()) * 0.9
    room = _rounded(margin, margin, WIDE - margin, 1 - margin)
    return SceneObject(
        id=number,
        colour=colour,
        shape=shape,
        size=size,
        radius=radius,
        rgb=tuple(min(255, round(channel * value)) for channel in RGB[colour]),
        outlined=bool(rng.random() < 0.3),
        angle_deg=round(float(rng.uniform(-tilt, tilt)), 2),
        start=_rounded(rng.uniform(room[0], room[2]), rng.uniform(room[1], room[3])),
        velocity=(0.0, 0.0),
        room=room,
        wobble=_rounded(0.012 * (rng.random() < 0.4), rng.uniform(1, 2.5), rng.uniform(0, 6.28)),
        turn_deg=6.0 if rng.random() < 0.3 and shape != "circle" else 0.0,
    )


def _set_going(
    item: SceneObject, duration_s: float, speed: tuple[float, float], rng: np.random.Generator
) -> SceneObject:
    """Gives it a velocity, mostly one (and a start) with which it need not turn for a while."""
    along = int(rng.random() < 0.45)
    space = item.room[along + 2] - item.room[along]
    way = rng.uniform(*speed) * WIDE
    start = list(item.start)
    sign = 1 if rng.random() < 0.5 else -1
    if rng.random() < 0.8:
        way = max(min(way, 0.97 * space / duration_s), 0.8 * speed[0] * WIDE)
        slack = max(space - way * duration_s, 0.0) * rng.uniform(0.02, 0.98)
        start[along] = item.room[along] + slack if sign > 0 else item.room[along + 2] - slack
    velocity = [0.0, 0.0]
    velocity[along] = sign * way
    velocity[1 - along] = way * rng.uniform(-0.2, 0.2) * (rng.random() < 0.5)
    return replace(item, start=_rounded(*start), velocity=_rounded(*velocity))


def _visible(scene: Scene, t_s: float) -> list[float]:
    """The visible share of every object, 0..1, looked at coarsely."""
    shares, ids = [], np.zeros((60, 80), np.uint8)
    for item in scene.objects:
        paint_object(None, ids, item, t_s)
    for item in scene.objects:
        alone = np.zeros_like(ids)
        paint_object(None, alone, item, t_s)
        shares.append(np.count_nonzero(ids == item.id) / max(1, np.count_nonzero(alone)))
    return shares


def _best_visible(scenes: list[Scene]) -> Scene:
    """The one whose last two objects, and a little whose others, are seen best for a minute.

    A scene is given up as soon as it cannot become better than the best so far.
    """
    best, best_score = scenes[0], -math.inf
    for scene in scenes:
        shares: list[list[float]] = []
        for t_s in _MINUTE_S:
            shares.append(_visible(scene, t_s))
            # As if all were seen in full from here on.
            score = _well_visible(shares, len(_MINUTE_S) - len(shares))
            if score <= best_score:
                break
        else:
            best, best_score = scene, score
    return best


def _well_visible(shares: list[list[float]], full: int) -> float:
    """A score of the visible shares (times, objects), and of as many `full` times of 1."""
    seen = np.array(shares)
    mean = (seen.sum() + full * seen.shape[1]) / ((len(seen) + full) * seen.shape[1])
    return float(seen[:, -2:].min() + 0.5 * seen[:, :-2].min() + 0.5 * mean)


def _rounded(*values: float) -> tuple[float, ...]:
    """Plain floats, short in JSON."""
    return tuple(round(float(value), 4) for value in values)


def _tuples(fields: dict) -> dict:
    """JSON's lists, as the tuples that they were."""

    def restore(value):
        return tuple(map(restore, value)) if isinstance(value, (list, tuple)) else value

    return {key: restore(value) for key, value in fields.items()}
