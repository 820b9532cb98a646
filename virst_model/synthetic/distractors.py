"""Distractors: things before a camera that no sentence names, behind those that some name."""

from __future__ import annotations

from dataclasses import replace
import re

import numpy as np

from virst_model.synthetic.actors import is_held_out
from virst_model.synthetic.colours import NAMES
from virst_model.synthetic.grammar import pick
from virst_model.synthetic.scene_objects import SceneObject
from virst_model.synthetic.scenes import Scene, make_scene
from virst_model.synthetic.sentence import Sentence

_MOST = 2
_COLOUR = re.compile(rf"\b({'|'.join(NAMES)})\b")


def draw_distractors(scene: Scene, rng: np.random.Generator) -> Scene:
    """One or two things that move as those of scenes do.

    None has a colour of the scene's, so that what is asked for by its colour is no distractor.
    """
    count = int(rng.integers(1, _MOST + 1))
    others = make_scene(int(rng.integers(2**31)), scene.split, count, scene.duration_s)
    taken = _plain_names(scene)
    objects = (replace(item, colour=_draw_colour(item, taken, rng)) for item in others.objects)
    return replace(others, objects=tuple(objects))


def means_no_distractor(sentence: Sentence, distractors: Scene) -> bool:
    """Whether it names some colour, and none of theirs.

    Places, sizes, shapes and numbers alone ("the leftmost thing") may be said of them, too.
    """
    colours = set(_COLOUR.findall(sentence.text))
    return bool(colours) and not colours & _plain_names(distractors)


def _draw_colour(item: SceneObject, taken: set[str], rng: np.random.Generator) -> str:
    return pick(rng, [n for n in NAMES if n not in taken and not is_held_out((n,), item.shape)])


def _plain_names(scene: Scene) -> set[str]:
    """The names of its colours, of light and dark ones without that."""
    return {item.colour.split()[-1] for item in scene.objects}
