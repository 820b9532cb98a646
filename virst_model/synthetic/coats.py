"""What things look like before a camera: plain, shaded, patterned, or cut out of a photograph."""

from __future__ import annotations

from dataclasses import dataclass
import math

import cv2
import numpy as np

from virst_model.synthetic.colours import draw_rgb
from virst_model.synthetic.photographs import CutOut, Photographs

# A coat may darken and lighten parts of a thing by so much; as a whole it keeps its name.
_DARKEST, _LIGHTEST = 0.7, 1.12


@dataclass(frozen=True)
class Coat:
    """How the surface of one thing looks.

    Attributes:
        rgb: its colour, 0..255.
        shade: how much darker the far side of the light is, 0..1; `light` is where it comes from,
            in radians.
        grain: amplitude of a fine pattern, a share of the colour; `seed` draws it.
        cutout: what is shown in place of the drawn shape, in the colour `rgb` where `painted`.
        shadow: opacity of what it throws on the ground.
    """

    rgb: tuple[int, int, int]
    shade: float = 0.0
    light: float = 0.0
    grain: float = 0.0
    seed: int = 0
    cutout: CutOut | None = None
    painted: bool = False
    shadow: float = 0.0

    def cover(self, rgba: np.ndarray) -> np.ndarray:
        """The sprite (side, side, 4) uint8 of a drawn thing, with light and pattern on it.

        Where a cut-out is shown, the sprite gives the size alone.
        """
        if self.cutout is not None:
            rgba = self._cut_out(rgba.shape[0])
        gain = np.ones(rgba.shape[:2], np.float32)
        if self.shade:
            gain *= 1 - np.float32(self.shade) * (1 - _slope(rgba.shape[0], self.light)) / 2
        if self.grain:
            gain *= 1 + np.float32(self.grain) * _pattern(rgba.shape[0], self.seed)
        rgba = rgba.copy()
        gain = np.clip(gain, _DARKEST, _LIGHTEST)
        rgba[..., :3] = np.clip(rgba[..., :3] * gain[..., None], 0, 255)
        return rgba

    def _cut_out(self, side: int) -> np.ndarray:
        rgba = self.cutout.rgba
        scale = 0.92 * side / max(rgba.shape[:2])
        size = [max(1, round(length * scale)) for length in rgba.shape[1::-1]]
        small = cv2.resize(rgba, size, interpolation=cv2.INTER_AREA)
        if self.painted:
            small[..., :3] = _paint(small, self.rgb)
        out = np.zeros((side, side, 4), np.uint8)
        top, left = ((side - length) // 2 for length in small.shape[:2])
        out[top : top + small.shape[0], left : left + small.shape[1]] = small
        return out


def draw_coat(
    colour: str,
    light: float,
    rng: np.random.Generator,
    photographs: Photographs,
    cutouts: float = 0.0,
) -> Coat:
    """A coat of a colour of `colours.NAMES`; with the share `cutouts` a photographed thing.

    `light` is where the light comes from, the same for all things of a picture.
    """
    rgb = draw_rgb(colour, rng)
    cutout, painted = None, False
    if photographs.cutouts and rng.random() < cutouts:
        own = [stamp for stamp in photographs.cutouts if stamp.colour == colour]
        painted = not own or rng.random() < 0.5
        stamps = photographs.cutouts if painted else own
        cutout = stamps[int(rng.integers(len(stamps)))]
    rough = rng.random()
    return Coat(
        rgb=rgb,
        shade=float(rng.uniform(0.1, 0.6)) if rough > 0.35 else 0.0,
        light=light,
        grain=float(rng.uniform(0.04, 0.25)) if rough > 0.65 else 0.0,
        seed=int(rng.integers(2**31)),
        cutout=cutout,
        painted=painted,
        shadow=float(rng.uniform(0.15, 0.5)) if rng.random() < 0.4 else 0.0,
    )


def _paint(rgba: np.ndarray, rgb: tuple[int, int, int]) -> np.ndarray:
    """Light and shade of a picture, in one colour."""
    grey = cv2.cvtColor(rgba[..., :3], cv2.COLOR_RGB2GRAY).astype(np.float32)
    there = rgba[..., 3] > 128
    middle, spread = (grey[there].mean(), grey[there].std()) if there.any() else (128, 1)
    gain = 0.95 + 0.14 * (grey - middle) / max(spread, 1.0)
    gain = np.clip(gain, _DARKEST, _LIGHTEST)[..., None]
    return np.clip(gain * np.array(rgb, np.float32), 0, 255).astype(np.uint8)


def _slope(side: int, light: float) -> np.ndarray:
    """(side, side) from -1 on the far side to 1 where the light comes from."""
    line = np.linspace(-1, 1, side, dtype=np.float32)
    return np.clip(line * math.cos(light) + line[:, None] * math.sin(light), -1, 1)


def _pattern(side: int, seed: int) -> np.ndarray:
    """(side, side) smooth noise of about one spot in five pixels, about -1 to 1."""
    rng = np.random.default_rng(seed)
    cells = max(3, side // int(rng.integers(3, 9)))
    rows = max(2, cells // int(rng.integers(1, 5)))  # longer one way: wood, cloth
    noise = rng.standard_normal((rows, cells)).astype(np.float32)
    noise = noise if rng.random() < 0.5 else noise.T
    return np.clip(cv2.resize(noise, (side, side), interpolation=cv2.INTER_CUBIC), -1.5, 1.5)
