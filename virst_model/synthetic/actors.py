"""Who plays in a story: actors, what they look like, and which ones training never shows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from virst_model.synthetic.grammar import COLOURS, pick
from virst_model.synthetic.shapes import RGB, SHAPES, figure, resemble

# Splits other than `test` never show or name these: what a model does with them it did not learn
# by heart. One for every shape; every colour keeps at least eight shapes.
HELD_OUT = (
    ("purple", "circle"),
    ("yellow", "square"),
    ("green", "triangle"),
    ("blue", "star"),
    ("orange", "cross"),
    ("red", "ring"),
    ("white", "heart"),
    ("cyan", "arrow"),
    ("red", "diamond"),
    ("green", "hexagon"),
)
TEXTURES = ("plain", "striped", "dotted")
# Heights of the frame.
RADII = {"big": (0.14, 0.175), "small": (0.07, 0.092)}

_TWO_TONE = 0.1
# A cross that is turned far is an X, a square a diamond, a heart on its head is no heart.
_TILT_DEG = {"square": 15, "cross": 12, "diamond": 12, "heart": 15}


@dataclass(frozen=True)
class Actor:
    """A shape and its looks.

    Attributes:
        id: its value in the id map, from 1; higher ones lie in front.
        shape: one of SHAPES.
        colours: one of COLOURS, or two where one half of it has another.
        size: big or small, when the story begins.
        texture: one of TEXTURES; what has two colours is plain.
        outlined: whether it has a dark edge; only what is plain and no ring.
        radius: in heights of the frame, when the story begins.
        rgbs: 0..255, of each of `colours`.
        angle: in radians, when the story begins.
    """

    id: int
    shape: str
    colours: tuple[str, ...]
    size: str
    texture: str
    outlined: bool
    radius: float
    rgbs: tuple[tuple[int, int, int], ...]
    angle: float

    @property
    def extent(self) -> float:
        """How far it reaches from its centre when the story begins, in heights."""
        return self.radius * figure(self.shape).extent


def is_held_out(colours: tuple[str, ...], shape: str) -> bool:
    """Whether training never shows this: one of its colours with its shape is in HELD_OUT."""
    return any((colour, shape) in HELD_OUT for colour in colours)


def draw_actors(sizes: list[str], split: str, rng: np.random.Generator) -> tuple[Actor, ...]:
    """An actor for each of `sizes`; they often share colours, shapes or both.

    In split `test` at least one is of HELD_OUT, in the others none.
    """
    looks: list[tuple[tuple[str, ...], str]] = []
    while len(looks) < len(sizes):
        look = _draw_look(looks, rng)
        if split == "test" or not is_held_out(*look):
            looks.append(look)
    if split == "test" and not any(is_held_out(*look) for look in looks):
        colour, shape = pick(rng, HELD_OUT)
        looks[int(rng.integers(len(looks)))] = ((colour,), shape)
    return tuple(
        _draw_actor(number, look, size, rng)
        for number, (look, size) in enumerate(zip(looks, sizes), start=1)
    )


def _draw_look(
    looks: list[tuple[tuple[str, ...], str]], rng: np.random.Generator
) -> tuple[tuple[str, ...], str]:
    """Colours and shape."""
    colours, shape = (pick(rng, COLOURS),), pick(rng, SHAPES)
    if rng.random() < _TWO_TONE:
        colours = tuple(str(colour) for colour in rng.choice(COLOURS, 2, replace=False))
    return resemble((colours, shape), looks, rng)


def _draw_actor(
    number: int, look: tuple[tuple[str, ...], str], size: str, rng: np.random.Generator
) -> Actor:
    colours, shape = look
    texture = str(rng.choice(TEXTURES, p=(0.64, 0.2, 0.16))) if len(colours) == 1 else "plain"
    value = rng.uniform(0.88, 1.05)
    tilt = _TILT_DEG.get(shape, 180)
    return Actor(
        id=number,
        shape=shape,
        colours=colours,
        size=size,
        texture=texture,
        # Else stripes, or a ring's two edges, would leave little of the colour.
        outlined=texture == "plain" and shape != "ring" and bool(rng.random() < 0.4),
        radius=float(rng.uniform(*RADII[size])),
        rgbs=tuple(tuple(min(255, round(v * value)) for v in RGB[name]) for name in colours),
        angle=float(np.radians(rng.uniform(-tilt, tilt))),
    )
