"""RefCOCO, RefCOCO+ and RefCOCOg: short descriptions of one object of a COCO picture.

Layout of github.com/lichengunc/refer, as LISA and VIRST (arXiv 2603.27060) take it:

    refer_seg/refcoco/{refs(unc).p,instances.json}         also refcoco+
    refer_seg/refcocog/{refs(umd).p,instances.json}
    refer_seg/images/mscoco/images/train2014/*.jpg
"""

from collections import defaultdict
from functools import partial
from pathlib import Path

from virst_model.data.coco import Segmentation, form_of, is_empty, read_json, read_union
from virst_model.data.pickles import load_plain
from virst_model.data.picture import names_in
from virst_model.data.record import DataError, Expression, MaskReader, Record, Records

# Who split the data set is part of the file's name.
REFS = {"refcoco": "refs(unc).p", "refcoco+": "refs(unc).p", "refcocog": "refs(umd).p"}
PICTURES = Path("images/mscoco/images/train2014")


def load_refer(root: str | Path, name: str, split: str) -> Records:
    """A split of `name` (refcoco, refcoco+ or refcocog): a record a picture, in order of its id.

    Args:
        root: the folder `refer_seg`.
        split: train, val, testA or testB; of refcocog train, val or test.

    Raises:
        DataError: a file is missing or damaged, or has no such split.
        KeyError: `name` is another data set.
    """
    root = Path(root)
    described = _read_refs(root / name / REFS[name], split)
    wanted = {ref["ann_id"] for refs in described.values() for ref in refs}
    pictures, segmentations = _read_instances(root / name / "instances.json", wanted)
    present = names_in(root / PICTURES, "COCO's train2014 pictures")
    found = Records()
    for image_id, refs in sorted(described.items()):
        picture = pictures.get(image_id)
        if picture is None or picture["file_name"] not in present:
            found.skipped["picture is not there"] += 1
            continue
        path, size = root / PICTURES / picture["file_name"], (picture["height"], picture["width"])
        expressions: list[Expression] = []
        for ref in refs:
            segmentation = segmentations.get(ref["ann_id"], [])
            if is_empty(segmentation):
                found.skipped["object without a segmentation"] += 1
            else:
                expressions += _say(ref, partial(read_union, path, [segmentation], size))
        if expressions:
            found.records.append(Record(str(image_id), (path,), tuple(expressions)))
    return found


def _say(ref: dict, mask: MaskReader) -> list[Expression]:
    """All that was said of one object."""
    return [
        Expression(str(sentence["sent_id"]), sentence["sent"], mask, kind="referring")
        for sentence in ref["sentences"]
    ]


def _read_refs(path: Path, split: str) -> dict[int, list[dict]]:
    """Image id -> its refs. `file_name` of a ref is not the picture's: it ends in the object."""
    refs = load_plain(path)
    with form_of(path):
        splits = {ref["split"] for ref in refs}
        if split not in splits:
            known = ", ".join(sorted(splits))
            raise DataError(path, f"has no split {split!r}; it has {known}")
        described = defaultdict(list)
        for ref in refs:
            if ref["split"] == split:
                sentences = [
                    {key: s[key] for key in ("sent_id", "sent")} for s in ref["sentences"]
                ]
                one = {"ann_id": ref["ann_id"], "sentences": sentences}
                described[ref["image_id"]].append(one)
    return described


def _read_instances(
    path: Path, wanted: set[int]
) -> tuple[dict[int, dict], dict[int, Segmentation]]:
    """Pictures by their id; segmentations of the `wanted` annotations by theirs."""
    instances = read_json(path)
    with form_of(path):
        keys = ("file_name", "height", "width")
        pictures = {i["id"]: {key: i[key] for key in keys} for i in instances["images"]}
        segmentations = {
            annotation["id"]: annotation["segmentation"]
            for annotation in instances["annotations"]
            if annotation["id"] in wanted
        }
    return pictures, segmentations
