"""The objects of scenes: flat shapes that bounce around the frame, and how they are painted."""

from __future__ import annotations

from dataclasses import dataclass
import math

import cv2
import numpy as np

from virst_model.synthetic.camera import FIXED_BITS, WIDE
from virst_model.synthetic.shapes import OUTLINES

UNNAMED = ""  # the shape of what is no shape: a photographed thing
# OpenCV fills every pixel that an outline touches, half a pixel too much all around.
_FAT_PX = 0.45


@dataclass(frozen=True)
class SceneObject:
    """A shape, what it is called and how it moves; places are in heights of the frame.

    Attributes:
        id: its value in the id map, from 1; higher ones lie in front.
        radius: in heights.
        rgb: 0..255.
        start: where its centre is at time 0.
        velocity: heights a second.
        room: x0, y0, x1, y1 of where its centre may be; it bounces inside.
        wobble: amplitude in heights, period in s and phase, across the way it goes.
        turn_deg: how far it rocks; what stands still neither rocks nor wobbles.
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
    def colours(self) -> tuple[str]:
        """Its one colour; an actor of a story may have two."""
        return (self.colour,)

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

    def angle(self, t_s: float) -> float:
        """How far it is turned at `t_s`, in radians."""
        _, period_s, phase = self.wobble
        moves = any(self.velocity)
        rock = moves * self.turn_deg * math.sin(2 * math.pi * t_s / period_s + phase)
        return math.radians(self.angle_deg + rock)

    def outline(self, t_s: float) -> np.ndarray:
        """(points, 2) corners around its centre at `t_s`, in heights of the frame."""
        angle = self.angle(t_s)
        cos, sin = math.cos(angle) * self.radius, math.sin(angle) * self.radius
        return OUTLINES[self.shape] @ np.array([[cos, sin], [-sin, cos]])

    def _bounce(self, axis: int, t_s: float) -> tuple[float, int]:
        """Position on an axis and how many times it was reflected there since time 0."""
        low, high = self.room[axis], self.room[axis + 2]
        run, inside = divmod(self.start[axis] + self.velocity[axis] * t_s - low, high - low)
        return (high - inside if run % 2 else low + inside), int(run)


def paint_object(
    picture: np.ndarray | None,
    ids: np.ndarray,
    item: SceneObject,
    t_s: float,
    offset: complex = 0j,
) -> None:
    """Paints `item` as it is at `t_s`, moved by `offset` (x + iy, heights), and its id.

    Args:
        picture: (H, W, 3) uint8 RGB, painted over; None: only the ids are asked for.
        ids: (H, W) uint8, painted over.
    """
    height, width = ids.shape
    scale = np.array([width / WIDE, height])
    thin = np.maximum(1 - _FAT_PX / (item.radius * scale), 0.3)
    corners = item.outline(t_s) * (scale * thin)
    # Pixel (0, 0) covers [0, 1): its middle is at 0.5.
    middle = (np.array(item.centre(t_s)) + np.array([offset.real, offset.imag])) * scale - 0.5
    whole = _fixed_point(middle + corners)
    cv2.fillPoly(ids, whole, item.id, cv2.LINE_8, FIXED_BITS)
    if picture is None:
        return
    if item.outlined:
        edge = tuple(int(value * 0.45) for value in item.rgb)
        cv2.fillPoly(picture, whole, edge, cv2.LINE_AA, FIXED_BITS)
        whole = _fixed_point(middle + corners * 0.9)
    cv2.fillPoly(picture, whole, item.rgb, cv2.LINE_AA, FIXED_BITS)


def _fixed_point(points: np.ndarray) -> list[np.ndarray]:
    return [np.rint(points * (1 << FIXED_BITS)).astype(np.int32)]
