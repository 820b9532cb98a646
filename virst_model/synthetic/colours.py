"""Which colours have a name: one table of regions of hue, saturation and value, with gaps.

What lies in a gap between two regions has no name, and no sentence asks for it by its colour.
"""

from __future__ import annotations

from collections.abc import Iterable
import colorsys
from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True)
class Region:
    """Where a colour is called by a name.

    `hue` is in degrees, its first end below 0 where the region holds 0; `saturation` and `value`
    are in 0..1. Ends belong to it.
    """

    hue: tuple[float, float]
    saturation: tuple[float, float]
    value: tuple[float, float]

    def holds(self, hue, saturation, value):
        """Whether it holds a colour: of numbers a bool, of arrays an array of bools."""
        inside = (hue - self.hue[0]) % 360 <= self.hue[1] - self.hue[0]
        for channel, (least, most) in ((saturation, self.saturation), (value, self.value)):
            inside = inside & (channel >= least) & (channel <= most)
        return inside


REGIONS = {
    "red": Region((-12, 9), (0.42, 1), (0.36, 1)),
    "green": Region((78, 160), (0.24, 1), (0.22, 1)),
    "blue": Region((206, 250), (0.34, 1), (0.28, 1)),
    "yellow": Region((44, 64), (0.34, 1), (0.62, 1)),
    "purple": Region((262, 304), (0.22, 1), (0.26, 1)),
    "orange": Region((17, 37), (0.45, 1), (0.66, 1)),
    "cyan": Region((170, 198), (0.26, 1), (0.48, 1)),
    "white": Region((0, 360), (0, 0.12), (0.78, 1)),
    "pink": Region((318, 344), (0.18, 0.62), (0.74, 1)),
    "brown": Region((12, 38), (0.34, 1), (0.2, 0.5)),
    "black": Region((0, 360), (0, 1), (0, 0.14)),
    "grey": Region((0, 360), (0, 0.1), (0.28, 0.66)),
}
NAMES = tuple(REGIONS)
# Parts of these, apart from each other, that people call light and dark.
SHADES = {
    "dark red": Region((-10, 7), (0.5, 1), (0.36, 0.52)),
    "dark green": Region((90, 155), (0.3, 1), (0.22, 0.42)),
    "light green": Region((90, 150), (0.24, 0.5), (0.76, 1)),
    "dark blue": Region((212, 245), (0.45, 1), (0.28, 0.5)),
    "light blue": Region((206, 225), (0.34, 0.55), (0.82, 1)),
    "dark purple": Region((266, 300), (0.3, 1), (0.26, 0.45)),
    "light purple": Region((262, 296), (0.22, 0.42), (0.78, 1)),
    "dark grey": Region((0, 360), (0, 0.1), (0.28, 0.38)),
    "light grey": Region((0, 360), (0, 0.08), (0.56, 0.66)),
}
# A thing has a colour where so much of it lies in one region, and no more in any other one.
_LEAST, _REST = 0.5, 0.12


def has_name(rgb: Iterable[float], name: str) -> bool:
    """Whether a colour of 0..255 may be called `name`, one of NAMES or SHADES."""
    hue, saturation, value = colorsys.rgb_to_hsv(*(float(channel) / 255 for channel in rgb))
    return bool(_region(name).holds(360 * hue, saturation, value))


def name_of(rgb: Iterable[int]) -> str | None:
    """The name of a colour of 0..255, or None where it lies in a gap."""
    rgb = tuple(rgb)
    found = [name for name in NAMES if has_name(rgb, name)]
    return found[0] if len(found) == 1 else None


def named(picture: np.ndarray, name: str) -> np.ndarray:
    """Which pixels of (H, W, 3) uint8 RGB have the colour `name`, bool (H, W).

    Raises:
        KeyError: `name` is none of NAMES or SHADES.
    """
    hsv = cv2.cvtColor(picture.astype(np.float32) / 255, cv2.COLOR_RGB2HSV)
    return _region(name).holds(*np.moveaxis(hsv, -1, 0))


def main_name(rgba: np.ndarray) -> str | None:
    """The colour of a cut-out (H, W, 4) uint8: of half of it and hardly any other, or None.

    What hardly covers anything (alpha below 200) does not count.
    """
    opaque = rgba[..., 3] >= 200
    count = np.count_nonzero(opaque)
    shares = {n: np.count_nonzero(named(rgba[..., :3], n) & opaque) / max(1, count) for n in NAMES}
    best, second = sorted(shares, key=shares.get, reverse=True)[:2]
    return best if shares[best] >= _LEAST and shares[second] <= _REST else None


def draw_rgb(name: str, rng: np.random.Generator) -> tuple[int, int, int]:
    """A colour of that name, 0..255, anywhere in its region but for a rim of a tenth.

    Raises:
        KeyError: `name` is none of NAMES or SHADES.
    """
    region = _region(name)
    spans = (region.hue, region.saturation, region.value)
    hue, saturation, value = (
        rng.uniform(low + 0.1 * (high - low), high - 0.1 * (high - low)) for low, high in spans
    )
    hsv = np.array([[[hue % 360, saturation, value]]], np.float32)
    rgb = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0, 0]
    return tuple(int(channel) for channel in np.rint(rgb * 255))


def _region(name: str) -> Region:
    return SHADES[name] if name in SHADES else REGIONS[name]
