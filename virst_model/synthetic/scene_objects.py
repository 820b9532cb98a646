"""Flat shapes that move over a quiet background, and how they are painted.

Geometry is in heights of the frame: x in [0, WIDE], y in [0, 1] with y down, whatever the
size in pixels that is painted (a 128x128 picture is the 4:3 picture squeezed).
"""

from __future__ import annotations

import dataclasses
import math

import cv2
import numpy as np

WIDE = 4 / 3
# Points are rounded to 1/16 pixel: OpenCV's fixed point.
_SHIFT = 4
# OpenCV fills every pixel that an outline touches, half a pixel too much all around.
_FAT_PX = 0.45
_NOISE_ROOM = 16


def regular_polygon(corners: int, radii: tuple[float, ...]) -> np.ndarray:
    """Closed polygon, first corner at the top, whose corners go through `radii` in turn."""
    turn = np.arange(corners) * (2 * np.pi / corners)
    radius = np.resize(np.array(radii), corners)
    return np.stack([np.sin(turn) * radius, -np.cos(turn) * radius], axis=1)


def _cross(arm: float, half: float) -> np.ndarray:
    corner = [(-half, -arm), (half, -arm), (half, -half)]
    quarter = np.array([[0, -1], [1, 0]])
    points = np.array(corner)
    return np.concatenate([points @ np.linalg.matrix_power(quarter.T, k) for k in range(4)])


# Outlines at radius 1. Their areas are alike, so that "big" looks big for every shape.
OUTLINES = {
    "circle": regular_polygon(48, (1.0,)),
    "square": np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * 0.85,
    "triangle": regular_polygon(3, (1.3,)),
    "star": regular_polygon(10, (1.3, 0.6)),
    "cross": _cross(1.1, 0.38),
}
EXTENT = {name: float(np.linalg.norm(points, axis=1).max()) for name, points in OUTLINES.items()}


@dataclasses.dataclass(frozen=True)
class SceneObject:
    """A shape, what it is called and how it moves.

    `id` is its value in the id map (from 1; higher ids lie in front). `radius` and `start`
    are in heights of the frame, `velocity` in heights a second, `rgb` 0..255. It bounces
    inside `room` (x0, y0, x1, y1: where its centre may be). `wobble` is (amplitude in
    heights, period in s, phase) across the way it goes, `turn_deg` how far it rocks; what
    stands still does neither.
    """

    id: int
    colour: str
    shape: str
    size: str
    radius: float
    rgb: tuple[int, int, int]
    outlined: bool
    angle_deg: float
    start: tuple[float, float]
    velocity: tuple[float, float]
    room: tuple[float, float, float, float]
    wobble: tuple[float, float, float]
    turn_deg: float

    @property
    def along(self) -> int:
        """The axis that it mainly moves along: 0 is x, 1 is y."""
        return int(abs(self.velocity[1]) > abs(self.velocity[0]))

    def centre(self, t_s: float) -> tuple[float, float]:
        """Where its centre is at `t_s`, in heights of the frame."""
        at = [self._bounce(axis, t_s)[0] for axis in (0, 1)]
        if any(self.velocity):
            amplitude, period_s, phase = self.wobble
            at[1 - self.along] += amplitude * math.sin(2 * math.pi * t_s / period_s + phase)
        return at[0], at[1]

    def motion(self, t_s: float) -> str:
        """The word for how it moves at `t_s`: left, right, up, down or still."""
        speed = self.velocity[self.along]
        if speed == 0:
            return "still"
        forward = (speed > 0) == (self._bounce(self.along, t_s)[1] % 2 == 0)
        return (("left", "right"), ("up", "down"))[self.along][forward]

    def motions(self, duration_s: float) -> tuple[str, ...]:
        """Every word that is true at some time in [0, duration_s]: one where it never turns."""
        turns = self._bounce(self.along, duration_s)[1] - self._bounce(self.along, 0.0)[1]
        now = self.motion(0.0)
        if now == "still" or turns == 0:
            return (now,)
        back = {"left": "right", "right": "left", "up": "down", "down": "up"}[now]
        return (now, back)

    def outline(self, t_s: float) -> np.ndarray:
        """(points, 2) corners around its centre at `t_s`, in heights of the frame."""
        _, period_s, phase = self.wobble
        moves = any(self.velocity)
        rock = moves * self.turn_deg * math.sin(2 * math.pi * t_s / period_s + phase)
        angle = math.radians(self.angle_deg + rock)
        cos, sin = math.cos(angle) * self.radius, math.sin(angle) * self.radius
        return OUTLINES[self.shape] @ np.array([[cos, sin], [-sin, cos]])

    def _bounce(self, axis: int, t_s: float) -> tuple[float, int]:
        """Position on an axis and how many times it was reflected there since time 0."""
        low, high = self.room[axis], self.room[axis + 2]
        run, inside = divmod(self.start[axis] + self.velocity[axis] * t_s - low, high - low)
        return (high - inside if run % 2 else low + inside), int(run)


@dataclasses.dataclass(frozen=True)
class Backdrop:
    """What lies behind the objects, and the light and the sensor's noise over everything.

    `corners_rgb` are the colours of the four corners (top left, top right, bottom left,
    bottom right). `clouds` is the amplitude of smooth noise, `noise` the sigma of pixel
    noise, both in grey levels. `light` is (amplitude, period in s, phase) of the gain.
    """

    corners_rgb: tuple[tuple[int, int, int], ...]
    clouds: float
    noise: float
    light: tuple[float, float, float]
    seed: int

    def paint(self, height: int, width: int) -> np.ndarray:
        """(height, width, 3) uint8 picture without objects, light or pixel noise."""
        corners = np.array(self.corners_rgb, np.float32).reshape(2, 2, 3)
        rows = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
        columns = np.linspace(0, 1, width, dtype=np.float32)[None, :, None]
        left = corners[0, 0] * (1 - rows) + corners[1, 0] * rows
        right = corners[0, 1] * (1 - rows) + corners[1, 1] * rows
        picture = left * (1 - columns) + right * columns
        if self.clouds:
            coarse = np.random.default_rng(self.seed).normal(0, self.clouds, (7, 9, 1))
            smooth = cv2.resize(
                coarse.astype(np.float32), (width, height), None, 0, 0, cv2.INTER_CUBIC
            )
            picture = picture + smooth[:, :, None]
        return np.clip(picture, 0, 255).astype(np.uint8)

    def grain(self, height: int, width: int) -> np.ndarray:
        """Pixel noise around 128, larger than the picture: `light_up` shifts it every frame."""
        shape = (height + _NOISE_ROOM, width + _NOISE_ROOM, 3)
        normal = np.random.default_rng(self.seed).standard_normal(shape, np.float32)
        return np.clip(np.rint(normal * self.noise + 128), 0, 255).astype(np.uint8)

    def light_up(self, picture: np.ndarray, grain: np.ndarray, t_s: float) -> np.ndarray:
        """The picture under the light of `t_s`, with pixel noise."""
        amplitude, period_s, phase = self.light
        gain = 1 + amplitude * math.sin(2 * math.pi * t_s / period_s + phase)
        shift = round(t_s * 1000) * 2654435761 % 2**32 >> 16
        row, column = shift % _NOISE_ROOM, shift // _NOISE_ROOM % _NOISE_ROOM
        height, width = picture.shape[:2]
        noise = grain[row : row + height, column : column + width]
        return cv2.addWeighted(picture, gain, noise, 1.0, -128.0)


def paint_object(
    frame: np.ndarray | None, ids: np.ndarray, thing: SceneObject, t_s: float
) -> None:
    """Paints `thing` as it is at `t_s` over `frame` (H, W, 3) and its id over `ids` (H, W)."""
    height, width = ids.shape
    scale = np.array([width / WIDE, height])
    thin = np.maximum(1 - _FAT_PX / (thing.radius * scale), 0.3)
    corners = thing.outline(t_s) * (scale * thin)
    # Pixel (0, 0) covers [0, 1): its middle is at 0.5.
    middle = np.array(thing.centre(t_s)) * scale - 0.5
    whole = _fixed_point(middle + corners)
    cv2.fillPoly(ids, whole, thing.id, cv2.LINE_8, _SHIFT)
    if frame is None:
        return
    if thing.outlined:
        edge = tuple(int(value * 0.45) for value in thing.rgb)
        cv2.fillPoly(frame, whole, edge, cv2.LINE_AA, _SHIFT)
        whole = _fixed_point(middle + corners * 0.9)
    cv2.fillPoly(frame, whole, thing.rgb, cv2.LINE_AA, _SHIFT)


def _fixed_point(points: np.ndarray) -> list[np.ndarray]:
    return [np.rint(points * (1 << _SHIFT)).astype(np.int32)]
