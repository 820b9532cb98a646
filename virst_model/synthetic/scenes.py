"""Synthetic scenes: moving shapes, sentences about them, and the truth.

Everything is a function of (split, seed): the tiny model trains and is measured on these
scenes, and the demo camera films one. Splits share no seeds.
"""

from __future__ import annotations

import colorsys
import dataclasses

import numpy as np

from virst_model.synthetic.grammar import COLOURS, KNOWN_WORDS, SHAPES, pick
from virst_model.synthetic.scene_objects import EXTENT, WIDE, Backdrop, SceneObject, paint_object
from virst_model.synthetic.scene_sentences import KINDS, Scene, Sentence, rng_of

__all__ = [
    "DEMO_QUERIES",
    "KINDS",
    "KNOWN_WORDS",
    "Scene",
    "SceneObject",
    "Sentence",
    "demo_scene",
    "make_scene",
]

SPLITS = ("train", "valid", "test")
DEMO_QUERIES = ("the red circle", "the blue square")

# For over a minute no object of this scene is hidden by more than 70 %.
DEMO_SEED = 15

RGB = {
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
    rng = rng_of(split, seed, "scene")
    count = n_objects or int(rng.choice([2, 3, 4, 5], p=[0.2, 0.3, 0.3, 0.2]))
    names = _draw_names(count, rng)
    backdrop = _draw_backdrop(rng)
    for _ in range(100):
        sizes = _draw_sizes(count, rng)
        scene = Scene(seed, split, duration_s, _place(names, sizes, duration_s, rng), backdrop)
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
    backdrop = _draw_backdrop(rng)
    scenes = []
    for _ in range(60):
        sizes = ["small"] * (len(names) - 2) + ["big", "big"]
        objects = _place(names, sizes, 60.0, rng, speed=(0.04, 0.09), still=0.0)
        scenes.append(Scene(seed, "demo", 60.0, objects, backdrop))
    return max(scenes, key=_well_visible)


def _draw_names(count: int, rng: np.random.Generator) -> list[tuple[str, str]]:
    """Colour and shape of each object. Copies make it needed to read a whole sentence."""
    names: list[tuple[str, str]] = []
    for _ in range(count):
        colour, shape = pick(rng, COLOURS), pick(rng, SHAPES)
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


def _rounded(*values: float) -> tuple[float, ...]:
    """Plain floats, short in JSON."""
    return tuple(round(float(value), 4) for value in values)
