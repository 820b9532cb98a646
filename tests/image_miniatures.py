"""Image data sets of a few pictures, in the layout and format of the real ones: one function each.

Pictures are 64x48 and grey; what is annotated are the rectangles of BOXES, (top, left, bottom,
right), so that a test knows every pixel.
"""

from __future__ import annotations

import json
from pathlib import Path
import pickle

import numpy as np
from PIL import Image
from pycocotools import mask as rle

SIZE = (48, 64)
BOXES = {"a": (4, 6, 20, 30), "b": (24, 32, 44, 60), "c": (2, 40, 12, 56)}


def box(*names: str, size: tuple[int, int] = SIZE) -> np.ndarray:
    """The truth: bool (H, W), what is inside any of the boxes."""
    mask = np.zeros(size, bool)
    for name in names:
        top, left, bottom, right = BOXES[name]
        mask[top:bottom, left:right] = True
    return mask


def save_picture(path: Path, size: tuple[int, int] = SIZE, grey: int = 90) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((*size, 3), grey, np.uint8)).save(path)


def save_labels(path: Path, labels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(labels.astype(np.uint8)).save(path)


def save_json(path: Path, content: object, encoding: str = "utf-8") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, ensure_ascii=False), encoding=encoding)


def polygon(name: str) -> list[float]:
    top, left, bottom, right = BOXES[name]
    return [left, top, right, top, right, bottom, left, bottom]


def run_lengths(name: str) -> dict:
    code = rle.encode(np.asfortranarray(box(name)).astype(np.uint8))
    return {"size": list(code["size"]), "counts": code["counts"].decode()}


def uncompressed(name: str) -> dict:
    """COCO's form of crowds: how long each run is, down the columns, zeros first."""
    flat = box(name).ravel(order="F")
    edges = np.flatnonzero(np.diff(flat)) + 1
    bounds = [0, *([0] if flat[0] else []), *edges.tolist(), flat.size]
    return {"size": list(SIZE), "counts": np.diff(bounds).tolist()}


def make_refer(root: Path, name: str = "refcoco") -> None:
    """ROOT/refer_seg: two pictures of train, one of all else; three forms of segmentations."""
    pictures = root / "refer_seg/images/mscoco/images/train2014"
    images = []
    for image_id in (9, 25, 30):
        file = f"COCO_train2014_{image_id:012d}.jpg"
        save_picture(pictures / file)
        images.append({"id": image_id, "file_name": file, "height": SIZE[0], "width": SIZE[1]})
    segmentations = {
        101: [polygon("a")],
        102: [polygon("b"), polygon("c"), [1.0, 1.0, 2.0, 2.0]],
        103: uncompressed("a"),
        104: run_lengths("c"),
    }
    annotations = [
        {
            "id": ann_id,
            "image_id": image_id,
            "category_id": 1,
            "segmentation": segmentations[ann_id],
        }
        for ann_id, image_id in ((101, 9), (102, 9), (103, 25), (104, 30))
    ]
    refs = [
        _ref(1, 101, 9, "train", ["left box", "the box on the left"]),
        _ref(2, 102, 9, "train", ["both others"]),
        _ref(3, 103, 25, "train", ["box"]),
        _ref(4, 104, 30, "val", ["top right"]),
    ]
    tests = ["test"] if name == "refcocog" else ["testA", "testB"]
    refs += [_ref(5 + i, 104, 30, split, ["box"]) for i, split in enumerate(tests)]
    folder = root / "refer_seg" / name
    save_json(
        folder / "instances.json",
        {
            "images": images,
            "annotations": annotations,
            "categories": [{"id": 1, "name": "box", "supercategory": "thing"}],
        },
    )
    by = "umd" if name == "refcocog" else "unc"
    (folder / f"refs({by}).p").write_bytes(pickle.dumps(refs, protocol=2))


def _ref(ref_id: int, ann_id: int, image_id: int, split: str, sentences: list[str]) -> dict:
    return {
        "ref_id": ref_id,
        "ann_id": ann_id,
        "category_id": 1,
        "image_id": image_id,
        # Not the picture's name: that of the object's crop.
        "file_name": f"COCO_train2014_{image_id:012d}_{ref_id}.jpg",
        "split": split,
        "sent_ids": [10 * ref_id + i for i in range(len(sentences))],
        "sentences": [
            {"raw": text.upper(), "sent": text, "sent_id": 10 * ref_id + i, "tokens": text.split()}
            for i, text in enumerate(sentences)
        ],
    }


def make_reason_seg(root: Path) -> None:
    """ROOT/reason_seg/ReasonSeg: two pictures of train, the second written as cp1252."""
    folder = root / "reason_seg/ReasonSeg/train"
    save_picture(folder / "1.jpg")
    save_picture(folder / "2.jpg")
    shapes = [
        _shape("target", (4, 6, 20, 30)),
        _shape("ignore", (8, 10, 12, 14)),
        _shape("flag", (0, 0, 48, 64)),
    ]
    first = {"text": ["What keeps the rain off?", "the dry place"], "is_sentence": True}
    save_json(folder / "1.json", first | {"shapes": shapes})
    second = {"text": ["the café’s sign"], "is_sentence": False}
    shapes = [_shape("target", BOXES["b"])]
    save_json(folder / "2.json", second | {"shapes": shapes}, encoding="cp1252")


def _shape(label: str, corners: tuple[int, int, int, int]) -> dict:
    top, left, bottom, right = corners
    # Their outlines count: the last row and column inside is what labelme drew.
    right, bottom = right - 1, bottom - 1
    points = [[left, top], [right, top], [right, bottom], [left, bottom]]
    return {"label": label, "points": points, "shape_type": "polygon", "labels": [label]}


def make_ade20k(root: Path) -> None:
    """ROOT/ade20k: two pictures; value 0 is what nobody named."""
    folder = root / "ade20k"
    lines = ["Idx\tRatio\tTrain\tVal\tName", "1\t0.1576\t11664\t1172\twall"]
    lines.append("2\t0.1072\t6046\t612\tbuilding, edifice ")
    folder.mkdir(parents=True)
    (folder / "objectInfo150.txt").write_text("\n".join(lines) + "\n")
    for number, labels in ((1, box("a") * 1 + box("b") * 2), (2, box("c") * 2)):
        name = f"ADE_train_{number:08d}"
        save_picture(folder / f"images/training/{name}.jpg")
        save_labels(folder / f"annotations/training/{name}.png", labels)


def make_coco_stuff(root: Path) -> None:
    """ROOT/cocostuff and ROOT/coco: line n of labels.txt is value n - 1, 255 is void."""
    lines = ("0: unlabeled", "1: person", "2: bicycle", "3: wall-brick", "4: grass")
    (root / "cocostuff").mkdir(parents=True)
    (root / "cocostuff/labels.txt").write_text("\n".join(lines) + "\n")
    labels = np.full(SIZE, 255)
    for value, name in ((0, "a"), (2, "b"), (3, "c")):
        labels[box(name)] = value
    save_labels(root / "cocostuff/train2017/000000000009.png", labels)
    save_picture(root / "coco/train2017/000000000009.jpg")


def make_paco_lvis(root: Path) -> None:
    """ROOT/vlpart/paco and ROOT/coco: a picture with two mugs and not all of its cups."""
    names = ["mug", "mug:handle", "tape_(sticky_cloth_or_paper)", "cup"]
    image = {
        "id": 7,
        "file_name": "train2017/000000000007.jpg",
        "not_exhaustive_category_ids": [4],
    }
    annotations = [(1, "a"), (1, "b"), (2, "c"), (3, "c"), (4, "c")]
    _save_instances(
        root / "vlpart/paco/annotations/paco_lvis_v1_train.json", names, image, annotations
    )
    save_picture(root / "coco/train2017/000000000007.jpg")


def make_pascal_part(root: Path) -> None:
    """ROOT/vlpart/pascal_part: a picture of a bird with two wings."""
    image = {"id": 2008000002, "file_name": "2008_000002.jpg"}
    folder = root / "vlpart/pascal_part"
    annotations = [(2, "a"), (2, "b"), (1, "c")]
    _save_instances(folder / "train.json", ["bird:beak", "bird:wing"], image, annotations)
    save_picture(folder / "VOCdevkit/VOC2010/JPEGImages/2008_000002.jpg")


def _save_instances(
    path: Path, names: list[str], image: dict, annotations: list[tuple[int, str]]
) -> None:
    """`annotations` are (category id, name of the box)."""
    content = {
        "categories": [{"id": i, "name": name} for i, name in enumerate(names, 1)],
        "images": [image | {"height": SIZE[0], "width": SIZE[1]}],
        "annotations": [
            {
                "id": number,
                "image_id": image["id"],
                "category_id": category,
                "segmentation": run_lengths(name),
            }
            for number, (category, name) in enumerate(annotations)
        ],
    }
    save_json(path, content)
