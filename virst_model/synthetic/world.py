"""Synthetic scenes and stories alike: which one, and what can be said of a piece of it."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from virst_model.synthetic.scenes import Scene, make_scene
from virst_model.synthetic.stories import Story, make_story

# Of a story, what is said of all that happens cannot be seen in a shorter piece.
LONG_KINDS, LONG_S = ("motion", "time", "reasoning", "shift"), 1.5


@dataclass(frozen=True)
class Said:
    """A sentence; `kind` begins with "story_" where it is said of one; the ids that it means."""

    text: str
    kind: str
    object_ids: Callable[[float], tuple[int, ...]]


def draw_shown(stories: float, duration_s: float, rng: np.random.Generator) -> Scene | Story:
    """A story, or with the share that is left a scene, of the split `train`."""
    make = make_story if rng.random() < stories else make_scene
    return make(int(rng.integers(2**31)), "train", duration_s=duration_s)


def say(shown: Scene | Story, from_s: float, to_s: float, rng: np.random.Generator) -> list[Said]:
    """One sentence of each kind that can be told by what is shown in [from_s, to_s].

    A sentence about time is there where its deciding event is.
    """
    if isinstance(shown, Scene):
        return [
            Said(one.text, one.kind, lambda t, ids=one.object_ids: ids)
            for one in shown.sentences(rng, per_kind=1)
        ]
    short = to_s - from_s < LONG_S
    return [
        Said(one.text, f"story_{one.kind}", one.object_ids)
        for one in shown.sentences(rng, per_kind=1)
        if not (short and one.kind in LONG_KINDS) and one.decided_s <= to_s
    ]
