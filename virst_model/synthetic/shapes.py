"""What shapes and colours look like, and how shapes lie to each other.

A point is a complex number, x + iy with y down: a figure of radius r, turned by an angle a and
moved to c, has its point p at c + r exp(ia) p. A path is a pair of (T,) complex arrays: the
centres (heights of the frame) and the turns (radius times exp(i angle)) of a figure at T times.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
import functools
from typing import TypeVar

import cv2
import numpy as np

from virst_model.synthetic import grammar

T = TypeVar("T")

SHAPES = (*grammar.SHAPES, "ring", "heart", "arrow", "diamond", "hexagon")
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

Path = tuple[np.ndarray, np.ndarray]

# The map of distances spans [-_REACH, _REACH] radii in cells of _CELL.
_REACH = 3.2
_CELL = 0.05
_POINTS = 56
# Of all shapes alike, so that what has the larger radius is the bigger one, whatever it is.
_AREA = 2.6
_CELLS = round(2 * _REACH / _CELL) + 1


def resemble(
    look: tuple[T, str], others: Sequence[tuple[T, str]], rng: np.random.Generator
) -> tuple[T, str]:
    """A colour and a shape, often those of one of `others`, or one of the two.

    Else nobody would need to read a whole sentence.
    """
    if not others or rng.random() >= 0.6:
        return look
    other, which = others[int(rng.integers(len(others)))], rng.random()
    return other[0] if which < 0.58 else look[0], other[1] if which > 0.42 else look[1]


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


def places(points: np.ndarray, path: Path) -> np.ndarray:
    """(T, points) where these points of a figure are, in heights of the frame."""
    centres, turns = path
    return centres[:, None] + turns[:, None] * points


def seen_in(figure: Figure, path: Path, spots: np.ndarray) -> np.ndarray:
    """(T, points) distances in radii of `spots` from the figure; below 0 where it covers them."""
    centres, turns = path
    return figure.distance((spots - centres[:, None]) / turns[:, None])


def gap(one: Figure, path: Path, other: Figure, other_path: Path) -> np.ndarray:
    """(T,) how far apart two figures are, in heights; below 0 where they overlap.

    Far apart it is a lower bound: what lies between their circumcircles.
    """
    reach = one.extent * abs(path[1]) + other.extent * abs(other_path[1])
    gaps = abs(path[0] - other_path[0]) - reach
    near = np.flatnonzero(gaps < 0.1)
    if near.size:
        path, other_path = (_at(path, near), _at(other_path, near))
        there = seen_in(other, other_path, places(one.edge, path)).min(axis=1)
        back = seen_in(one, path, places(other.edge, other_path)).min(axis=1)
        gaps[near] = np.minimum(there * abs(other_path[1]), back * abs(path[1]))
    return gaps


def _at(path: Path, times: np.ndarray) -> Path:
    return path[0][times], path[1][times]
