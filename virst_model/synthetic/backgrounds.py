"""What lies behind things before a camera: any colour, gradients, patterns, photographs."""

from __future__ import annotations

from collections.abc import Sequence
import colorsys

import cv2
import numpy as np

from virst_model.synthetic.colours import named
from virst_model.synthetic.photographs import Photographs

SIDES = (192, 256)  # height and width of a background
_TRIES = 8
_PHOTOGRAPHED = 0.5
# Of a background no more than this has the colour of a thing that a sentence may ask for.
_MOST_NAMED = 0.03
_LEAST_APART = 45  # grey levels of one channel, from the mean of the background
# Grass behind a green square is still grass: of a photograph no more than this may be so near to
# the thing's own colour, in grey levels of every channel, that it cannot be seen before it.
_MOST_ALIKE, _ALIKE = 0.25, 30


def draw_background(
    rgbs: Sequence[tuple[int, int, int]],
    colours: Sequence[str],
    photographs: Photographs,
    rng: np.random.Generator,
) -> np.ndarray:
    """A background (*SIDES, 3) uint8 RGB for things of some colours.

    Half of them are photographs, where there are some. A photograph may have the things' colours,
    as long as they can be seen before it; of what is painted hardly anything has one of the names
    `colours`, and its mean is not one of `rgbs`. Where no draw is like that, it is grey.
    """
    if photographs.backgrounds and rng.random() < _PHOTOGRAPHED:
        for _ in range(_TRIES):
            picture = crop(photographs.backgrounds, rng)
            if not _hides(picture, rgbs):
                return picture
    for attempt in range(_TRIES):
        picture = _paint(rng)
        if attempt > _TRIES // 2:
            picture = _paler(picture, float(rng.uniform(0.1, 0.5)))
        if _suits(picture, rgbs, colours):
            return picture
    greys = (40, 90, 128, 175, 215)
    levels = [g for g in greys if all(max(abs(c - g) for c in rgb) > 40 for rgb in rgbs)]
    return np.full(
        (*SIDES, 3), levels[int(rng.integers(len(levels)))] if levels else 110, np.uint8
    )


def _hides(picture: np.ndarray, rgbs: Sequence[tuple[int, int, int]]) -> bool:
    small = cv2.resize(picture, (32, 24), interpolation=cv2.INTER_AREA).astype(int)
    return any((np.abs(small - rgb).max(2) < _ALIKE).mean() > _MOST_ALIKE for rgb in rgbs)


def _suits(
    picture: np.ndarray, rgbs: Sequence[tuple[int, int, int]], colours: Sequence[str]
) -> bool:
    small = cv2.resize(picture, (32, 24), interpolation=cv2.INTER_AREA)
    mean = small.mean((0, 1))
    if any(np.abs(mean - rgb).max() < _LEAST_APART for rgb in rgbs):
        return False
    return all(named(small, colour).mean() <= _MOST_NAMED for colour in set(colours))


def _paint(rng: np.random.Generator) -> np.ndarray:
    if rng.random() < 0.33:
        picture = np.empty((*SIDES, 3), np.float32)
        picture[:] = _any_colour(rng)
    else:
        corners = np.array([[_any_colour(rng) for _ in range(2)] for _ in range(2)], np.float32)
        if rng.random() < 0.6:  # shades of one colour
            corners = corners[:1, :1] * rng.uniform(0.6, 1.25, (2, 2, 1)).astype(np.float32)
        picture = cv2.resize(corners, SIDES[::-1], interpolation=cv2.INTER_LINEAR)
    if rng.random() < 0.6:
        picture = picture + _pattern(rng)
    return np.clip(picture, 0, 255).astype(np.uint8)


def _any_colour(rng: np.random.Generator) -> tuple[float, float, float]:
    """Greys as often as colours, light ones as often as dark ones."""
    saturation = 0.0 if rng.random() < 0.35 else float(rng.beta(1.0, 2.5))
    rgb = colorsys.hsv_to_rgb(rng.random(), saturation, rng.uniform(0.05, 1))
    return tuple(255 * channel for channel in rgb)


def crop(pictures: Sequence[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """A part of one of the photographs, (*SIDES, 3) uint8 RGB; half of them paler or stronger."""
    picture = pictures[int(rng.integers(len(pictures)))]
    height, width = picture.shape[:2]
    part = float(rng.uniform(0.35, 1))
    tall = int(min(height, width * SIDES[0] / SIDES[1]) * part)
    wide = int(tall * SIDES[1] / SIDES[0])
    top, left = int(rng.integers(height - tall + 1)), int(rng.integers(width - wide + 1))
    piece = picture[top : top + tall, left : left + wide]
    piece = piece[:, ::-1] if rng.random() < 0.5 else piece
    piece = cv2.resize(np.ascontiguousarray(piece), SIDES[::-1], interpolation=cv2.INTER_AREA)
    return _paler(piece, float(rng.uniform(0.2, 1.1))) if rng.random() < 0.5 else piece


def _paler(picture: np.ndarray, saturation: float) -> np.ndarray:
    grey = picture.mean(2, keepdims=True)
    return np.clip(grey + (picture - grey) * saturation, 0, 255).astype(np.uint8)


def _pattern(rng: np.random.Generator) -> np.ndarray:
    """(*SIDES, 3) float32 to add: noise of one size, lines or squares, mostly faint."""
    height, width = SIDES
    amplitude = float(rng.uniform(3, 40))
    tint = np.array([1.0, 1.0, 1.0] if rng.random() < 0.7 else rng.uniform(0.3, 1, 3))
    kind = rng.random()
    if kind < 0.5:
        cells = int(rng.integers(4, 80))
        shape = (max(2, cells * 3 // 4), cells) if rng.random() < 0.6 else (3, cells)
        noise = rng.standard_normal(shape).astype(np.float32)
        map_HW = cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    else:
        y, x = np.mgrid[0:height, 0:width].astype(np.float32)
        angle, period = rng.uniform(0, np.pi), rng.uniform(6, 80)
        wave = np.sin((x * np.cos(angle) + y * np.sin(angle)) * 2 * np.pi / period)
        across = np.sin((y * np.cos(angle) - x * np.sin(angle)) * 2 * np.pi / period)
        map_HW = np.sign(wave) if kind < 0.8 else np.sign(wave * across)
    return (amplitude * map_HW[..., None] * tint).astype(np.float32)
