"""The camera's world: a scene or a story with the looks of real things, before a real camera.

The world keeps its places, its motions and its sentences; what it looks like is drawn anew: any
background, photographs among them, coats with light and shade, photographed things, near and far
views, and all that a camera does to a picture.
"""

from __future__ import annotations

import cmath
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
import math
import re

import cv2
import numpy as np

from virst_model.synthetic.actors import Actor
from virst_model.synthetic.backgrounds import draw_background
from virst_model.synthetic.camera import WIDE, Camera, Picture, View
from virst_model.synthetic.coats import Coat, draw_coat
from virst_model.synthetic.colours import has_name, named
from virst_model.synthetic.distractors import draw_distractors, means_no_distractor
from virst_model.synthetic.photographs import NOTHING, Photographs
from virst_model.synthetic.scene_objects import UNNAMED, SceneObject
from virst_model.synthetic.scenes import Scene
from virst_model.synthetic.sentence import Question, Sentence
from virst_model.synthetic.shapes import RGB
from virst_model.synthetic.splits import rng_of
from virst_model.synthetic.sprites import Sprite, draw_sprite, paint_sprite
from virst_model.synthetic.stories import Story
from virst_model.synthetic.wordings import draw_colours, is_doubtful, reworded, shades_of

_MARGIN = 0.04  # heights of background around the picture, for a camera that shakes
_RADII = (0.02, 0.5)  # heights, of the object that a near or a far view is about
_SPRITE_PX = (2.0, 400.0)
_FAINT = 0.49  # opacity: what is less than half there has no pixels of its own
# What can be said, whatever part of a world is in view, and words that a view makes untrue.
_ANY_VIEW = (
    *("colour", "colour_shape", "shape", "motion", "all", "none"),
    *("attribute", "plural"),
)
_SIZE_WORDS = {"big", "small", "large", "biggest", "smallest", "largest"}
_TRUE_SIZE = (0.8, 1.25)
_TRIES = 6
_DISTRACTED = 0.3  # of the scenes
_UNEVEN = (1.0, 0.5, 0.25, 0.0)
_MOTION = re.compile(r"\b(mov\w+|still)\b")
# A colour of 0..255 and what it is called.
Look = tuple[tuple[int, int, int], str]
# What a world's edge makes true, and a view of more or of less than it does not.
_EDGE = re.compile(
    r"\b(leaves?|enters?|picture|sight|disappears?|comes? back|gone|first|last|after|before)\b"
)
# What tells its object by a deed, which a near view may not show; of a story's absent, too.
_DEED = re.compile(r"\bthat\b|^Which\b")


@dataclass(frozen=True)
class Zoom:
    """Which part of a world fills the frame.

    A point p of the world (complex, heights) is seen at (p - centre) * scale + the middle.
    """

    scale: float = 1.0
    centre: complex = complex(WIDE / 2, 0.5)

    def place(self, points: np.ndarray) -> np.ndarray:
        """Where points of the world are in the frame, in heights."""
        return (points - self.centre) * self.scale + complex(WIDE / 2, 0.5)


@dataclass(frozen=True, eq=False)
class Filmed:
    """A `World` as some camera sees it; what is seen of an object is what it is called.

    Attributes:
        actors, coats: how each of the world's objects looks, in the order of their ids.
        many_words: whether its sentences have words that the drawn worlds do not have, too.
        distractors: a scene that lies behind, whose things are in no sentence and no id.
    """

    world: Scene | Story
    actors: tuple[Actor, ...]
    coats: tuple[Coat, ...]
    view: View
    zoom: Zoom
    many_words: bool = False
    distractors: Filmed | None = None
    _sprites: dict = field(default_factory=dict, repr=False)

    @property
    def seed(self) -> int:
        """That of the world."""
        return self.world.seed

    @property
    def split(self) -> str:
        """That of the world."""
        return self.world.split

    @property
    def duration_s(self) -> float:
        """That of the world."""
        return self.world.duration_s

    @property
    def eventful(self) -> bool:
        """Whether the world is a story."""
        return self.world.eventful

    @property
    def objects(self) -> tuple[SceneObject, ...] | tuple[Actor, ...]:
        """Those of the world."""
        return self.world.objects

    def render(self, t_s: float, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
        """The picture (height, width, 3) uint8 RGB and the ids (height, width) uint8 at `t_s`."""
        return self.view.render(self._paint, t_s, height, width)

    def render_flat(self, t_s: float, height: int, width: int) -> np.ndarray:
        """The same objects at `t_s` as the drawn world shows them: flat colours before grey."""
        picture = np.full((height, width, 3), 96, np.uint8)
        ids = np.zeros((height, width), np.uint8)
        offset = self.view.camera.offset(t_s)
        for actor, pose in zip(self.actors, self._poses(t_s, offset), strict=True):
            coat = self.coats[actor.id - 1]
            sprite = self._sprite("flat", actor, coat, height)
            paint_sprite(picture, ids, sprite, actor.id, pose)
        return picture

    def sentences(
        self, rng: np.random.Generator | None = None, per_kind: int = 2
    ) -> tuple[Sentence, ...]:
        """Those of the world that are still true of what is in view, in some other words."""
        sentences = self.world.sentences(rng, per_kind)
        sentences = (s for s in sentences if not is_doubtful(s, self.world))
        scale = self.zoom.scale
        if scale > 1:
            sentences = (s for s in sentences if s.kind in _ANY_VIEW)
            sentences = (s for s in sentences if not (self.eventful and _DEED.search(s.text)))
        if scale != 1:
            sentences = (s for s in sentences if not _EDGE.search(s.text))
        if self.view.camera.pan:  # who moves, the thing or the camera?
            sentences = (s for s in sentences if not _tells_of_motion(s))
        if not _TRUE_SIZE[0] <= scale <= _TRUE_SIZE[1]:
            sentences = (s for s in sentences if not _SIZE_WORDS & set(s.text.split()))
        if self.many_words:
            words = rng_of(self.split, self.seed, "wordings") if rng is None else rng
            sentences = (reworded(sentence, self.world, words) for sentence in sentences)
        if self.distractors:
            others = self.distractors.world
            sentences = (s for s in sentences if means_no_distractor(s, others))
        return tuple(sentences)

    def questions(
        self, rng: np.random.Generator | None = None, count: int = 4
    ) -> tuple[Question, ...]:
        """Those of the world that leave no doubt, where all of it can be seen as it is."""
        seen = self.zoom.scale == 1 and not self.view.camera.pan
        told = self.distractors is None and all(coat.cutout is None for coat in self.coats)
        questions = self.world.questions(rng, count) if seen and told else ()
        shades = shades_of(self.world)
        return tuple(q for q in questions if not shades & set(re.findall(r"\w+", q.text)))

    def _paint(self, picture: np.ndarray, ids: np.ndarray, t_s: float, offset: complex) -> None:
        height = len(ids)
        if self.distractors:
            self.distractors._paint(picture, np.zeros_like(ids), t_s, offset)
        for actor, pose in zip(self.actors, self._poses(t_s, offset), strict=True):
            coat = self.coats[actor.id - 1]
            if coat.shadow and pose[2] >= 0.5:
                away = -0.12 * abs(pose[1]) * cmath.rect(1.0, coat.light)
                faint = (pose[0] + away, pose[1], min(_FAINT, coat.shadow))
                paint_sprite(picture, ids, self._sprite("shadow", actor, coat, height), 0, faint)
            sprite = self._sprite("coat", actor, coat, height)
            paint_sprite(picture, ids, sprite, actor.id, pose)

    def _poses(self, t_s: float, offset: complex) -> list[tuple[complex, complex, float]]:
        """Centre, turn and opacity of each in the frame, from the back to the front."""
        centres, turns, opacities = _poses(self.world, t_s)
        return list(zip(self.zoom.place(centres) + offset, turns * self.zoom.scale, opacities))

    def _sprite(self, kind: str, actor: Actor, coat: Coat, height: int) -> Sprite:
        key = (kind, actor.id, height)
        if key not in self._sprites:
            low, high = _SPRITE_PX
            radius = min(max(actor.radius * self.zoom.scale * height, low), high)
            self._sprites[key] = _DRAW[kind](actor, coat, radius)
        return self._sprites[key]


def _tells_of_motion(sentence: Sentence) -> bool:
    if sentence.kind in ("motion", "shift", "time") or sentence.deed_s is not None:
        return True
    absent = sentence.kind == "none" and _DEED.search(sentence.text)
    return bool(absent or _MOTION.search(sentence.text))


def film(
    world: Scene | Story,
    rng: np.random.Generator,
    photographs: Photographs = NOTHING,
    cutouts: float = 0.3,
    zooms: float = 0.5,
) -> Filmed:
    """A scene or a story as some camera sees it.

    Args:
        rng: draws the looks, what lies behind, the view and the camera.
        photographs: what there is beside drawings.
        cutouts: of the objects of a scene, the share that are photographed things.
        zooms: share of near and far views.
    """
    world = draw_colours(world, rng)
    light = float(rng.uniform(-math.pi, math.pi))
    share = cutouts if isinstance(world, Scene) else 0.0

    def dress(item: SceneObject | Actor) -> Coat:
        return draw_coat(item.colours[0], light, rng, photographs, share)

    coats = tuple(map(dress, world.objects))
    looks = _looks(world, coats)
    backdrop = Picture(draw_background(*zip(*looks, strict=True), photographs, rng))
    others, their_coats = None, ()
    if isinstance(world, Scene) and rng.random() < _DISTRACTED:
        others = draw_distractors(world, rng)
        their_coats = tuple(map(dress, others.objects))
        looks += _looks(others, their_coats)
    view = View(backdrop, draw_camera(looks, rng))
    zoom = _draw_zoom(world, rng) if rng.random() < zooms else Zoom()
    distractors = others and dressed(others, their_coats, view, zoom)
    filmed = dressed(world, coats, view, zoom)
    return replace(filmed, many_words=True, distractors=distractors)


def dressed(world: Scene | Story, coats: tuple[Coat, ...], view: View, zoom: Zoom) -> Filmed:
    """A scene or a story with the coats of its objects, in a view and a zoom.

    What a photographed thing is has no name for its shape.
    """
    if isinstance(world, Scene):
        world = replace(world, objects=tuple(map(_unnamed, world.objects, coats)))
    return Filmed(world, tuple(map(_actor, world.objects, coats)), coats, view, zoom)


def _looks(world: Scene | Story, coats: Sequence[Coat]) -> list[Look]:
    """Which colours are seen of its things."""
    pairs = zip(world.objects, coats, strict=True)
    return [look for item, coat in pairs for look in _looks_of(item, coat)]


def _looks_of(item: SceneObject | Actor, coat: Coat) -> list[Look]:
    """Those of a thing; of one of a photograph the mean of what is called so."""
    if len(item.colours) == 2:  # the coat's colour is not seen
        return list(zip(item.rgbs, item.colours, strict=True))
    (colour,) = item.colours
    if coat.cutout is None or coat.painted:
        return [(coat.rgb, colour)]
    rgba = coat.cutout.rgba
    pixels = rgba[..., :3][named(rgba[..., :3], colour) & (rgba[..., 3] >= 200)]
    return [(tuple(int(level) for level in pixels.mean(axis=0)), colour)]


def draw_camera(things: Sequence[Look], rng: np.random.Generator) -> Camera:
    """From a good camera in good light to a bad one in bad light.

    `things` are colours (0..255) and what they are called: under it they still are, at all times
    and in its corners, too.
    """
    seed, strength = int(rng.integers(2**31)), float(rng.random())
    for attempt in range(_TRIES):
        camera = _draw_camera(strength * (1 - attempt / (_TRIES - 1)), seed, rng)
        # The colours of a camera are kept; what makes its light uneven is given up first.
        for share in _UNEVEN:
            uneven = camera.with_uneven_light(share)
            if all(_keeps_name(uneven, *thing) for thing in things):
                return uneven
    return Camera(noise=1.0, seed=seed, light=(0.0, 1.0, 0.0), margin=_MARGIN)


def _keeps_name(camera: Camera, rgb: Iterable[int], name: str) -> bool:
    return all(has_name(seen, name) for seen in camera.extremes(tuple(rgb)))


def _draw_camera(strength: float, seed: int, rng: np.random.Generator) -> Camera:
    def around_1(most: float) -> float:
        return math.exp(strength * most * float(rng.uniform(-1, 1)))

    def sometimes(share: float, low: float, high: float) -> float:
        drawn = float(rng.uniform(low, high))
        return drawn if rng.random() < share else 0.0

    camera = Camera(
        noise=float(rng.uniform(0.5, 2 + 8 * strength)),
        seed=seed,
        light=(sometimes(0.4, 0.02, 0.12), float(rng.uniform(2, 10)), float(rng.uniform(0, 6.28))),
        margin=_MARGIN,
        shake=sometimes(0.4, 0.003, 0.014),
        blur=strength * sometimes(0.5, 0.002, 0.012),
        tint=tuple(around_1(0.2) for _ in range(3)),
        saturation=1 + strength * float(rng.uniform(-0.65, 0.3)),
        hue_deg=strength * float(rng.uniform(-14, 14)),
        exposure=around_1(0.5),
        gamma=around_1(0.45),
        vignette=sometimes(0.3, 0.1, 0.5),
        bands=sometimes(0.15, 1, 6),
        quality=int(sometimes(0.4, 25, 95)),
    )
    pan = sometimes(0.2, 0.03, 0.12)
    return replace(camera, pan=pan, margin=_MARGIN + pan)


def _draw_zoom(world: Scene | Story, rng: np.random.Generator) -> Zoom:
    """One in which some object is as small or as large as things before a camera are."""
    centres, turns, _ = _poses(world, 0.0)
    which = int(rng.integers(len(centres)))
    radius = math.exp(rng.uniform(*np.log(_RADII)))
    scale = float(radius / abs(turns[which]))
    # Where in the frame it is: anywhere, a large one not far from the middle.
    room = max(0.05, 0.46 - 0.5 * radius)
    away = complex(WIDE * rng.uniform(-room, room), rng.uniform(-room, room))
    return Zoom(scale, complex(centres[which] - away / scale))


def _poses(world: Scene | Story, t_s: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Centres, turns (radius and angle) and opacities, (objects,) each."""
    if isinstance(world, Story):
        return world.timeline.poses(t_s)
    centres = np.array([complex(*item.centre(t_s)) for item in world.objects])
    turns = np.array([cmath.rect(item.radius, item.angle(t_s)) for item in world.objects])
    return centres, turns, np.ones(len(centres))


def _unnamed(item: SceneObject, coat: Coat) -> SceneObject:
    return item if coat.cutout is None else replace(item, shape=UNNAMED)


def _actor(item: SceneObject | Actor, coat: Coat) -> Actor:
    """How it looks, in the colour of its coat; two colours stay as they are."""
    if isinstance(item, Actor):
        return item if len(item.rgbs) == 2 else replace(item, rgbs=(coat.rgb,))
    return Actor(
        id=item.id,
        shape="circle" if item.shape == UNNAMED else item.shape,
        colours=item.colours,
        size=item.size,
        texture="plain",
        outlined=item.outlined,
        radius=item.radius,
        rgbs=(coat.rgb,),
        angle=math.radians(item.angle_deg),
    )


def _coated(actor: Actor, coat: Coat, radius: float) -> Sprite:
    sprite = draw_sprite(actor, radius)
    return Sprite(coat.cover(sprite.rgba), sprite.radius)


def _flat(actor: Actor, coat: Coat, radius: float) -> Sprite:
    rgbs = tuple(RGB.get(name, coat.rgb) for name in actor.colours)
    sprite = draw_sprite(replace(actor, rgbs=rgbs), radius)
    if coat.cutout is None:
        return sprite
    rgba = Coat(rgbs[0], cutout=coat.cutout).cover(sprite.rgba)
    rgba[..., :3] = rgbs[0]
    return Sprite(rgba, sprite.radius)


def _shadow(actor: Actor, coat: Coat, radius: float) -> Sprite:
    sprite = _coated(actor, coat, radius)
    alpha = cv2.GaussianBlur(sprite.rgba[..., 3], (0, 0), max(0.5, 0.12 * sprite.radius))
    rgba = np.zeros_like(sprite.rgba)
    rgba[..., 3] = alpha
    return Sprite(rgba, sprite.radius)


_DRAW = {"coat": _coated, "flat": _flat, "shadow": _shadow}
