"""RefCOCO, RefCOCO+ and RefCOCOg: short descriptions of one object of a COCO picture.

Layout of github.com/lichengunc/refer, as LISA and VIRST (arXiv 2603.27060) take it:

    refer_seg/refcoco/{refs(unc).p,instances.json}         also refcoco+
    refer_seg/refcocog/{refs(umd).p,instances.json}
    refer_seg/images/mscoco/images/train2014/*.jpg
"""

from collections import defaultdict
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from virst_model.data.coco import Segmentation, form_of, is_empty, read_union
from virst_model.data.pickles import load_plain
from virst_model.data.picture import names_in
from virst_model.data.record import Expression, MaskReader, Record, Records
from virst_model.errors import FileError
from virst_model.text_file import read_json

# Who split the data set is part of the file's name.
REFS = {"refcoco": "refs(unc).p", "refcoco+": "refs(unc).p", "refcocog": "refs(umd).p"}
TRAIN2014 = Path("images/mscoco/images/train2014")


@dataclass(frozen=True)
class _Ref:
    """All that was said of one object; `sentences` are (id, text)."""

    ann_id: int
    sentences: list[tuple[int, str]]


@dataclass(frozen=True)
class _CocoImage:
    """A COCO picture; `size` is (H, W)."""

    name: str
    size: tuple[int, int]


def load_refer(root: str | Path, name: str, split: str) -> Records:
    """A split of `name` (refcoco, refcoco+ or refcocog): a record a picture, in order of its id.

    Args:
        root: the folder `refer_seg`.
        split: train, val, testA or testB; of refcocog train, val or test.

    Raises:
        FileError: a file is missing or damaged, or has no such split.
        KeyError: `name` is another data set.
    """
    root = Path(root)
    described = _read_refs(root / name / REFS[name], split)
    wanted = {ref.ann_id for refs in described.values() for ref in refs}
    pictures, segmentations = _read_instances(root / name / "instances.json", wanted)
    present = names_in(root / TRAIN2014, "COCO's train2014 pictures")
    contents = Records()
    for image_id, refs in sorted(described.items()):
        picture = pictures.get(image_id)
        if picture is None or picture.name not in present:
            detail = "" if picture is None else picture.name
            contents.leave_out(str(image_id), "picture is not there", detail)
            continue
        path = root / TRAIN2014 / picture.name
        expressions: list[Expression] = []
        for ref in refs:
            segmentation = segmentations.get(ref.ann_id)
            if is_empty(segmentation):
                reason = "object without a segmentation"
                contents.leave_out(f"{image_id}/{ref.ann_id}", reason)
            else:
                expressions += _say(ref, partial(read_union, path, [segmentation], picture.size))
        if expressions:
            contents.records.append(Record(str(image_id), (path,), tuple(expressions), still=True))
    return contents


def _say(ref: _Ref, mask: MaskReader) -> list[Expression]:
    return [Expression(str(id), text, mask, kind="referring") for id, text in ref.sentences]


def _read_refs(path: Path, split: str) -> dict[int, list[_Ref]]:
    """Image id -> its refs. `file_name` of a ref is not the picture's: it ends in the object."""
    refs = load_plain(path)
    with form_of(path):
        splits = sorted({str(ref["split"]) for ref in refs})
        if split not in splits:
            raise FileError(path, f"has no split {split!r}; it has {', '.join(splits)}")
        described: dict[int, list[_Ref]] = defaultdict(list)
        for ref in refs:
            if ref["split"] == split:
                sentences = [(int(s["sent_id"]), str(s["sent"])) for s in ref["sentences"]]
                described[int(ref["image_id"])].append(_Ref(int(ref["ann_id"]), sentences))
    return described


def _read_instances(
    path: Path, wanted: set[int]
) -> tuple[dict[int, _CocoImage], dict[int, Segmentation]]:
    """Pictures by their id; segmentations of the `wanted` annotations by theirs."""
    instances = read_json(path)
    with form_of(path):
        pictures = {
            image["id"]: _CocoImage(
                str(image["file_name"]), (int(image["height"]), int(image["width"]))
            )
            for image in instances["images"]
        }
        segmentations = {
            annotation["id"]: annotation["segmentation"]
            for annotation in instances["annotations"]
            if annotation["id"] in wanted
        }
    return pictures, segmentations
