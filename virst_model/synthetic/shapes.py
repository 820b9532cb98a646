"""The shapes of stories: their outlines, and the points and distances to look at them by.

A point is a complex number, x + iy with y down: a figure of radius r, turned by an angle a and
moved to c, has its point p at c + r exp(ia) p.
"""

from __future__ import annotations

from dataclasses import dataclass
import functools

import cv2
import numpy as np

from virst_model.synthetic import grammar
from virst_model.synthetic.scene_objects import OUTLINES, regular_polygon

SHAPES = (*grammar.SHAPES, "ring", "heart", "arrow", "diamond", "hexagon")

# The map of distances spans [-_REACH, _REACH] radii in cells of _CELL.
_REACH = 3.2
_CELL = 0.05
_POINTS = 56
# Of all shapes alike, so that what has the larger radius is the bigger one, whatever it is.
_AREA = 2.6
_CELLS = round(2 * _REACH / _CELL) + 1


@dataclass(frozen=True)
class Figure:
    """A shape at radius 1, its centre of gravity at 0, as large as the others.

    Attributes:
        contours: closed polygons, (points,) complex each; a second one is a hole.
        extent: how far the outermost point is from the centre.
        inside: (points,) complex, spread evenly over it and along its border: what is seen of them
            is seen of it, and of a tip that looks out somewhere there is one.
        edge: (points,) complex, along its contours.
        distances: (_CELLS, _CELLS) how far a place is from it; below 0 inside.
    """

    contours: tuple[np.ndarray, ...]
    extent: float
    inside: np.ndarray
    edge: np.ndarray
    distances: np.ndarray

    def distance(self, points: np.ndarray) -> np.ndarray:
        """How far `points` (complex, in radii) are from it; below 0 inside it.

        Exact to about 0.05; points further away than the map are as far as its border.
        """
        x = np.clip(points.real * (1 / _CELL) + (_CELLS / 2), 0, _CELLS - 1).astype(np.intp)
        y = np.clip(points.imag * (1 / _CELL) + (_CELLS / 2), 0, _CELLS - 1).astype(np.intp)
        return self.distances.ravel()[y * _CELLS + x]


@functools.cache
def figure(shape: str) -> Figure:
    """The figure of one of SHAPES."""
    contours = _normal(_contours(shape))
    mask = np.zeros((_CELLS, _CELLS), np.uint8)
    corners = [(points + complex(_REACH, _REACH)) / _CELL for points in contours]
    whole = [np.rint(np.stack([c.real, c.imag], axis=1)).astype(np.int32) for c in corners]
    cv2.fillPoly(mask, whole, 1)
    outer, inner = (cv2.distanceTransform(m, cv2.DIST_L2, 5) for m in (1 - mask, mask))
    distances = np.where(mask > 0, 0.5 - inner, outer - 0.5) * _CELL
    places = _spread(400) * 3.2
    bare = Figure(contours, max(float(abs(c).max()) for c in contours), places, places, distances)
    edge = np.concatenate([_along(points) for points in contours])
    return Figure(
        contours=contours,
        extent=bare.extent,
        inside=np.append(places[bare.distance(places) < 0][:_POINTS], 0.97 * edge[::2]),
        edge=edge,
        distances=distances,
    )


def _contours(shape: str) -> tuple[np.ndarray, ...]:
    if shape in OUTLINES:
        return (_complex(OUTLINES[shape]),)
    if shape == "ring":
        circle = _complex(regular_polygon(48, (1.0,)))
        return circle * 1.12, circle * 0.56
    if shape == "hexagon":
        return (_complex(regular_polygon(6, (1.1,))),)
    if shape == "diamond":
        return (np.array([-1.42j, 0.88, 1.42j, -0.88]),)
    if shape == "arrow":
        half = [1.35 + 0j, 0.15 + 1.0j, 0.15 + 0.36j, -1.25 + 0.36j]
        return (np.array([*half, *np.conj(half[:0:-1])]),)
    turn = np.arange(40) * (2 * np.pi / 40)  # a heart
    waves = 13 * np.cos(turn) - 5 * np.cos(2 * turn) - 2 * np.cos(3 * turn) - np.cos(4 * turn)
    return ((16 * np.sin(turn) ** 3 - 1j * waves) / 13,)


def _spread(count: int) -> np.ndarray:
    """(count,) complex points spread evenly over the square around 0 of side 1, in no rows.

    The R2 sequence: M. Roberts, The Unreasonable Effectiveness of Quasirandom Sequences, 2018.
    """
    plastic = 1.32471795724474602596
    number = np.arange(1, count + 1)
    return (number / plastic % 1 - 0.5) + 1j * (number / plastic**2 % 1 - 0.5)


def _complex(points: np.ndarray) -> np.ndarray:
    return points[:, 0] + 1j * points[:, 1]


def _normal(contours: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
    """Moved and scaled so that the first polygon has its centre of gravity at 0 and area _AREA."""
    first, after = contours[0], np.roll(contours[0], -1)
    cross = (np.conj(first) * after).imag
    middle = ((first + after) * cross).sum() / (3 * cross.sum())
    scale = np.sqrt(_AREA / (0.5 * abs(cross.sum())))
    return tuple((points - middle) * scale for points in contours)


def _along(points: np.ndarray) -> np.ndarray:
    """Points along a closed polygon, about 0.2 apart."""
    corners = np.append(points, points[0])
    way = np.append(0.0, np.cumsum(abs(np.diff(corners))))
    at = np.linspace(0, way[-1], round(way[-1] / 0.2), endpoint=False)
    return np.interp(at, way, corners.real) + 1j * np.interp(at, way, corners.imag)
