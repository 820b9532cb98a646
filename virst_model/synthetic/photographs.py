"""Photographs and cut-outs of photographs: what the camera's world is made of beside drawings.

A folder of them has `photographs/*.jpg` and `cutouts/*.png` (RGBA); `virst data photographs`
makes one of Debian's packages. Some of both are kept aside, by picture, to measure with.
"""

from __future__ import annotations

from dataclasses import dataclass
import functools
from pathlib import Path

import cv2
import numpy as np

from virst_model.errors import InputError
from virst_model.frames import is_left_by_people
from virst_model.synthetic.colours import main_name

# Of these nothing is ever learned.
ASIDE = ("BytheWater", "Dune", "EveningGlow", "Grey", "Path", "Wood")
ASIDE_EVERY = 5  # of the cut-outs in the order of their names: the first of five


@dataclass(frozen=True)
class CutOut:
    """A thing of a photograph: (H, W, 4) uint8 RGBA, and the name of its colour or None."""

    name: str
    rgba: np.ndarray
    colour: str | None


@dataclass(frozen=True)
class Photographs:
    """Photographs (H, W, 3) uint8 RGB, and cut-outs; either may be empty."""

    backgrounds: tuple[np.ndarray, ...] = ()
    cutouts: tuple[CutOut, ...] = ()


NOTHING = Photographs()


@functools.cache
def read_photographs(folder: str | Path, aside: bool = False) -> Photographs:
    """What is to be learned from in `folder`, or with `aside` what is kept to measure with.

    Raises:
        InputError: there is no photograph and no cut-out, or one cannot be read.
    """
    folder = Path(folder)
    pictures = _found(folder / "photographs", "*.jpg")
    stamps = _found(folder / "cutouts", "*.png")
    if not pictures and not stamps:
        raise InputError(
            f"{folder} has neither photographs/*.jpg nor cutouts/*.png; "
            "`virst data photographs` makes such a folder"
        )
    pictures = [path for path in pictures if (path.stem in ASIDE) == aside]
    stamps = [p for i, p in enumerate(stamps) if (i % ASIDE_EVERY == 0) == aside]
    return Photographs(
        tuple(_read(path, cv2.IMREAD_COLOR, cv2.COLOR_BGR2RGB) for path in pictures),
        tuple(_cut_out(path) for path in stamps),
    )


def _found(folder: Path, pattern: str) -> list[Path]:
    """Without what systems leave behind; the order says which cut-outs are kept aside."""
    return sorted(path for path in folder.glob(pattern) if is_left_by_people(path.name))


def _cut_out(path: Path) -> CutOut:
    rgba = _read(path, cv2.IMREAD_UNCHANGED, cv2.COLOR_BGRA2RGBA)
    return CutOut(path.stem, rgba, main_name(rgba))


def _read(path: Path, mode: int, order: int) -> np.ndarray:
    picture = cv2.imread(str(path), mode)
    if (
        picture is None
        or picture.ndim != 3
        or (picture.shape[2] == 3) != (mode == cv2.IMREAD_COLOR)
    ):
        raise InputError(f"{path} cannot be read as the picture that its folder asks for")
    return cv2.cvtColor(picture, order)
