"""How the actors of a story are painted: a picture of each that is turned, scaled and faded."""

from __future__ import annotations

from dataclasses import dataclass
import functools
import math

import cv2
import numpy as np

from virst_model.synthetic.actors import Actor
from virst_model.synthetic.camera import FIXED_BITS, WIDE
from virst_model.synthetic.shapes import figure

# A sprite is drawn larger by this factor and shrunk: smooth edges.
_OVERSAMPLING = 2
_DARK = 0.35  # of the actor's own colour: stripes, dots and edges do not change its name
# Sprites of the worlds that are rendered in turn, six actors each.
_KEPT = 128


@dataclass(frozen=True)
class Sprite:
    """The picture of an actor, upright, its centre in the middle.

    Attributes:
        rgba: (side, side, 4) uint8.
        radius: the actor's, in pixels of it.
    """

    rgba: np.ndarray
    radius: float


@functools.lru_cache(maxsize=_KEPT)
def draw_sprite(actor: Actor, radius: float) -> Sprite:
    """The sprite of `actor` at `radius` pixels."""
    contours = figure(actor.shape).contours
    big = radius * _OVERSAMPLING
    side = 2 * (math.ceil(figure(actor.shape).extent * radius) + 2)
    middle = side * _OVERSAMPLING / 2 - 0.5
    outline = [_fixed_point(points * big, middle) for points in contours]
    alpha = np.zeros((side * _OVERSAMPLING,) * 2, np.uint8)
    cv2.fillPoly(alpha, outline, 255, cv2.LINE_AA, FIXED_BITS)
    rgb = np.empty((*alpha.shape, 3), np.uint8)
    rgb[:] = actor.rgbs[0]
    if len(actor.rgbs) == 2:
        rgb[:, alpha.shape[1] // 2 :] = actor.rgbs[1]
    _paint_texture(rgb, actor, big)
    if actor.outlined:
        dark = tuple(int(value * _DARK) for value in actor.rgbs[0])
        thick = max(1, round(0.14 * big))  # half of it lies outside
        cv2.polylines(rgb, outline, True, dark, thick, cv2.LINE_AA, FIXED_BITS)
    whole = np.dstack([rgb, alpha])
    return Sprite(cv2.resize(whole, (side, side), None, 0, 0, cv2.INTER_AREA), radius)


def _paint_texture(rgb: np.ndarray, actor: Actor, radius: float) -> None:
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


def _fixed_point(points: np.ndarray, middle: float) -> np.ndarray:
    corners = np.stack([points.real, points.imag], axis=1) + middle
    return np.rint(corners * (1 << FIXED_BITS)).astype(np.int32)


def paint_sprite(
    picture: np.ndarray,
    ids: np.ndarray,
    sprite: Sprite,
    number: int,
    pose: tuple[complex, complex, float],
) -> None:
    """Paints a sprite over `picture` (H, W, 3) uint8 and its number over `ids` (H, W) uint8.

    Args:
        pose: centre and turn as in a path of `shapes`, and opacity 0..1. What is less than half
            there has no pixels in `ids`.
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
    under = picture[top:bottom, left:right]
    weight = alpha[:, :, None] * np.float32(opacity / 255)
    under[:] = np.rint(under + (warped[:, :, :3] - under.astype(np.float32)) * weight)
    if opacity >= 0.5:
        ids[top:bottom, left:right][alpha >= 128] = number


def _span(centre: float, reach: float, scale: float, size: int) -> tuple[int, int]:
    low, high = math.floor((centre - reach) * scale), math.ceil((centre + reach) * scale) + 1
    return max(low, 0), min(high, size)
