"""How a story is filmed: the backdrop with its clutter, the actors' looks, and the camera."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass
import math

import cv2
import numpy as np

from virst_model.synthetic.actors import Actor
from virst_model.synthetic.scene_objects import WIDE, Backdrop
from virst_model.synthetic.shapes import figure

# A sprite is drawn larger by this factor and shrunk: smooth edges.
_OVERSAMPLING = 2
_SHIFT = 4
_DARK = 0.35  # of the actor's own colour: stripes, dots and edges do not change its name


@dataclass(frozen=True)
class Speck:
    """A blob or a line of the backdrop, of which no sentence speaks.

    `points` are two corners of a line or one middle, `size` its width or radius, all in heights
    of the frame.
    """

    points: tuple[tuple[float, float], ...]
    size: float
    rgb: tuple[int, int, int]


@dataclass(frozen=True)
class Camera:
    """Where it looks and what it does to the light.

    Attributes:
        shake: largest offset in heights; 0 on a tripod.
        blur: sigma in heights.
        light: (amplitude, period in s, phase) of the gain.
        tint: gain of each channel.
    """

    shake: float
    blur: float
    light: tuple[float, float, float]
    tint: tuple[float, float, float]

    def offset(self, t_s: float) -> complex:
        """How far the picture is moved at `t_s`, in heights."""
        phase = self.light[2]
        x = math.sin(7.3 * t_s + phase) + 0.6 * math.sin(16.1 * t_s + 2 * phase)
        y = math.sin(8.9 * t_s + 3 * phase) + 0.6 * math.sin(13.7 * t_s + 5 * phase)
        return self.shake * complex(x, y) / 1.6

    def gain(self, t_s: float) -> float:
        """How bright it is at `t_s`; 1 on average."""
        amplitude, period_s, phase = self.light
        return 1 + amplitude * math.sin(2 * math.pi * t_s / period_s + phase)


@dataclass(frozen=True)
class Film:
    """Everything in the pictures that no sentence speaks of."""

    backdrop: Backdrop
    clutter: tuple[Speck, ...]
    camera: Camera

    def paint(self, height: int, width: int) -> np.ndarray:
        """(height, width, 3) uint8: the backdrop with its clutter."""
        picture = self.backdrop.paint(height, width)
        scale = np.array([width / WIDE, height])
        for speck in self.clutter:
            points = np.rint(np.array(speck.points) * scale * (1 << _SHIFT)).astype(int)
            size = max(1, round(speck.size * height))
            if len(points) == 1:
                centre, radius = tuple(points[0].tolist()), size << _SHIFT
                cv2.circle(picture, centre, radius, speck.rgb, -1, cv2.LINE_AA, _SHIFT)
            else:
                ends = [tuple(point.tolist()) for point in points]
                cv2.line(picture, *ends, speck.rgb, size, cv2.LINE_AA, _SHIFT)
        return cv2.GaussianBlur(picture, (0, 0), max(0.6, 0.004 * height))

    def expose(self, picture: np.ndarray, grain: np.ndarray, t_s: float) -> np.ndarray:
        """What the camera makes of the picture at `t_s`; `grain` is Backdrop.grain's."""
        sigma = self.camera.blur * picture.shape[0]
        if sigma > 0.25:
            picture = cv2.GaussianBlur(picture, (0, 0), sigma)
        gain = self.camera.gain(t_s)
        # One table a channel is quicker than arithmetic on the picture.
        levels = np.arange(256)[:, None] * (gain * np.array(self.camera.tint))
        table = np.clip(np.rint(levels), 0, 255).astype(np.uint8)[None]
        return self.backdrop.light_up(cv2.LUT(picture, table), grain, t_s)


@dataclass(frozen=True)
class Sprite:
    """The picture of an actor, upright, its centre in the middle.

    `rgba` is (side, side, 4) uint8; `radius` is the actor's in pixels of it.
    """

    rgba: np.ndarray
    radius: float


def draw_sprite(actor: Actor, radius: float) -> Sprite:
    """The sprite of `actor` at `radius` pixels."""
    contours = figure(actor.shape).contours
    big = radius * _OVERSAMPLING
    side = 2 * (math.ceil(figure(actor.shape).extent * radius) + 2)
    middle = side * _OVERSAMPLING / 2 - 0.5
    outline = [_fixed(points * big, middle) for points in contours]
    alpha = np.zeros((side * _OVERSAMPLING,) * 2, np.uint8)
    cv2.fillPoly(alpha, outline, 255, cv2.LINE_AA, _SHIFT)
    rgb = np.empty((*alpha.shape, 3), np.uint8)
    rgb[:] = actor.rgbs[0]
    if len(actor.rgbs) == 2:
        rgb[:, alpha.shape[1] // 2 :] = actor.rgbs[1]
    _texture(rgb, actor, big)
    if actor.outlined:
        dark = tuple(int(value * _DARK) for value in actor.rgbs[0])
        thick = max(1, round(0.14 * big))  # half of it lies outside
        cv2.polylines(rgb, outline, True, dark, thick, cv2.LINE_AA, _SHIFT)
    whole = np.dstack([rgb, alpha])
    return Sprite(cv2.resize(whole, (side, side), None, 0, 0, cv2.INTER_AREA), radius)


def _texture(rgb: np.ndarray, actor: Actor, radius: float) -> None:
    if actor.texture == "plain":
        return
    dark = tuple(int(value * _DARK) for value in actor.rgbs[0])
    side = rgb.shape[0]
    steps = np.arange(-3, 4) * 0.52 * radius + side / 2
    for row in steps.tolist():
        if actor.texture == "striped":
            ends = ((0, round(row)), (side, round(row)))
            cv2.line(rgb, *ends, dark, max(1, round(0.17 * radius)))
        else:
            for column in steps.tolist():
                middle = (round(column), round(row))
                cv2.circle(rgb, middle, max(1, round(0.15 * radius)), dark, -1, cv2.LINE_AA)


def _fixed(points: np.ndarray, middle: float) -> np.ndarray:
    corners = np.stack([points.real, points.imag], axis=1) + middle
    return np.rint(corners * (1 << _SHIFT)).astype(np.int32)


def put(frame: np.ndarray, ids: np.ndarray, sprite: Sprite, number: int, pose: tuple) -> None:
    """Puts a sprite into `frame` (H, W, 3) and its number into `ids` (H, W).

    `pose` is (centre and turn as in a path, opacity 0..1). What is less than half there has no
    pixels in `ids`.
    """
    centre, turn, opacity = pose
    height, width = ids.shape
    scale = (width / WIDE, height)
    side = sprite.rgba.shape[0]
    reach = abs(turn) / sprite.radius * (side / 2)
    left, right = _span(centre.real, reach, scale[0], width)
    top, bottom = _span(centre.imag, reach, scale[1], height)
    if opacity <= 0 or left >= right or top >= bottom:
        return
    turn = turn / sprite.radius
    middle = (side - 1) / 2
    matrix = np.array([[turn.real, -turn.imag, 0], [turn.imag, turn.real, 0]])
    matrix *= np.array(scale)[:, None]
    corner = np.array([centre.real * scale[0] - 0.5 - left, centre.imag * scale[1] - 0.5 - top])
    matrix[:, 2] = corner - matrix[:, :2].sum(axis=1) * middle
    warped = cv2.warpAffine(sprite.rgba, matrix, (right - left, bottom - top))
    alpha = warped[:, :, 3]
    under = frame[top:bottom, left:right]
    weight = alpha[:, :, None] * np.float32(opacity / 255)
    under[:] = np.rint(under + (warped[:, :, :3] - under.astype(np.float32)) * weight)
    if opacity >= 0.5:
        ids[top:bottom, left:right][alpha >= 128] = number


def _span(centre: float, reach: float, scale: float, size: int) -> tuple[int, int]:
    low, high = math.floor((centre - reach) * scale), math.ceil((centre + reach) * scale) + 1
    return max(low, 0), min(high, size)


def draw_film(rng: np.random.Generator) -> Film:
    """From a flat backdrop in good light to clutter before a shaking, noisy camera."""
    corners = (_muted(rng),) * 4 if rng.random() < 0.35 else tuple(_muted(rng) for _ in range(4))
    backdrop = Backdrop(
        corners_rgb=corners,
        clouds=float(rng.uniform(4, 12)) if rng.random() < 0.5 else 0.0,
        noise=float(rng.uniform(0.5, 6.0)),
        light=(0.0, 1.0, 0.0),
        seed=int(rng.integers(2**31)),
    )
    amplitude = float(rng.uniform(0.02, 0.2)) if rng.random() < 0.5 else 0.0
    camera = Camera(
        shake=float(rng.uniform(0.003, 0.012)) if rng.random() < 0.4 else 0.0,
        blur=float(rng.uniform(0.002, 0.008)) if rng.random() < 0.3 else 0.0,
        light=(amplitude, float(rng.uniform(2, 10)), float(rng.uniform(0, 6.28))),
        tint=tuple(float(gain) for gain in rng.uniform(0.92, 1.04, 3)),
    )
    count = int(rng.integers(4, 26)) if rng.random() < 0.5 else 0
    return Film(backdrop, tuple(_draw_speck(rng) for _ in range(count)), camera)


def _muted(rng: np.random.Generator) -> tuple[int, int, int]:
    """Greyish and not bright: no actor looks like it."""
    rgb = colorsys.hsv_to_rgb(rng.random(), rng.uniform(0, 0.22), rng.uniform(0.14, 0.56))
    return tuple(round(255 * value) for value in rgb)


def _draw_speck(rng: np.random.Generator) -> Speck:
    def place() -> tuple[float, float]:
        return float(rng.uniform(0, WIDE)), float(rng.uniform(0, 1))

    if rng.random() < 0.5:
        return Speck((place(),), float(rng.uniform(0.01, 0.09)), _muted(rng))
    return Speck((place(), place()), float(rng.uniform(0.004, 0.02)), _muted(rng))
