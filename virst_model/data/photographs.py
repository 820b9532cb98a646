"""Photographs and cut-outs for the camera's world, out of packages of pictures that are unpacked.

The packages are Debian's plasma-workspace-wallpapers, mate-backgrounds and
tuxpaint-stamps-default. What of them is a photograph is listed here: most pictures are drawn.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from virst_model.errors import FileError

MOST_SIDE, MOST_CUTOUT = 800, 200  # pixels
_NATURE = "usr/share/backgrounds/mate/nature"
_PLASMA = "usr/share/wallpapers"
_STAMPS = "usr/share/tuxpaint/stamps"
_NATURE_PHOTOGRAPHS = (
    *("Aqua", "Blinds", "Dune", "FreshFlower", "Garden", "GreenMeadow"),
    *("LadyBird", "RainDrops", "Storm", "TwoWings", "Wood", "YellowFlower"),
)
_PLASMA_PHOTOGRAPHS = (
    *("Autumn", "BytheWater", "ColdRipple", "ColorfulCups", "DarkestHour", "EveningGlow"),
    *("FallenLeaf", "Grey", "Kite", "OneStandsOut", "Path", "Shell", "summer_1am", "Volna"),
)
_DRAWN_STAMPS = ("symbols", "cartoon", "money")
# A stamp with fewer different colours (16 levels a channel) is drawn.
_LEAST_COLOURS = 48
_FILLED = (0.05, 0.97)  # of a stamp, what is opaque
_LEAST_STAMP = 40  # pixels
_OPAQUE = 200
_JPEG_QUALITY = 92


def collect(unpacked: Path, out: Path) -> tuple[int, int]:
    """Copies what is photographed, made smaller; how many photographs and how many cut-outs.

    Args:
        unpacked: a folder below which packages were unpacked, each or all together.
        out: gets `photographs/*.jpg` and `cutouts/*.png`, as `synthetic.photographs` reads them.

    Raises:
        FileError: there is none of the pictures, or `out` cannot be written.
    """
    pictures, stamps = dict(_photographs(unpacked)), dict(_stamps(unpacked))
    if not pictures and not stamps:
        raise FileError(
            unpacked,
            f"holds none of the pictures ({_NATURE}, {_PLASMA}, {_STAMPS}); "
            "unpack the packages there (dpkg -x PACKAGE.deb FOLDER)",
        )
    cutouts = 0
    try:
        for folder in ("photographs", "cutouts"):
            (out / folder).mkdir(parents=True, exist_ok=True)
        for name, path in tqdm(sorted(pictures.items()), desc="photographs"):
            picture = Image.open(path).convert("RGB")
            picture.thumbnail((MOST_SIDE, MOST_SIDE))
            picture.save(out / "photographs" / f"{name}.jpg", quality=_JPEG_QUALITY)
        for name, path in tqdm(sorted(stamps.items()), desc="cutouts"):
            stamp = Image.open(path).convert("RGBA")
            if _is_photographed(np.array(stamp)):
                there = stamp.getchannel("A").point(lambda alpha: 255 * (alpha > 100))
                stamp = stamp.crop(there.getbbox())
                stamp.thumbnail((MOST_CUTOUT, MOST_CUTOUT))
                stamp.save(out / "cutouts" / f"{name}.png")
                cutouts += 1
    except OSError as error:
        raise FileError(out, f"cannot be written ({error})") from error
    return len(pictures), cutouts


def _photographs(unpacked: Path) -> Iterator[tuple[str, Path]]:
    for folder in unpacked.rglob(_NATURE):
        yield from ((n, folder / f"{n}.jpg") for n in _NATURE_PHOTOGRAPHS if _has(folder, n))
    for folder in unpacked.rglob(_PLASMA):
        for name in _PLASMA_PHOTOGRAPHS:
            sizes = [p for p in (folder / name / "contents/images").glob("*") if p.is_file()]
            sizes = [path for path in sizes if not path.is_symlink()]
            if sizes:
                yield name, max(sizes, key=lambda path: path.stat().st_size)


def _has(folder: Path, name: str) -> bool:
    return (folder / f"{name}.jpg").is_file()


def _stamps(unpacked: Path) -> Iterator[tuple[str, Path]]:
    """Every stamp that lies in no folder of drawn ones; the name is its path."""
    for folder in unpacked.rglob(_STAMPS):
        for path in sorted(folder.rglob("*.png")):
            parts = path.relative_to(folder).with_suffix("").parts
            if not set(parts) & set(_DRAWN_STAMPS) and "mirror" not in path.name:
                yield "_".join(parts), path


def _is_photographed(rgba: np.ndarray) -> bool:
    opaque = rgba[..., 3] > _OPAQUE
    if min(rgba.shape[:2]) < _LEAST_STAMP or not _FILLED[0] < opaque.mean() < _FILLED[1]:
        return False
    coarse = rgba[opaque][:, :3] // 16
    return len(np.unique(coarse @ np.array([256, 16, 1]))) >= _LEAST_COLOURS
