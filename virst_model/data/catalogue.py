"""The data sets by name: what they are for, where they lie under ROOT, who reads them.

The fourteen of the paper (A.2), the user's own footage and synthetic videos. ROOT may be laid out
as the data sets' own pages say, as LISA and VISA do, or as the folders LISA, RVOS_ROOT and
LLaVA-Video-178K of the released VIRST.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from virst_model.data.own import load_own
from virst_model.data.reason import load_reason_seg
from virst_model.data.record import Records
from virst_model.data.refer import load_refer
from virst_model.data.rvos import (
    load_lv_vis,
    load_mevis,
    load_ref_davis17,
    load_ref_youtube_vos,
    load_revos,
    load_synthetic,
)
from virst_model.data.semantic import (
    load_ade20k,
    load_coco_stuff,
    load_paco_lvis,
    load_pascal_part,
)
from virst_model.data.video_qa import load_synthetic_questions, load_video_qa
from virst_model.errors import FileError

SEMANTIC = "semantic"
REFERRING_IMAGE = "referring_image"
REASONING_IMAGE = "reasoning_image"
RVOS = "rvos"
VIDEO_QA = "video_qa"

# How often a category is drawn (paper A.2).
CATEGORY_WEIGHTS = {SEMANTIC: 4, REFERRING_IMAGE: 3, REASONING_IMAGE: 1, RVOS: 12, VIDEO_QA: 1}

# Folders of ROOT that data sets may be gathered in; the released code has its own.
GATHERED_IN = ("", "LISA", "LISA/sem_seg", "sem_seg", "RVOS_ROOT")

# So many folders below ROOT a person may be who takes a folder of a data set for it.
DEEPEST = 4


@dataclass(frozen=True)
class Dataset:
    """An entry of the catalogue.

    Attributes:
        category: of CATEGORY_WEIGHTS.
        folders: what its folder may be called.
        splits: the data set's own words; the first is the one to train on.
        load: (its folder, split) -> Records; raises FileError.
        ratio: how often it is drawn beside the others of its category; 0 has to be named, or be
            all there is (mixture.py).
    """

    category: str
    folders: tuple[str, ...]
    splits: tuple[str, ...]
    load: Callable[[Path, str], Records]
    ratio: float = 1.0


def _load_refer(folder: Path, split: str) -> Records:
    return load_refer(folder.parent, folder.name, split)


_refer = partial(Dataset, REFERRING_IMAGE, load=_load_refer)

CATALOGUE = {
    "ade20k": Dataset(
        SEMANTIC, ("ade20k", "ADEChallengeData2016"), ("training", "validation"), load_ade20k
    ),
    "coco-stuff": Dataset(SEMANTIC, ("cocostuff",), ("train2017", "val2017"), load_coco_stuff),
    "paco-lvis": Dataset(SEMANTIC, ("vlpart/paco",), ("train", "val", "test"), load_paco_lvis),
    "pascal-part": Dataset(SEMANTIC, ("vlpart/pascal_part",), ("train", "val"), load_pascal_part),
    "refcoco": _refer(("refer_seg/refcoco",), ("train", "val", "testA", "testB")),
    "refcoco+": _refer(("refer_seg/refcoco+",), ("train", "val", "testA", "testB")),
    "refcocog": _refer(("refer_seg/refcocog",), ("train", "val", "test")),
    "reason-seg": Dataset(
        REASONING_IMAGE,
        ("reason_seg/ReasonSeg", "reason_seg", "ReasonSeg"),
        ("train", "val", "test"),
        load_reason_seg,
    ),
    # The ratios are the released code's.
    "mevis": Dataset(RVOS, ("mevis", "MeViS"), ("train", "valid_u", "valid"), load_mevis, 4000),
    "ref-youtube-vos": Dataset(
        RVOS,
        ("Ref-Youtube-VOS", "refytvos", "Ref-YouTube-VOS", "ref-youtube-vos"),
        ("train", "valid", "test"),
        load_ref_youtube_vos,
        15000,
    ),
    "ref-davis17": Dataset(
        RVOS,
        ("davis17", "Ref-DAVIS17", "Ref-DAVIS", "ref-davis"),
        ("train", "valid"),
        load_ref_davis17,
        400,
    ),
    "revos": Dataset(RVOS, ("ReVOS", "revos"), ("train", "valid"), load_revos, 3000),
    "lv-vis": Dataset(RVOS, ("lvvis", "LVVIS", "LV-VIS"), ("train",), load_lv_vis, 3000),
    "video-vqa": Dataset(
        VIDEO_QA,
        ("LLaVA-Video-178K/0_30_s_academic_v0_1", "0_30_s_academic_v0_1"),
        ("train",),
        load_video_qa,
    ),
    "own": Dataset(RVOS, ("own",), ("train", "valid"), load_own, 0),
    "synthetic-vqa": Dataset(
        VIDEO_QA, ("synthetic",), ("train", "valid", "test"), load_synthetic_questions, 0
    ),
    "synthetic": Dataset(RVOS, ("synthetic",), ("train", "valid", "test"), load_synthetic, 0),
}


def locate(name: str, root: str | Path) -> Path | None:
    """The folder of a data set under `root`, or None. Raises KeyError for an unknown name."""
    places = (
        Path(root, gathered_in, folder)
        for gathered_in in GATHERED_IN
        for folder in CATALOGUE[name].folders
    )
    return next((place for place in places if place.is_dir()), None)


def root_above(root: str | Path) -> Path | None:
    """The root that was meant by a folder of a data set, or one inside it; None of another."""
    here = Path(root).resolve()
    for above in here.parents[:DEEPEST]:
        for place in filter(None, (locate(name, above) for name in CATALOGUE)):
            if place == here or here in place.parents or place in here.parents:
                return above
    return None


def default_split(name: str) -> str:
    """The split to evaluate on: the second, MeViS' valid_u; the only one where there is no other.

    Raises KeyError for an unknown name.
    """
    splits = CATALOGUE[name].splits
    return splits[min(1, len(splits) - 1)]


def open_dataset(name: str, root: str | Path, split: str) -> Records:
    """A split of a data set that lies under `root`.

    Raises:
        FileError: there is no data set or split of that name, it does not lie there, or it is
            incomplete or damaged.
    """
    if name not in CATALOGUE:
        raise FileError(root, f"no data set is called {name!r}; {', '.join(CATALOGUE)} are")
    dataset = CATALOGUE[name]
    if split not in dataset.splits:
        splits = ", ".join(dataset.splits)
        raise FileError(root, f"{name} has no split {split!r}; it has {splits}")
    folder = locate(name, root)
    if folder is None:
        folders, above = " or ".join(dataset.folders), root_above(root)
        hint = f"; the folder of the data sets is {above}" if above else " (docs/datasets.md)"
        raise FileError(root, f"no {name} here: it would lie in {folders}{hint}")
    return dataset.load(folder, split)


def is_missing(error: FileError) -> bool:
    """Whether it says that a file is not there, and not that one is damaged."""
    return not Path(error.path).exists()
