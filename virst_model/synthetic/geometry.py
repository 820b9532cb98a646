"""How figures lie to each other: which points of one the other covers, and the gap between them.

A path is a pair of (T,) complex arrays: the centres (heights of the frame) and the turns (radius
times exp(i angle)) of a figure at T times.
"""

from __future__ import annotations

import numpy as np

from virst_model.synthetic.shapes import Figure

Path = tuple[np.ndarray, np.ndarray]


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
