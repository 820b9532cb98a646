"""What is filmed behind the objects, and all that a camera does to a picture.

Scenes and stories are rendered here alone: `View.render` asks a world to paint its objects over
the backdrop, and `Camera.expose` is the one place for what happens to the picture after that.

Geometry is in heights of the frame: x in [0, WIDE], y in [0, 1] with y down, whatever the size in
pixels that is painted (a 128x128 picture is the 4:3 picture squeezed).
"""

from __future__ import annotations

from collections.abc import Callable
import colorsys
from dataclasses import dataclass, replace
import functools
import math

import cv2
import numpy as np

WIDE = 4 / 3
FIXED_BITS = 4  # OpenCV's fixed point: places are rounded to 1/16 pixel

_NOISE_ROOM = 16
_LUMINANCE = (0.299, 0.587, 0.114)  # of red, green and blue
# Worlds that are rendered in turn, by so many threads, share what is kept of their backdrops.
_KEPT = 16

Rgb = tuple[int, int, int]
# Paints all objects, from the back to the front, over a picture (H, W, 3) uint8 RGB and their ids
# over a map (H, W) uint8, as they are at a time in s; everything is moved by an offset, x + iy in
# heights of the frame.
Paint = Callable[[np.ndarray, np.ndarray, float, complex], None]


@dataclass(frozen=True)
class Speck:
    """A blob or a line of the backdrop, of which no sentence speaks.

    Attributes:
        points: two corners of a line or one middle, in heights of the frame.
        size: width or radius, in heights of the frame.
        rgb: 0..255.
    """

    points: tuple[tuple[float, float], ...]
    size: float
    rgb: Rgb


@dataclass(frozen=True)
class Backdrop:
    """What lies behind the objects.

    Attributes:
        corners_rgb: colours of the corners: top left, top right, bottom left, bottom right.
        clouds: amplitude of smooth noise, in grey levels.
        seed: of the smooth noise.
        specks: painted over it, in order.
        softness: sigma in heights by which it is blurred, 0.6 pixels at least; 0 is not at all.
    """

    corners_rgb: tuple[Rgb, ...]
    clouds: float
    seed: int
    specks: tuple[Speck, ...] = ()
    softness: float = 0.0

    def paint(self, height: int, width: int) -> np.ndarray:
        """(height, width, 3) uint8 RGB: the picture without objects, light or pixel noise."""
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
        picture = np.clip(picture, 0, 255).astype(np.uint8)
        for speck in self.specks:
            _paint_speck(picture, speck)
        if self.softness:
            sigma = max(0.6, self.softness * height)
            picture = cv2.GaussianBlur(picture, (0, 0), sigma)
        return picture


@dataclass(frozen=True)
class Camera:
    """What a camera does: where it looks, its lens, the light, its colours and its sensor.

    Attributes:
        noise: sigma of pixel noise, in grey levels.
        seed: of the pixel noise.
        light: (amplitude, period in s, phase) of the gain.
        margin: heights of backdrop that are kept around the picture, to shake in.
        shake: largest offset in heights, less than `margin`; 0 on a tripod.
        pan: largest offset in heights of a camera that looks around slowly; with `shake` less
            than `margin`.
        blur: sigma in heights.
        tint: gain of each channel; the levels are rounded before there is noise. None: the
            colours as they are, rounded once.
        saturation, hue_deg: of all colours: a factor about grey, and a turn.
        exposure, gamma: gain of all levels, and then their exponent.
        vignette: how much darker the corners are, 0..1.
        bands: amplitude in grey levels of light and dark rows that run through.
        quality: of JPEG, 1..100; 0 is none.
    """

    noise: float
    seed: int
    light: tuple[float, float, float]
    margin: float = 0.0
    shake: float = 0.0
    pan: float = 0.0
    blur: float = 0.0
    tint: tuple[float, float, float] | None = None
    saturation: float = 1.0
    hue_deg: float = 0.0
    exposure: float = 1.0
    gamma: float = 1.0
    vignette: float = 0.0
    bands: float = 0.0
    quality: int = 0

    def offset(self, t_s: float) -> complex:
        """How far the picture is moved at `t_s`, x + iy in heights."""
        phase = self.light[2]
        x = math.sin(7.3 * t_s + phase) + 0.6 * math.sin(16.1 * t_s + 2 * phase)
        y = math.sin(8.9 * t_s + 3 * phase) + 0.6 * math.sin(13.7 * t_s + 5 * phase)
        around = complex(math.sin(0.8 * t_s + phase), math.sin(0.6 * t_s + 2 * phase))
        return self.shake * complex(x, y) / 1.6 + self.pan * around

    def gain(self, t_s: float) -> float:
        """How bright it is at `t_s`; 1 on average."""
        amplitude, period_s, phase = self.light
        return 1 + amplitude * math.sin(2 * math.pi * t_s / period_s + phase)

    def with_uneven_light(self, share: float) -> Camera:
        """The same with so much of its flicker, its dark corners and its bands."""
        amplitude, *rest = self.light
        return replace(
            self,
            light=(share * amplitude, *rest),
            vignette=share * self.vignette,
            bands=share * self.bands,
        )

    def extremes(self, rgb: tuple[int, int, int]) -> list[np.ndarray]:
        """A colour of 0..255, (3,), at its darkest, in a corner, and at its brightest.

        Each with and against the bands; but for what noise and JPEG do, a few levels either way.
        """
        colour = self.see_colours(np.array([[rgb]], np.uint8))[0, 0] * np.array(self.tint or 1.0)
        amplitude = self.light[0]
        lights = ((1 - amplitude) * (1 - self.vignette), 1 + amplitude)
        shifts = (-self.bands, self.bands)
        return [np.clip(colour * light + shift, 0, 255) for light in lights for shift in shifts]

    def margin_pixels(self, height: int, width: int) -> int:
        """Pixels of backdrop on each side of a picture of this size."""
        return 1 + round(self.margin * max(height, width)) if self.margin else 0

    def grain(self, height: int, width: int) -> np.ndarray:
        """uint8 noise around 128, larger than the picture: `expose` shifts it every frame."""
        shape = (height + _NOISE_ROOM, width + _NOISE_ROOM, 3)
        normal = np.random.default_rng(self.seed).standard_normal(shape, np.float32)
        return np.clip(np.rint(normal * self.noise + 128), 0, 255).astype(np.uint8)

    def expose(self, picture: np.ndarray, grain: np.ndarray, t_s: float) -> np.ndarray:
        """What becomes of a picture (H, W, 3) uint8 RGB at `t_s`: lens, light, colours, sensor.

        `grain` is that of `Camera.grain` for this size.
        """
        height, width = picture.shape[:2]
        sigma, gain = self.blur * height, self.gain(t_s)
        if sigma > 0.25:
            picture = cv2.GaussianBlur(picture, (0, 0), sigma)
        picture = self.see_colours(picture)
        if self.tint is not None:
            # One table a channel is quicker than arithmetic on the picture.
            levels = np.arange(256)[:, None] * (gain * np.array(self.tint))
            table = np.clip(np.rint(levels), 0, 255).astype(np.uint8)[None]
            picture, gain = cv2.LUT(picture, table), 1.0
        shift = round(t_s * 1000) * 2654435761 % 2**32 >> 16
        row, column = shift % _NOISE_ROOM, shift // _NOISE_ROOM % _NOISE_ROOM
        noise = grain[row : row + height, column : column + width]
        if self.vignette:
            light = 1 - self.vignette * _corners(height, width)
            picture = (picture * light[..., None]).astype(np.uint8)
        picture = cv2.addWeighted(picture, gain, noise, 1.0, -128.0)
        if self.bands:
            rows = np.arange(height) * (40 / height) + 9 * t_s + self.light[2]
            shift = np.rint(self.bands * np.sin(rows))[:, None, None]
            picture = np.clip(picture + shift, 0, 255).astype(np.uint8)
        if self.quality:
            packed = cv2.imencode(".jpg", picture, (cv2.IMWRITE_JPEG_QUALITY, self.quality))[1]
            picture = cv2.imdecode(packed, cv2.IMREAD_COLOR)
        return picture

    def see_colours(self, picture: np.ndarray) -> np.ndarray:
        """The colours of (H, W, 3) uint8 RGB as they are after saturation, hue and levels."""
        if (self.saturation, self.hue_deg, self.exposure) != (1.0, 0.0, 1.0):
            picture = cv2.transform(picture, self._colour_matrix)
        if self.gamma != 1.0:
            levels = 255 * (np.arange(256) / 255) ** self.gamma
            picture = cv2.LUT(picture, np.rint(levels).astype(np.uint8))
        return picture

    @functools.cached_property
    def _colour_matrix(self) -> np.ndarray:
        """(3, 3): hue about the grey axis, saturation about the luminance, and exposure."""
        cos, sin = (f(math.radians(self.hue_deg)) for f in (math.cos, math.sin))
        across = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / math.sqrt(3)
        turn = cos * np.eye(3) + (1 - cos) / 3 + sin * across
        grey = np.tile(_LUMINANCE, (3, 1))
        return self.exposure * (grey + self.saturation * (turn - grey @ turn))


@dataclass(frozen=True, eq=False)
class Picture:
    """What lies behind the objects, as a picture (H, W, 3) uint8 RGB of any size."""

    image: np.ndarray

    def paint(self, height: int, width: int) -> np.ndarray:
        """(height, width, 3) uint8 RGB."""
        return cv2.resize(self.image, (width, height), interpolation=cv2.INTER_LINEAR)


@dataclass(frozen=True)
class View:
    """A backdrop before a camera: everything in the pictures that no sentence speaks of."""

    backdrop: Backdrop | Picture
    camera: Camera

    def render(
        self, paint: Paint, t_s: float, height: int, width: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """The picture (height, width, 3) uint8 RGB and the ids (height, width) uint8 at `t_s`.

        An id marks the visible pixels of its object, 0 is background. Other sizes show the same
        4:3 picture, squeezed where the aspect differs.
        """
        back, grain = _backdrop_and_grain(self, height, width)
        margin, offset = self.camera.margin_pixels(height, width), self.camera.offset(t_s)
        top, left = margin - round(offset.imag * height), margin - round(offset.real * height)
        picture = back[top : top + height, left : left + width].copy()
        ids = np.zeros((height, width), np.uint8)
        paint(picture, ids, t_s, offset)
        return self.camera.expose(picture, grain, t_s), ids


@functools.lru_cache(maxsize=8)
def _corners(height: int, width: int) -> np.ndarray:
    """(height, width) float32: 0 in the middle, 1 in the corners."""
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    return ((x**2 + y**2) / 2).astype(np.float32)


@functools.lru_cache(maxsize=_KEPT)
def _backdrop_and_grain(view: View, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """The backdrop with its margin, and the sensor's noise."""
    both = 2 * view.camera.margin_pixels(height, width)
    return view.backdrop.paint(height + both, width + both), view.camera.grain(height, width)


def draw_plain_view(rng: np.random.Generator) -> View:
    """A quiet backdrop before a still camera, as scenes have it; numbers are short in JSON."""
    base = _muted(rng, 0.58)
    flat = rng.random() < 0.4
    corners = (base,) * 4 if flat else tuple(_muted(rng, 0.58) for _ in range(4))
    clouds = round(float(rng.uniform(4, 10)), 2) if rng.random() < 0.5 else 0.0
    noise = round(float(rng.uniform(0.5, 4.0)), 2)
    light = (rng.uniform(0, 0.08), rng.uniform(4, 15), rng.uniform(0, 6.28))
    light, seed = tuple(round(float(value), 4) for value in light), int(rng.integers(2**31))
    return View(Backdrop(corners, clouds, seed), Camera(noise, seed, light))


def draw_varied_view(rng: np.random.Generator) -> View:
    """From a flat backdrop in good light to specks before a shaking, noisy camera; of stories."""
    corners = (_muted(rng),) * 4 if rng.random() < 0.35 else tuple(_muted(rng) for _ in range(4))
    clouds = float(rng.uniform(4, 12)) if rng.random() < 0.5 else 0.0
    noise, seed = float(rng.uniform(0.5, 6.0)), int(rng.integers(2**31))
    amplitude = float(rng.uniform(0.02, 0.2)) if rng.random() < 0.5 else 0.0
    camera = Camera(
        noise=noise,
        seed=seed,
        margin=0.02,
        shake=float(rng.uniform(0.003, 0.012)) if rng.random() < 0.4 else 0.0,
        blur=float(rng.uniform(0.002, 0.008)) if rng.random() < 0.3 else 0.0,
        light=(amplitude, float(rng.uniform(2, 10)), float(rng.uniform(0, 6.28))),
        tint=tuple(float(gain) for gain in rng.uniform(0.92, 1.04, 3)),
    )
    count = int(rng.integers(4, 26)) if rng.random() < 0.5 else 0
    specks = tuple(_draw_speck(rng) for _ in range(count))
    return View(Backdrop(corners, clouds, seed, specks, softness=0.004), camera)


def _muted(rng: np.random.Generator, brightest: float = 0.56) -> Rgb:
    """Greyish and not bright: no object looks like it."""
    rgb = colorsys.hsv_to_rgb(rng.random(), rng.uniform(0, 0.22), rng.uniform(0.14, brightest))
    return tuple(round(255 * value) for value in rgb)


def _draw_speck(rng: np.random.Generator) -> Speck:
    def place() -> tuple[float, float]:
        return float(rng.uniform(0, WIDE)), float(rng.uniform(0, 1))

    if rng.random() < 0.5:
        return Speck((place(),), float(rng.uniform(0.01, 0.09)), _muted(rng))
    return Speck((place(), place()), float(rng.uniform(0.004, 0.02)), _muted(rng))


def _paint_speck(picture: np.ndarray, speck: Speck) -> None:
    height, width = picture.shape[:2]
    scale = np.array([width / WIDE, height]) * (1 << FIXED_BITS)
    points = [
        tuple(point) for point in np.rint(np.array(speck.points) * scale).astype(int).tolist()
    ]
    size = max(1, round(speck.size * height))
    if len(points) == 1:
        radius = size << FIXED_BITS
        cv2.circle(picture, points[0], radius, speck.rgb, -1, cv2.LINE_AA, FIXED_BITS)
    else:
        cv2.line(picture, *points, speck.rgb, size, cv2.LINE_AA, FIXED_BITS)
