"""ReasonSeg: questions that have to be thought about, of a picture each (LISA, arXiv 2308.00692).

    reason_seg/ReasonSeg/{train,val,test}/X.jpg and X.json

X.json is labelme's: {text: [...], is_sentence, shapes: [{label, points}]}. The texts of a picture
all mean the same pixels. Explanations in words (`explanatory/`) are not read; the release reads
them in training (docs/datasets.md).
"""

from functools import partial
from pathlib import Path

import cv2
import numpy as np

from virst_model.data.coco import form_of, near
from virst_model.data.picture import names_in
from virst_model.data.record import Expression, Record, Records
from virst_model.errors import FileError
from virst_model.image_file import picture_size
from virst_model.text_file import read_json

# The files were written on several machines; of those that are not UTF-8 the encoding.
OTHERWISE = "cp1252"
# Values of `read_regions`; 0 is background.
TARGET, IGNORED = 1, 255


def load_reason_seg(root: str | Path, split: str) -> Records:
    """A record a picture, in order of the file's name.

    Args:
        root: the folder of the splits.
        split: train, val or test.

    Returns:
        Records whose expressions have the kind "sentence" (a question of many words) or "phrase".

    Raises:
        FileError: there is no such split.
    """
    folder = Path(root) / split
    names = names_in(folder, "X.jpg and X.json of each picture")
    contents = Records()
    for name in sorted(name for name in names if name.endswith(".jpg")):
        path = folder / name
        annotation = path.with_suffix(".json")
        if annotation.name not in names:
            contents.leave_out(path.stem, "annotation is not there", annotation.name)
            continue
        try:
            contents.records.append(_record(path, annotation))
        except FileError as error:
            contents.leave_out(path.stem, "annotation cannot be read", str(error))
    for name in sorted(name for name in names if name.endswith(".json")):
        picture = Path(name).with_suffix(".jpg").name
        if picture not in names:
            contents.leave_out(Path(name).stem, "picture is not there", picture)
    return contents


def read_regions(annotation: str | Path, picture: Path) -> np.ndarray:
    """What is drawn in the picture, uint8 (H, W): 0 background, 1 target, 255 ignored.

    As LISA's `get_mask_from_json`: outlines count, smaller regions lie above larger ones, and
    "flag" shapes mean nothing. Raises FileError.
    """
    size = picture_size(picture)
    with form_of(Path(annotation)):
        layers = [_draw(shape, size) for shape in _read(Path(annotation))["shapes"]]
    regions = np.zeros(size, np.uint8)
    for layer in sorted(layers, key=np.count_nonzero, reverse=True):
        np.copyto(regions, layer, where=layer > 0)
    return regions


def _record(picture: Path, annotation: Path) -> Record:
    content = _read(annotation)
    kind = "sentence" if content["is_sentence"] else "phrase"
    mask = partial(_read_mask, picture, annotation)
    expressions = [
        Expression(str(number), text, mask, kind=kind)
        for number, text in enumerate(content["text"])
    ]
    ignored = partial(_read_ignored, picture, annotation)
    return Record(picture.stem, (picture,), tuple(expressions), still=True, ignored=ignored)


def _read(annotation: Path) -> dict:
    """`text` (strings), `is_sentence`, and `shapes` without the flags."""
    with form_of(annotation):
        content = read_json(annotation, OTHERWISE)
        return {
            "text": [text.strip() for text in content["text"]],
            "is_sentence": bool(content["is_sentence"]),
            "shapes": [s for s in content["shapes"] if s["label"].lower() != "flag"],
        }


def _draw(shape: dict, size: tuple[int, int]) -> np.ndarray:
    """One region alone, uint8 (H, W): 0 outside."""
    layer = np.zeros(size, np.uint8)
    value = IGNORED if "ignore" in shape["label"].lower() else TARGET
    # Cut off and not rounded, as in LISA.
    corners = near([shape["points"]], size).astype(np.int32)
    if corners.ndim != 3 or corners.shape[2] != 2:
        raise ValueError("a polygon must be pairs of x and y")
    cv2.polylines(layer, corners, True, value, 1)
    cv2.fillPoly(layer, corners, value)
    return layer


def _read_mask(picture: Path, annotation: Path, frame: int) -> np.ndarray:
    """A MaskReader; the one frame is the picture.

    Ignored regions are no target. LISA trains so too; only its scores leave them out.
    """
    return read_regions(annotation, picture) == TARGET


def _read_ignored(picture: Path, annotation: Path, frame: int) -> np.ndarray:
    """A MaskReader of the ignored regions."""
    return read_regions(annotation, picture) == IGNORED
