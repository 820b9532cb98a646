"""Scenes of the camera's world to measure with: one thing each is other than in the drawn world.

`light`: plain objects before light grey. `photographs`: plain objects before photographs that are
kept aside. `demo`: the objects of the demo, the same in every split, before such photographs, and
its two queries.
`cutouts`: photographed things that are kept aside, each in a colour of its own, before
such photographs, filmed by a camera that pans. `small`: plain objects of 5 % of the frame.
"""

from __future__ import annotations

from dataclasses import replace
import math

import numpy as np

from virst_model.synthetic.backgrounds import SIDES, crop
from virst_model.synthetic.camera import Camera, Picture, View
from virst_model.synthetic.coats import Coat
from virst_model.synthetic.filmed import Filmed, Zoom, dressed
from virst_model.synthetic.grammar import COLOURS
from virst_model.synthetic.photographs import NOTHING, Photographs
from virst_model.synthetic.scenes import DEMO_QUERIES, Scene, demo_scene, make_scene
from virst_model.synthetic.sentence import Sentence
from virst_model.synthetic.splits import rng_of

TRIALS = ("light", "photographs", "demo", "cutouts", "small")
OF_PHOTOGRAPHS = ("photographs", "demo", "cutouts")
_LIGHT = (210, 250)  # grey levels
_SMALL_RADIUS = 0.025
_PAN = (0.04, 0.12)  # heights: how far a panning camera goes to each side


def make_trial(
    name: str, seed: int, split: str, duration_s: float, photographs: Photographs = NOTHING
) -> Filmed:
    """The trial of a seed. `photographs` are those kept aside (`read_photographs(aside=True)`).

    Raises:
        ValueError: `name` is none of TRIALS, or there is no photograph or no coloured cut-out for
            one that needs them.
    """
    if name not in TRIALS:
        raise ValueError(f"trial {name!r}; known are {', '.join(TRIALS)}")
    rng = rng_of(split, seed, f"trial {name}")
    scene = _demo(seed) if name == "demo" else make_scene(seed, split, duration_s=duration_s)
    if name == "light":
        scene = _without_white(scene)
    coats = tuple(Coat(item.rgb) for item in scene.objects)
    if name in OF_PHOTOGRAPHS and not photographs.backgrounds:
        raise ValueError(f"trial {name}: there is no photograph that is kept aside")
    if name == "cutouts":
        scene, coats = _cut_out(scene, photographs, rng)
    if name in OF_PHOTOGRAPHS:
        backdrop = Picture(crop(photographs.backgrounds, rng))
    elif name == "light":
        level = int(rng.integers(_LIGHT[0], _LIGHT[1] + 1))
        backdrop = Picture(np.full((*SIDES, 3), level, np.uint8))
    else:
        backdrop = scene.view.backdrop
    if name == "small":
        small = (replace(item, radius=_SMALL_RADIUS) for item in scene.objects)
        scene = replace(scene, objects=tuple(small))
    camera = Camera(noise=1.0, seed=seed, light=(0.0, 1.0, float(rng.uniform(0, 2 * math.pi))))
    if name == "cutouts":
        camera = replace(camera, margin=_PAN[1] + 0.01, pan=float(rng.uniform(*_PAN)))
    return dressed(scene, coats, View(backdrop, camera), Zoom())


class _Demo(Scene):
    """A scene of which the demo's queries are asked."""

    def sentences(
        self, rng: np.random.Generator | None = None, per_kind: int = 2
    ) -> tuple[Sentence, ...]:
        """These two, whatever is wished for."""
        return tuple(Sentence.of(text, "colour_shape", self.answer(text)) for text in DEMO_QUERIES)


def _demo(seed: int) -> _Demo:
    scene = demo_scene(seed)
    return _Demo(scene.seed, scene.split, scene.duration_s, scene.objects, scene.view)


def _without_white(scene: Scene) -> Scene:
    """Nobody sees white before light grey; a scene of white alone stays as it is."""
    kept = [item for item in scene.objects if item.colour != "white"] or scene.objects
    return replace(scene, objects=tuple(replace(o, id=n) for n, o in enumerate(kept, start=1)))


def _cut_out(
    scene: Scene, photographs: Photographs, rng: np.random.Generator
) -> tuple[Scene, tuple[Coat, ...]]:
    """Every object as a thing of a photograph, which gives it its colour."""
    coloured = [c for c in photographs.cutouts if c.colour in COLOURS]
    if not coloured:
        raise ValueError("trial cutouts: no cut-out that is kept aside has a colour")
    chosen = [coloured[int(rng.integers(len(coloured)))] for _ in scene.objects]
    objects = tuple(
        replace(item, colour=cutout.colour)
        for item, cutout in zip(scene.objects, chosen, strict=True)
    )
    coats = tuple(Coat(item.rgb, cutout=c) for item, c in zip(objects, chosen, strict=True))
    return replace(scene, objects=objects), coats
