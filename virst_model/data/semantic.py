"""Classes and parts of a picture: ADE20k, COCO-Stuff, PACO-LVIS and PASCAL-Part.

A record is a picture; an expression is the name of a class that it shows, in words, and means
every instance of it. Layouts as LISA and VIRST (arXiv 2603.27060) take them:

    ade20k/{objectInfo150.txt,images/training/X.jpg,annotations/training/X.png}
    cocostuff/{labels.txt,train2017/X.png}           pictures: coco/train2017/X.jpg
    vlpart/paco/annotations/paco_lvis_v1_train.json  pictures: coco/train2017/X.jpg
    vlpart/pascal_part/{train.json,VOCdevkit/VOC2010/JPEGImages/X.jpg}

The names of the classes are the data sets' own: objectInfo150.txt is in ADEChallengeData2016,
labels.txt is of github.com/nightrome/cocostuff, the other two hold them.
"""

from collections import defaultdict
from collections.abc import Mapping
from functools import partial
from pathlib import Path
import re

import numpy as np

from virst_model.data.class_index import index_classes
from virst_model.data.coco import Segmentation, form_of, is_empty, read_union
from virst_model.data.picture import fitting, names_in, read_labels
from virst_model.data.record import Expression, Record, Records
from virst_model.errors import FileError
from virst_model.text_file import read_json, read_text

# Of a name in PACO: "car_(automobile)", "mouse_(computer_equipment):left_button".
_MEANT_SENSE = re.compile(r"_?\([^)]*\)")


def load_ade20k(root: str | Path, split: str) -> Records:
    """ADEChallengeData2016: 150 classes, each by the first of its names.

    Args:
        root: the folder of images, annotations and objectInfo150.txt.
        split: training or validation.

    Raises:
        FileError: a folder or objectInfo150.txt is missing or damaged.
    """
    root = Path(root)
    names = _read_names(root / "objectInfo150.txt", r"(\d+)\s.*\t\s*([^\t,;]+)[^\t]*")
    return _label_pictures(root / "annotations" / split, root / "images" / split, names)


def load_coco_stuff(root: str | Path, split: str) -> Records:
    """COCO-Stuff: things and stuff. "wall-brick" and the like are left out, as LISA does.

    Args:
        root: the folder of labels.txt and the label pictures; `coco` lies beside it.
        split: train2017 or val2017.

    Raises:
        FileError: a folder or labels.txt is missing or damaged.
    """
    root = Path(root)
    lines = _read_names(root / "labels.txt", r"(\d+): (.+)")
    # Line 0 is "unlabeled", which is 255 in the label pictures: line n is value n - 1.
    names = {line - 1: name for line, name in lines.items() if line > 0 and "-" not in name}
    return _label_pictures(root / split, root.parent / "coco" / split, names)


def load_paco_lvis(root: str | Path, split: str) -> Records:
    """PACO-LVIS: objects ("mug") and their parts ("the handle of the mug").

    Args:
        root: the folder of `annotations`; `coco` lies beside the folder that it is in.
        split: train, val or test.

    Raises:
        FileError: a file or folder is missing or damaged.
    """
    root = Path(root)
    annotations = root / "annotations" / f"paco_lvis_v1_{split}.json"
    return _instances(annotations, root.parent.parent / "coco")


def load_pascal_part(root: str | Path, split: str) -> Records:
    """PASCAL-Part in VLPart's form: parts of objects ("the wing of the bird").

    Args:
        root: the folder of train.json and VOCdevkit.
        split: train or val.

    Raises:
        FileError: a file or folder is missing or damaged.
    """
    root = Path(root)
    return _instances(root / f"{split}.json", root / "VOCdevkit/VOC2010/JPEGImages")


def wording(category: str) -> str:
    """A category's name as a text: "trash_can" is "trash can", "mug:handle" is "the handle of the
    mug", and the sense in brackets ("tape_(sticky_cloth_or_paper)") is not said."""
    owner, _, part = _MEANT_SENSE.sub("", category).replace("_", " ").partition(":")
    return f"the {part.strip()} of the {owner.strip()}" if part else owner.strip()


def _read_names(path: Path, line: str) -> dict[int, str]:
    """Number -> name, of the lines that match the pattern `line`."""
    try:
        text = read_text(path)
    except FileError as error:
        reason = f"{error.reason}; the names of the classes are in it"
        raise FileError(path, reason) from None
    matches = [re.fullmatch(line, entry.rstrip()) for entry in text.splitlines()]
    names = {int(match[1]): match[2].strip() for match in matches if match}
    if not names:
        raise FileError(path, "names no classes; get the file again from the data set's site")
    return names


def _label_pictures(labels: Path, pictures: Path, names: Mapping[int, str]) -> Records:
    """Records of label pictures whose values are the numbers in `names`; others have no name."""
    present = names_in(pictures, "the pictures")
    index, damaged = index_classes(labels)
    contents = Records()
    for stem in damaged:
        contents.leave_out(stem, "label picture cannot be read")
    for stem, values in index.items():
        classes = [value for value in values if value in names]
        path = pictures / f"{stem}.jpg"
        if path.name not in present:
            contents.leave_out(stem, "picture is not there", path.name)
        elif not classes:
            contents.leave_out(stem, "no class that has a name")
        else:
            label = labels / f"{stem}.png"
            expressions = tuple(
                Expression(str(value), names[value], partial(_read_class, path, label, value))
                for value in classes
            )
            contents.records.append(Record(stem, (path,), expressions, still=True))
    return contents


def _read_class(picture: Path, label: Path, value: int, frame: int) -> np.ndarray:
    """A MaskReader; the one frame is the picture."""
    return fitting(read_labels(label) == value, picture)


def _instances(path: Path, pictures: Path) -> Records:
    """Records of a file in COCO's form. All instances of what has one wording are one truth, and
    classes of which a picture's annotation is said to be incomplete are left out."""
    content = read_json(path)
    with form_of(path):
        names = {category["id"]: wording(category["name"]) for category in content["categories"]}
        marked: dict[int, dict[str, list]] = defaultdict(lambda: defaultdict(list))
        for annotation in content["annotations"]:
            if not is_empty(annotation["segmentation"]):
                text = names[annotation["category_id"]]
                marked[annotation["image_id"]][text].append(annotation["segmentation"])
        images = content["images"]
        del content  # a gigabyte
        folders = {Path(image["file_name"]).parent for image in images}
        present = {
            folder / name for folder in folders for name in names_in(pictures / folder, "pictures")
        }
        contents = Records()
        for image in images:
            incomplete = {names.get(i) for i in image.get("not_exhaustive_category_ids", ())}
            complete = {
                text: segmentations
                for text, segmentations in sorted(marked[image["id"]].items())
                if text not in incomplete
            }
            if Path(image["file_name"]) not in present:
                contents.leave_out(str(image["id"]), "picture is not there", image["file_name"])
            elif not complete:
                contents.leave_out(str(image["id"]), "no class with all its instances")
            else:
                contents.records.append(_record(image, pictures / image["file_name"], complete))
    return contents


def _record(image: dict, path: Path, marked: Mapping[str, list[Segmentation]]) -> Record:
    size = (image["height"], image["width"])
    expressions = tuple(
        Expression(str(number), text, partial(read_union, path, segmentations, size))
        for number, (text, segmentations) in enumerate(marked.items())
    )
    return Record(str(image["id"]), (path,), expressions, still=True)
